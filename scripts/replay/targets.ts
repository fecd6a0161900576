import { literalOf } from '../../shared/decimal-json.ts';
import { type Draft, objectOf, textOf } from './draft.ts';
import { parseExact, parseWhole, rounded } from './exact.ts';
import { parseRowTime } from './time.ts';

/** What reading a value depends on beside it. */
export interface Reading {
  /** Of times that have no zone. */
  timeZone: string;
}

/** Puts a column's value, never an empty one, where it belongs. */
export type Setter = (draft: Draft, value: unknown, reading: Reading) => void;

/** What a column may hold. Two targets of one slot are the same thing in other units. */
export interface Target {
  slot: string;
  set: Setter;
}

/** Those that `--map` takes, beside `metadata.KEY`. */
export const targets = {
  eventId: field('eventId'),
  orgId: field('orgId'),
  modelId: field('modelId'),
  model: { slot: 'modelId', set: setModel },
  provider: {
    slot: 'provider',
    set: (draft, value) => {
      draft.provider = textOf(value);
    },
  },
  actorId: field('actorId'),
  user: { slot: 'actorId', set: setUser },
  clientId: textField('clientId'),
  occurredAt: time('occurredAt', 'time'),
  startedAt: time('startedAt', 'started'),
  latencyMs: numberField('latencyMs'),
  latencySeconds: { slot: 'latencyMs', set: setLatencySeconds },
  status: { slot: 'status', set: setStatus },
  failed: { slot: 'status', set: setFailed },
  errorCode: textField('errorCode'),
  inputTokens: numberField('inputTokens'),
  outputTokens: numberField('outputTokens'),
  costEstimateCents: cost('costEstimateCents', 'whole', 1n),
  costEstimateUsd: cost('costEstimateCents', 'whole', 100n),
  inputCostCents: cost('inputCostCents', 'input', 1n),
  inputCostUsd: cost('inputCostCents', 'input', 100n),
  outputCostCents: cost('outputCostCents', 'output', 1n),
  outputCostUsd: cost('outputCostCents', 'output', 100n),
  metadata: {
    slot: 'metadata',
    set: (draft, value) => {
      const given = objectOf(value);
      // Numbers are named as such, be their digits kept as text or not.
      draft.fields.metadata =
        given === undefined ? value : Object.fromEntries(Object.entries(given).map(unmarked));
    },
  },
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof targets;

/** The target of that name, `metadata.KEY` among them; undefined for any other name. */
export function targetOf(name: string): Target | undefined {
  const [, key] = /^metadata\.(.+)$/s.exec(name) ?? [];
  if (key !== undefined) return { slot: name, set: intoMetadata(key) };
  return isTargetName(name) ? targets[name] : undefined;
}

function isTargetName(name: string): name is TargetName {
  return Object.hasOwn(targets, name);
}

function unmarked([key, value]: [string, unknown]): [string, unknown] {
  const digits = literalOf(value);
  return [key, digits === undefined ? value : Number(digits)];
}

/** What has no field of its own is kept as text, whole or cut. */
export function intoMetadata(key: string): Setter {
  return (draft, value) => {
    draft.metadata[key] = textOf(value);
  };
}

function field(name: 'eventId' | 'orgId' | 'modelId' | 'actorId'): Target {
  return {
    slot: name,
    set: (draft, value) => {
      draft.fields[name] = value;
    },
  };
}

/** In CSV a client is text whatever it looks like, and so it is in JSON. */
function textField(name: 'clientId' | 'errorCode'): Target {
  return {
    slot: name,
    set: (draft, value) => {
      draft.fields[name] = typeof value === 'object' ? value : textOf(value);
    },
  };
}

/** What is no whole number stays, for the event's check to name it. */
function numberField(name: 'latencyMs' | 'inputTokens' | 'outputTokens'): Target {
  return {
    slot: name,
    set: (draft, value) => {
      draft.fields[name] = isNumeric(value) ? (parseWhole(textOf(value)) ?? value) : value;
    },
  };
}

function isNumeric(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number';
}

function time(name: 'occurredAt' | 'startedAt', key: 'time' | 'started'): Target {
  return {
    slot: name,
    set: (draft, value, { timeZone }) => {
      const read = isNumeric(value)
        ? parseRowTime(textOf(value).trim(), timeZone)
        : { fault: `must be a date and time, not ${textOf(value).slice(0, 60)}` };
      if ('fault' in read) draft.faults.push(`${name}: ${read.fault}`);
      else draft[key] = read;
    },
  };
}

function cost(path: string, part: 'whole' | 'input' | 'output', cents: bigint): Target {
  return {
    slot: path,
    set: (draft, value) => {
      const amount = isNumeric(value) ? parseExact(textOf(value).trim()) : undefined;
      if (amount === undefined) {
        const shown = JSON.stringify(textOf(value).slice(0, 60));
        draft.faults.push(`${path}: must be a number such as 12.3456, not ${shown}`);
      } else if (amount < 0n) draft.faults.push(`${path}: must not be negative`);
      else draft.costs[part] = amount * cents;
    },
  };
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function setModel(draft: Draft, value: unknown): void {
  const text = textOf(value).trim();
  if (uuid.test(text)) draft.fields.modelId = text;
  else draft.modelName = text;
}

function setUser(draft: Draft, value: unknown): void {
  const text = textOf(value).trim();
  if (uuid.test(text)) draft.fields.actorId = text;
  else draft.metadata.user = text;
}

function setLatencySeconds(draft: Draft, value: unknown): void {
  const seconds = isNumeric(value) ? parseExact(textOf(value).trim()) : undefined;
  if (seconds === undefined || seconds < 0n) {
    draft.faults.push(`latencyMs: must be seconds, not ${JSON.stringify(textOf(value))}`);
  } else draft.fields.latencyMs = Number(rounded(seconds * 1_000n));
}

/** What others call our four. */
const statusWords: Readonly<Record<string, string>> = {
  ok: 'success',
  succeeded: 'success',
  completed: 'success',
  true: 'success',
  failure: 'error',
  failed: 'error',
  fail: 'error',
  false: 'error',
  timed_out: 'timeout',
  timedout: 'timeout',
  rate_limited: 'throttled',
  ratelimited: 'throttled',
};

/** A word, or the code of an HTTP answer, which is the error's code where the row has no other. */
function setStatus(draft: Draft, value: unknown): void {
  const text = textOf(value).trim().toLowerCase();
  const code = parseWhole(text);
  if (code === undefined) {
    draft.fields.status = statusWords[text] ?? text;
    return;
  }
  draft.fields.status = statusOfCode(code);
  if (draft.fields.status !== 'success') draft.fields.errorCode ??= String(code);
}

const yes = new Set(['true', 't', 'yes', '1']);
const no = new Set(['false', 'f', 'no', '0']);

function setFailed(draft: Draft, value: unknown): void {
  const text = textOf(value).trim().toLowerCase();
  if (yes.has(text)) draft.fields.status = 'error';
  else if (no.has(text)) draft.fields.status = 'success';
  else draft.faults.push(`status: must be true or false, not ${JSON.stringify(text.slice(0, 60))}`);
}

export function statusOfCode(code: number): string {
  if (code >= 200 && code < 300) return 'success';
  if (code === 429) return 'throttled';
  if (code === 408 || code === 504) return 'timeout';
  // What is no HTTP status is left to the event's check, which names it.
  return code >= 300 && code < 600 ? 'error' : String(code);
}
