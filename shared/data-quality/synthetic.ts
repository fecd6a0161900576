import type { EventSink } from '../events/event-sink.ts';
import type { UsageEvent, UsageStatus } from '../events/usage-event.ts';
import type { Database } from '../platform/database/db.ts';
import { ServiceError } from '../platform/errors.ts';
import { hourMs, planWindow } from '../queries/time-window.ts';
import { type UsageSums, usageTotals } from '../queries/usage-query.ts';
import { pendingBatches } from '../rollups/pending-batches.ts';

/**
 * The org that verify sends known events for. Reserved: no tenant may have it. It is an org like
 * any other, listed for admins under its name, so that lists and sums over all orgs agree; its
 * events cost nothing, so that no sum of money changes.
 */
export const syntheticOrgId = '73796e74-6865-4000-8000-000000000001';
const syntheticModelId = '73796e74-6865-4000-8000-0000000000a1';
const syntheticName = 'Synthetic check';

export type SyntheticStatus = 'passed' | 'failed' | 'waiting' | 'off';

export interface SyntheticCheck {
  status: SyntheticStatus;
  /** The UTC hour whose answer was compared. */
  hour: Date;
  expected: UsageSums;
  /** Null when nothing was asked. */
  found: UsageSums | null;
}

/** Enough for a consumer that runs; one that must be started is judged by the next run. */
const defaultVisibleMaxMs = 10_000;
const lookEveryMs = 250;
/** A function that has just started may connect for longer than a sink waits. */
const sendTries = 3;
/** Less than the five minutes between two runs, so that the second of them judges. */
const graceMs = 4 * 60_000;
const eventsPerHour = 4;
const statuses: readonly UsageStatus[] = ['success', 'success', 'error', 'timeout'];

/**
 * Sends this hour's known events, as any producer would, and asks the usage query for the hour: it
 * must answer exactly them. Their ids are the hour's, so that sending again adds nothing.
 *
 * @param sink null where verify cannot send: then nothing is asked
 */
export async function syntheticCheck(
  database: Database,
  sink: EventSink | null,
  nowMs: number,
  visibleMaxMs = defaultVisibleMaxMs,
): Promise<SyntheticCheck> {
  const hour = new Date(Math.floor(nowMs / hourMs) * hourMs);
  const expected = sumsOf(syntheticEvents(hour.getTime()));
  if (sink === null) return { status: 'off', hour, expected, found: null };
  let found = await hourSums(database, hour);
  if (found.invocations < expected.invocations) {
    await send(database, sink, hour);
    const deadline = performance.now() + visibleMaxMs;
    do {
      found = await hourSums(database, hour);
      if (found.invocations >= expected.invocations) break;
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    } while (performance.now() < deadline);
  }
  const isVisible = found.invocations >= expected.invocations;
  const status = isSame(found, expected)
    ? 'passed'
    : isVisible || (await hasWaited(database, hour))
      ? 'failed'
      : 'waiting';
  return { status, hour, expected, found };
}

/** The failure in words, if it is one. */
export function syntheticFailures({ status, hour, expected, found }: SyntheticCheck): string[] {
  if (status !== 'failed' || found === null) return [];
  const text = ({ invocations, errors, inputTokens, outputTokens }: UsageSums) =>
    `${invocations} invocations, ${errors} errors, ${inputTokens} and ${outputTokens} tokens`;
  return [
    `synthetic check of ${hour.toISOString()}: the usage query gives ${text(found)} ` +
      `where ${text(expected)} were sent`,
  ];
}

/** The known events of an hour, in its first seconds. */
export function syntheticEvents(hourStartMs: number): UsageEvent[] {
  return Array.from({ length: eventsPerHour }, (_, index) => {
    const status = statuses[index] ?? 'success';
    const number = (hourStartMs / hourMs) * eventsPerHour + index;
    return {
      eventId: `73796e74-6865-8000-8000-${number.toString(16).padStart(12, '0')}`,
      orgId: syntheticOrgId,
      modelId: syntheticModelId,
      actorId: null,
      clientId: 'verify',
      occurredAtMs: hourStartMs + index * 1_000,
      latencyMs: 100 * (index + 1),
      status,
      errorCode: status === 'success' ? null : 'synthetic',
      // Primes, so that no sum stands for another.
      inputTokens: [101, 211, 307, 401][index] ?? 0,
      outputTokens: [11, 23, 31, 41][index] ?? 0,
      costEstimateCents: '0',
      inputCostCents: null,
      outputCostCents: null,
      metadata: null,
    };
  });
}

function sumsOf(events: readonly UsageEvent[]): UsageSums {
  const sum = (of: (event: UsageEvent) => number) => events.reduce((sum, one) => sum + of(one), 0);
  return {
    invocations: events.length,
    errors: sum(({ status }) => (status === 'success' ? 0 : 1)),
    inputTokens: String(sum(({ inputTokens }) => inputTokens)),
    outputTokens: String(sum(({ outputTokens }) => outputTokens)),
    costEstimateCents: '0',
  };
}

function isSame(a: UsageSums, b: UsageSums): boolean {
  return (
    a.invocations === b.invocations &&
    a.errors === b.errors &&
    a.inputTokens === b.inputTokens &&
    a.outputTokens === b.outputTokens &&
    a.costEstimateCents === b.costEstimateCents
  );
}

async function hourSums(database: Database, hour: Date): Promise<UsageSums> {
  const startMs = hour.getTime();
  const range = { startMs, endMs: startMs + hourMs };
  const plan = planWindow({ ...range, granularity: 'hour', timeZone: 'UTC' });
  const filter = { orgId: syntheticOrgId, modelIds: [], clientIds: [] };
  return database.transaction({ mode: 'snapshot' }, async (snapshot) =>
    usageTotals(snapshot, plan, await pendingBatches(snapshot), filter),
  );
}

async function send(database: Database, sink: EventSink, hour: Date): Promise<void> {
  for (const [table, key, id] of [
    ['orgs', 'org_id', syntheticOrgId],
    ['models', 'model_id', syntheticModelId],
  ]) {
    await database.query(
      `insert into analytics.${table} (${key}, name) values ($1, $2) on conflict do nothing`,
      [id, syntheticName],
    );
  }
  for (let attempt = 1; attempt <= sendTries; attempt += 1) {
    try {
      await sink.accept(syntheticEvents(hour.getTime()));
      return;
    } catch (error) {
      // The events stay away, and that is what the check then says.
      if (!(error instanceof ServiceError)) throw error;
    }
  }
}

/** Whether a run earlier in this hour had sent the events, long enough ago to be seen by now. */
async function hasWaited(database: Database, hour: Date): Promise<boolean> {
  const [row] = await database.query<{ waited: boolean }>(
    `select exists (
       select from analytics.data_quality_runs
       where synthetic_check in ('waiting', 'failed') and started_at >= $1
         and started_at < clock_timestamp() - make_interval(secs => $2)) as waited`,
    [hour, graceMs / 1_000],
  );
  return row?.waited === true;
}
