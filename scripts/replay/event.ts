import { createHash } from 'node:crypto';
import { decodeEvent, encodeEvent, type UsageEvent } from '../../shared/events/usage-event.ts';
import type { Outgoing } from '../publish/outgoing.ts';
import { uuidOf } from '../sample-events.ts';
import { costCarry } from './carry.ts';
import type { Draft } from './draft.ts';
import { type Exact, one } from './exact.ts';
import { fittingMetadata } from './metadata.ts';
import { modelIdOf } from './model-id.ts';
import { rowOrdinals } from './ordinals.ts';
import { centsText, costOf, type Price } from './price.ts';
import { type Placement, placed, type RowTime } from './time.ts';

/** What fills in for columns that the file lacks, or has empty. */
export interface Defaults {
  orgId: string;
  modelId: string;
  /** Of models that are named without one. */
  provider: string;
  clientId: string | null;
  inputPrice: Price;
  outputPrice: Price;
  msPerInputToken: number;
  msPerOutputToken: number;
}

/** What a Date can be. */
const dateMaxMs = 8.64e15;

/** What one replay does to every row. */
export interface Recipe {
  defaults: Defaults;
  placement: Placement;
  /** At most so many rows will come. */
  rows: number;
}

/** What was filled in, since the row did not say it. */
export type Made = Record<'cost' | 'model' | 'latency' | 'status', boolean>;

export type RowResult =
  | {
      event: UsageEvent;
      made: Made;
      /** The model's name, where its id comes of it. */
      modelName: string | null;
      isMetadataCut: boolean;
    }
  | { fault: string }
  | { passedOver: string };

/** The event's time has its own check in the service: only its form is looked at here. */
const formRules = { nowMs: Number.MAX_SAFE_INTEGER, rawRetentionDays: Number.POSITIVE_INFINITY };

/**
 * Makes events of rows, in the file's order. The id of a row without one derives from what the row
 * says, how many such rows came before it, and what gives the event its key, so that the same rows
 * again, in whatever file, add nothing. Costs are rounded as `costCarry` does.
 */
export function eventMaker({ defaults, placement, rows }: Recipe): (draft: Draft) => RowResult {
  const ordinalOf = rowOrdinals(rows);
  const carry = costCarry();

  function idOf(content: string): string {
    const hash = createHash('sha256').update(content).digest();
    const { shiftDays, stretch, firstMs } = placement;
    const parts = ['replay', hash.toString('hex'), ordinalOf(hash), shiftDays];
    // Stretched, a row comes to lie at a time that depends on the first row's.
    return uuidOf([...parts, ...(stretch === 1 ? [] : [stretch, firstMs])].join('/'));
  }

  return (draft) => {
    if (draft.passedOver !== undefined) return { passedOver: draft.passedOver };
    const { fields, faults } = draft;
    const time = completionOf(draft);
    if (faults.length > 0) return { fault: faults.join('; ') };
    if (time === undefined) {
      return { fault: 'occurredAt: must be a date and time, not nothing' };
    }
    const occurredAtMs = placed(time.ms, placement);
    if (!(Math.abs(occurredAtMs) <= dateMaxMs)) return { fault: 'occurredAt: is beyond any date' };
    const model = modelOf(draft, defaults);
    const latencyMs = fields.latencyMs ?? latencyBetween(draft);
    const costs = costsOf(draft, defaults);
    if ('fault' in costs) return costs;
    const orgId = fields.orgId ?? defaults.orgId;
    const { metadata, isCut } = metadataOf(draft);
    const said = {
      ...fields,
      orgId,
      modelId: model.modelId,
      metadata,
      latencyMs,
      time: [time.ms, time.finer],
      costs: [draft.costs.whole, draft.costs.input, draft.costs.output].map(String),
    };
    const decoded = decodeEvent(
      {
        ...fields,
        // Its own comes once the row is known to be an event, since rows that are none do not count.
        eventId: fields.eventId ?? uuidOf(''),
        orgId,
        modelId: model.modelId,
        clientId: fields.clientId ?? defaults.clientId,
        occurredAt: new Date(occurredAtMs).toISOString(),
        status: statusOf(fields),
        latencyMs: latencyMs ?? latencyMade(draft, defaults),
        metadata,
        costEstimateCents: '0',
      },
      formRules,
    );
    if ('faults' in decoded) {
      const words = decoded.faults.map(({ path, message }) =>
        path === '' ? message : `${path}: ${message}`,
      );
      return { fault: words.join('; ') };
    }
    const { event } = decoded;
    if (fields.eventId === undefined) event.eventId = idOf(canonical(said));
    const whole = event.orgId;
    const part = `${event.modelId} ${event.clientId}`;
    if (costs.split === null) {
      event.costEstimateCents = centsText(carry(whole, part, costs.whole));
    } else {
      const input = carry(whole, `${part} input`, costs.split.input);
      const output = carry(whole, `${part} output`, costs.split.output);
      event.inputCostCents = centsText(input);
      event.outputCostCents = centsText(output);
      event.costEstimateCents = centsText(input + output);
    }
    return {
      event,
      made: {
        cost: costs.isMade,
        model: model.isMade,
        latency: latencyMs === undefined,
        status: fields.status === undefined && fields.errorCode === undefined,
      },
      modelName: model.name,
      isMetadataCut: isCut,
    };
  };
}

/** The event as it goes out. */
export function outgoing(event: UsageEvent, line: number): Outgoing {
  const { eventId, orgId } = event;
  return { label: `line ${line}`, eventId, orgId, content: encodeEvent(event) };
}

/** When the inference was complete, before it is moved: it began that long before. */
export function completionOf({ time, started, fields }: Draft): RowTime | undefined {
  if (time !== undefined || started === undefined) return time;
  const { latencyMs } = fields;
  return isCount(latencyMs) ? { ...started, ms: started.ms + latencyMs } : started;
}

function latencyBetween({ time, started }: Draft): number | undefined {
  if (time === undefined || started === undefined) return undefined;
  return time.ms - started.ms;
}

/** The same value for the same row, whatever the order of its columns, and in CSV as in JSON. */
function canonical(said: Readonly<Record<string, unknown>>): string {
  const texts = Object.entries(said)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => [name, isId(name) ? String(value).toLowerCase() : inOrder(value)])
    .sort(([left], [right]) => (String(left) < String(right) ? -1 : 1));
  return JSON.stringify(texts);
}

const isId = (name: string) => name === 'orgId' || name === 'modelId' || name === 'actorId';

function inOrder(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
}

function modelOf({ fields, modelName, provider }: Draft, defaults: Defaults) {
  if (fields.modelId !== undefined) return { modelId: fields.modelId, name: null, isMade: false };
  if (modelName === undefined || modelName.trim() === '') {
    return { modelId: defaults.modelId, name: null, isMade: true };
  }
  const from = provider ?? defaults.provider;
  const name = from === '' ? modelName : `${from}/${modelName}`;
  return { modelId: modelIdOf(from, modelName), name, isMade: false };
}

/** A row that has the code of an error, and no status, is one that failed. */
function statusOf({ status, errorCode }: Draft['fields']): unknown {
  if (status === undefined) return errorCode === undefined ? 'success' : 'error';
  return typeof status === 'string' ? status.toLowerCase() : status;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function latencyMade({ fields, requests }: Draft, defaults: Defaults): number {
  const { inputTokens: input, outputTokens: output } = fields;
  // Tokens that are no numbers have a fault of their own, which is to be the only one named.
  if (!isCount(input) || !isCount(output)) return 0;
  const all = input * defaults.msPerInputToken + output * defaults.msPerOutputToken;
  // What is made up must not be what the row is refused for.
  return Math.min(Math.round(all / requests), latencyMaxMs);
}

/** The contract's bound. */
const latencyMaxMs = 86_400_000;

/** As NUMERIC(18,4) can hold it. */
const costMax: Exact = one * 10n ** 14n;

type Costs = {
  whole: Exact;
  split: { input: Exact; output: Exact } | null;
  isMade: boolean;
};

/** The row's own costs where it has any, else tokens times prices. */
function costsOf({ costs, fields }: Draft, defaults: Defaults): Costs | { fault: string } {
  const { whole, input, output } = costs;
  if (input === undefined && output === undefined && whole === undefined) {
    const { inputTokens, outputTokens } = fields;
    if (!isCount(inputTokens) || !isCount(outputTokens)) {
      return { whole: 0n, split: null, isMade: true };
    }
    const split = {
      input: costOf(inputTokens, defaults.inputPrice),
      output: costOf(outputTokens, defaults.outputPrice),
    };
    const sum = split.input + split.output;
    return sum < costMax ? { whole: sum, split, isMade: true } : tooMuch('costEstimateCents');
  }
  if (input === undefined && output === undefined) {
    if (whole === undefined || whole >= costMax) return tooMuch('costEstimateCents');
    return { whole, split: null, isMade: false };
  }
  if (input === undefined) return { fault: 'inputCostCents: is required beside outputCostCents' };
  if (output === undefined) return { fault: 'outputCostCents: is required beside inputCostCents' };
  const sum = input + output;
  if (whole !== undefined && whole !== sum) {
    return { fault: 'costEstimateCents: must equal inputCostCents + outputCostCents' };
  }
  if (sum >= costMax) return tooMuch('costEstimateCents');
  return { whole: sum, split: { input, output }, isMade: false };
}

function tooMuch(path: string): { fault: string } {
  return { fault: `${path}: must be below 10^14` };
}

/** What the mapping found beside what the row has; what is no object is left to the event's check. */
function metadataOf({ metadata: found, fields, modelName, provider }: Draft) {
  const own = fields.metadata;
  const isObject = typeof own === 'object' && own !== null && !Array.isArray(own);
  if (own !== undefined && !isObject) return { metadata: own, isCut: false };
  const more = {
    ...(modelName === undefined ? {} : { modelName }),
    ...(provider === undefined ? {} : { provider }),
    ...found,
  };
  if (Object.keys(more).length === 0) return { metadata: own, isCut: false };
  return fittingMetadata(more, Object.fromEntries(Object.entries(own ?? {})));
}
