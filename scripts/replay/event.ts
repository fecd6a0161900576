import { decodeEvent, encodeEvent, type UsageEvent } from '../../shared/events/usage-event.ts';
import type { Outgoing } from '../publish/outgoing.ts';
import { uuidOf } from '../sample-events.ts';
import type { Fields } from './columns.ts';
import { centsText, costOf, type Price } from './price.ts';
import { type Placement, parseTimestamp, placed } from './time.ts';

/** What fills in for columns that the file lacks, or has empty. */
export interface Defaults {
  orgId: string;
  modelId: string;
  clientId: string | null;
  inputPrice: Price;
  outputPrice: Price;
  msPerInputToken: number;
  msPerOutputToken: number;
}

/** What one replay does to every row. */
export interface Recipe {
  defaults: Defaults;
  placement: Placement;
  /** SHA-256 of the whole file, hex. */
  fileHash: string;
}

/** The event's time has its own check in the service: only its form is looked at here. */
const formRules = { nowMs: Number.MAX_SAFE_INTEGER, rawRetentionDays: Number.POSITIVE_INFINITY };

/**
 * A row as an event, or what is wrong with it. The id of a row without one derives from the file,
 * the row and all that gives the event its key, so that the same replay again adds nothing.
 */
export function eventOf(
  fields: Fields,
  rowNumber: number,
  recipe: Recipe,
): { event: UsageEvent } | { fault: string } {
  const { defaults, placement, fileHash } = recipe;
  const timeMs = timeOf(fields);
  if (timeMs === undefined) {
    const given = JSON.stringify(fields.occurredAt) ?? 'nothing';
    return { fault: `occurredAt: must be a date and time, not ${given}` };
  }
  const orgId = fields.orgId ?? defaults.orgId;
  const modelId = fields.modelId ?? defaults.modelId;
  const inputTokens = wholeNumber(fields.inputTokens);
  const outputTokens = wholeNumber(fields.outputTokens);
  const decoded = decodeEvent(
    {
      ...fields,
      eventId:
        fields.eventId ??
        uuidOf(
          ['replay', fileHash, rowNumber, orgId, modelId, placement.shiftDays, placement.stretch]
            .join('/')
            .toLowerCase(),
        ),
      orgId,
      modelId,
      clientId: fields.clientId ?? defaults.clientId,
      occurredAt: new Date(placed(timeMs, placement)).toISOString(),
      status: typeof fields.status === 'string' ? fields.status.toLowerCase() : 'success',
      inputTokens,
      outputTokens,
      latencyMs: wholeNumber(fields.latencyMs) ?? latencyOf(inputTokens, outputTokens, defaults),
      metadata: objectIn(fields.metadata),
      ...costsOf(fields, inputTokens, outputTokens, defaults),
    },
    formRules,
  );
  if ('event' in decoded) return decoded;
  return {
    fault: decoded.faults
      .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
      .join('; '),
  };
}

/** The event as it goes out. */
export function outgoing(event: UsageEvent, line: number): Outgoing {
  const { eventId, orgId } = event;
  return { label: `line ${line}`, eventId, orgId, content: encodeEvent(event) };
}

/** A row's own time, before it is moved. */
export function timeOf({ occurredAt }: Fields): number | undefined {
  return typeof occurredAt === 'string' ? parseTimestamp(occurredAt) : undefined;
}

/** CSV has numbers as text; what is no whole number stays, for the check to name it. */
function wholeNumber(value: unknown): unknown {
  return typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? Number(value) : value;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function latencyOf(input: unknown, output: unknown, defaults: Defaults): number {
  // Tokens that are no numbers have a fault of their own; theirs shall be the only one named.
  if (!isCount(input) || !isCount(output)) return 0;
  return Math.round(input * defaults.msPerInputToken + output * defaults.msPerOutputToken);
}

/** The row's own costs where it has any, else tokens times prices. */
function costsOf(fields: Fields, input: unknown, output: unknown, defaults: Defaults): object {
  const { costEstimateCents, inputCostCents, outputCostCents } = fields;
  const own = { costEstimateCents, inputCostCents, outputCostCents };
  if (Object.values(own).some((value) => value !== undefined)) return own;
  if (!isCount(input) || !isCount(output)) return { costEstimateCents: '0' };
  const inputCost = costOf(input, defaults.inputPrice);
  const outputCost = costOf(output, defaults.outputPrice);
  return {
    inputCostCents: centsText(inputCost),
    outputCostCents: centsText(outputCost),
    costEstimateCents: centsText(inputCost + outputCost),
  };
}

/** CSV has an object as its JSON. */
function objectIn(value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('{')) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
