import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../shared/platform/database/db.ts';
import { startProgram } from './program.ts';
import { firstMadeBatch } from './usage-rows.ts';

export interface Drained {
  eventsPerSecond: number;
  peakMb: number;
}

const patienceMs = 240_000;

/**
 * Runs a consumer on a stream that is full until it has committed `count` events: its rate from
 * taking the lease, when it knows what to read, to the last commit.
 */
export async function drain(
  program: readonly string[],
  settings: Readonly<Record<string, string>>,
  database: Database,
  count: number,
): Promise<Drained> {
  const consumer = await startProgram(program, { ...settings, LOG_LEVEL: 'info' });
  try {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const [row] = await database.query<{ events: number; last: Date }>(
        `select events_stored::float8 as events, committed_at as last
         from analytics.stream_offsets`,
      );
      if (row !== undefined && row.events >= count) {
        const startMs = timeOf(JSON.parse(consumer.logged('"lease taken"') ?? '{}'));
        const eventsPerSecond = (row.events * 1_000) / (row.last.getTime() - startMs);
        return { eventsPerSecond, peakMb: await consumer.peakMb() };
      }
      const fault = consumer.logged('"drain interrupted"');
      if (fault !== undefined) throw new Error(`the consumer was interrupted: ${fault}`);
      if (performance.now() > deadline) throw new Error(`${count} events are not stored`);
      await sleep(20);
    }
  } finally {
    await consumer.stop();
  }
}

function timeOf(line: unknown): number {
  const time = typeof line === 'object' && line !== null && 'time' in line ? line.time : undefined;
  const ms = typeof time === 'number' ? time : Date.parse(String(time));
  if (Number.isNaN(ms)) throw new Error('the log line has no time');
  return ms;
}

/** Forgets what was drained, but not the rows of `makeUsageRows`. */
export async function forgetDrained(database: Database): Promise<void> {
  await database.query(
    `truncate analytics.stream_offsets, analytics.ingestion_batches, analytics.freshness_status,
       analytics.usage_hourly, analytics.usage_daily, analytics.error_hourly, analytics.error_daily`,
  );
  await database.query('delete from analytics.usage_events where batch_id < $1', [firstMadeBatch]);
  // Cuts off the pages at the end, which is where the rows were.
  await database.query('vacuum analytics.usage_events');
}
