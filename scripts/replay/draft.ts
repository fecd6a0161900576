import { literalOf, stringify } from '../../shared/decimal-json.ts';
import type { Exact } from './exact.ts';
import type { RowTime } from './time.ts';

/** What is read of a row, before what it lacks is filled in. */
export interface Draft {
  /** The contract's fields whose values need no more than the event's own check. */
  fields: {
    eventId?: unknown;
    orgId?: unknown;
    modelId?: unknown;
    actorId?: unknown;
    clientId?: unknown;
    latencyMs?: unknown;
    status?: unknown;
    errorCode?: unknown;
    inputTokens?: unknown;
    outputTokens?: unknown;
    metadata?: unknown;
  };
  /** When the inference was complete. */
  time?: RowTime;
  started?: RowTime;
  /** In cents. */
  costs: { whole?: Exact; input?: Exact; output?: Exact };
  /** By name, where the row has no id of its model. */
  modelName?: string;
  provider?: string;
  /** What has no field of its own in an event. */
  metadata: Record<string, string>;
  /** How many requests the row sums up. */
  requests: number;
  /** What cannot be read, each as `path: message`. */
  faults: string[];
  /** Why the row is no inference. */
  passedOver?: string;
}

export function emptyDraft(): Draft {
  return { fields: {}, costs: {}, metadata: {}, requests: 1, faults: [] };
}

/** A cell or a JSON value as text: numbers digit for digit, what is composed as its JSON. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return literalOf(value) ?? value;
  if (typeof value === 'object' && value !== null) return stringify(value);
  return String(value);
}

export function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** An object, be it JSON in a cell; undefined for anything else. */
export function objectOf(value: unknown): Record<string, unknown> | undefined {
  if (typeof value === 'string') {
    if (!value.startsWith('{')) return undefined;
    try {
      return objectOf(JSON.parse(value));
    } catch {
      return undefined;
    }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.fromEntries(Object.entries(value));
}
