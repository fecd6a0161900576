import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../shared/platform/database/db.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { causeOf } from './http-target.ts';

/** What the service has done with events since the beginning, or between two readings. */
export interface Counts {
  stored: number;
  duplicate: number;
  rejected: number;
}

export interface CounterSource {
  /** For people: where the numbers come from. */
  readonly name: string;
  /** @throws Error with the reason when it cannot be read. */
  read(): Promise<Counts>;
}

/** A source with its first reading. */
export interface Baseline {
  source: CounterSource;
  before: Counts;
}

const answerMs = 5_000;
const line =
  /^analytics_ingestion_events_total\{[^}]*outcome="(stored|duplicate|rejected)"[^}]*\} (\S+)$/gm;

/** The counters that the API shows at `/metrics`. */
export function apiCounters(url: string): CounterSource {
  const path = `${url}/metrics`;
  return {
    name: path,
    read: async () => {
      let text: string;
      try {
        const response = await fetch(path, { signal: AbortSignal.timeout(answerMs) });
        text = await response.text();
        if (!response.ok) throw new Error(`it answered ${response.status}`);
      } catch (error) {
        throw new Error(`${path} cannot be read: ${causeOf(error)}`);
      }
      return countsIn(text, path);
    },
  };
}

function countsIn(text: string, path: string): Counts {
  const found = new Map([...text.matchAll(line)].map(([, name, value]) => [name, Number(value)]));
  const count = (name: keyof Counts) => {
    const value = found.get(name);
    if (value === undefined || Number.isNaN(value)) {
      throw new Error(`${path} has no analytics_ingestion_events_total{outcome="${name}"}`);
    }
    return value;
  };
  return { stored: count('stored'), duplicate: count('duplicate'), rejected: count('rejected') };
}

/** The same counters, read where the API reads them. */
export function databaseCounters(database: Database): CounterSource {
  return {
    name: 'the database',
    read: async () => {
      const [row] = await database.query<{ stored: number; duplicate: number; rejected: number }>(
        `select coalesce(sum(events_stored), 0)::float8 as stored,
                coalesce(sum(events_duplicate), 0)::float8 as duplicate,
                coalesce(sum(events_rejected), 0)::float8 as rejected
         from analytics.stream_offsets`,
      );
      if (row === undefined) throw new Error('the database gave no counters');
      return row;
    },
  };
}

export type Counted =
  /** `isComplete` once as many outcomes were counted as events were sent. */
  { counts: Counts; from: string; isComplete: boolean } | { counts: null; reason: string };

const pollMs = 200;
/** A batch that is under way is stored within this time of the last one. */
const restMs = 2_000;

export interface Expected {
  sent: number;
  /** Of those, how many were sent a second time since nobody knows what came of the first. */
  repeated: number;
}

/**
 * Waits until the service has counted every event that was sent since the baseline, or has not
 * counted a further one for `patienceMs`. A reading that fails is tried again meanwhile. What was
 * sent twice may be counted once or twice: then it is all there when there are enough and no more come.
 */
export async function countSince(
  { source, before }: Baseline,
  { sent, repeated }: Expected,
  patienceMs: number,
): Promise<Counted> {
  let counts: Counts = { stored: 0, duplicate: 0, rejected: 0 };
  let fault: string | null = null;
  let grewMs = performance.now();
  for (;;) {
    try {
      const latest = difference(await source.read(), before);
      if (sum(latest) > sum(counts)) grewMs = performance.now();
      counts = latest;
      fault = null;
    } catch (error) {
      fault = messageOf(error);
    }
    const restedMs = performance.now() - grewMs;
    const isComplete =
      fault === null &&
      (sum(counts) >= sent + repeated || (sum(counts) >= sent && restedMs >= restMs));
    if (isComplete) return { counts, from: source.name, isComplete };
    if (restedMs >= patienceMs) {
      return fault === null
        ? { counts, from: source.name, isComplete }
        : { counts: null, reason: fault };
    }
    await sleep(pollMs);
  }
}

export function sum({ stored, duplicate, rejected }: Counts): number {
  return stored + duplicate + rejected;
}

function difference(after: Counts, before: Counts): Counts {
  return {
    stored: after.stored - before.stored,
    duplicate: after.duplicate - before.duplicate,
    rejected: after.rejected - before.rejected,
  };
}
