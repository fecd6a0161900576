import { eventStorage } from '../../shared/events/event-storage.ts';
import type { Database } from '../../shared/platform/database/db.ts';

const dayMs = 86_400_000;
const batchSize = 5_000;
/** Batches of made rows are numbered from here on: no consumer gets that far. */
export const firstMadeBatch = 1_000_000_000;

/** The org that half of all events belong to. */
export const busyOrg = '00000000-0000-4000-8000-00000000b001';
export const [modelCount, clientCount] = [40, 5];

interface MadeRows {
  fromMs: number;
  toMs: number;
  events: number;
  /** Where their batches are numbered from, at least `firstMadeBatch`. */
  firstBatch?: number;
}

/**
 * Events as `usage_events` holds them, evenly over a stretch of time: half of them one org's, the
 * rest over 19 more, 40 models and 5 clients alike, log-normal latencies around 0.8 s, 4% failed.
 * Written straight into the table, a day at a time, as batches that are not yet folded.
 */
export async function makeUsageRows(
  database: Database,
  { fromMs, toMs, events, firstBatch = firstMadeBatch }: MadeRows,
): Promise<void> {
  const days = Array.from(
    { length: Math.ceil((toMs - fromMs) / dayMs) },
    (_, day) => fromMs + day * dayMs,
  );
  await eventStorage(database).ensureDays(days);
  const stepUs = ((toMs - fromMs) * 1_000) / events;
  const makeDays = async (queue: Iterable<[number, number]>) => {
    for (const [index, startMs] of queue) {
      const lengthMs = Math.min(dayMs, toMs - startMs);
      const count = Math.round((lengthMs * 1_000) / stepUs);
      const endMs = startMs + lengthMs;
      await makeDay(database, startMs, endMs, count, stepUs, firstBatch + index * 100_000);
    }
  };
  // Both take from one queue: two cores, two connections.
  const queue = days.entries();
  await Promise.all([makeDays(queue), makeDays(queue)]);
}

async function makeDay(
  database: Database,
  startMs: number,
  endMs: number,
  count: number,
  stepUs: number,
  firstBatchId: number,
): Promise<void> {
  const limits = { statementTimeoutMs: 600_000 };
  await database.transaction(limits, async (transaction) => {
    await transaction.query('select setseed(0.5)');
    await transaction.query(
      `insert into analytics.usage_events (
         org_id, occurred_at, event_id, model_id, actor_id, client_id, latency_ms, status,
         error_code, input_tokens, output_tokens, cost_estimate_cents, input_cost_cents,
         output_cost_cents, metadata, batch_id
       )
       select case when number % 2 = 0 then $1::uuid else ${uuid('number % 19 + 2')} end,
              date_trunc('milliseconds', $2::timestamptz + number * $3::float8 * interval '1 us'),
              gen_random_uuid(), ${uuid('160 + model')}, null, 'client-' || client,
              (800 * exp(0.8 * sqrt(-2 * ln(1 - a)) * cos(2 * pi() * b)))::integer,
              (case when c < 0.96 then 'success' when c < 0.98 then 'error'
                    when c < 0.99 then 'timeout' else 'throttled' end)::analytics.usage_status,
              case when c >= 0.96 then 'code-' || (d * 8)::integer end,
              (4000 * a)::bigint, (900 * d)::bigint,
              round((1.2 * a + 1.35 * d)::numeric, 4), null, null, null,
              $4::bigint + number / ${batchSize}
       from (
         select number, floor(random() * ${modelCount})::integer as model,
                floor(random() * ${clientCount})::integer as client,
                random() as a, random() as b, random() as c, random() as d
         from generate_series(0, $5::integer - 1) as number
       ) as random
       order by 1, 2, 3`,
      [busyOrg, new Date(startMs), stepUs, firstBatchId, count],
    );
    await transaction.query(
      `insert into analytics.ingestion_batches (
         batch_id, stream, received, stored, duplicates, conflicts, rejected,
         min_occurred_at, max_occurred_at
       ) overriding system value
       select batch_id, 'bench', count(*), count(*), 0, 0, 0, min(occurred_at), max(occurred_at)
       from analytics.usage_events
       where occurred_at >= $1 and occurred_at < $2
       group by batch_id`,
      [new Date(startMs), new Date(endMs)],
    );
  });
}

/** SQL for a uuid that ends in a number; `number` is SQL of ours. */
function uuid(number: string): string {
  return `('00000000-0000-4000-8000-' || lpad(to_hex(${number}), 12, '0'))::uuid`;
}
