import type { Queryable } from '../platform/database/db.ts';
import { lastBatchBefore } from '../rollups/recent-batches.ts';
import { type RecentIds, rememberedMs } from './recent-ids.ts';

interface StoredBatch {
  id: number;
  stored: number;
  first: Date;
  last: Date;
  committed: Date;
}

const rowsPerReadMax = 25_000;
/** So that no read opens all partitions because of one late event. */
const lateMaxMs = 2 * 86_400_000;

/**
 * Reads from storage the ids that a stream's last hour brought and `ids` does not know: all of them
 * where it is new, else what others stored meanwhile, and a batch of its own whose commit was never
 * answered. The newest, where there is no room for all; and none of events that were more than
 * two days late.
 */
export async function recallIds(
  database: Queryable,
  ids: RecentIds,
  stream: string,
  nowMs: number,
): Promise<number> {
  let recalled = 0;
  for (const batches of inReads(await newBatches(database, ids, stream, nowMs))) {
    recalled += await recall(database, ids, batches);
    ids.lastBatch = batches.at(-1)?.id ?? ids.lastBatch;
  }
  return recalled;
}

/** The oldest first, and no more than there is room for. */
async function newBatches(
  database: Queryable,
  ids: RecentIds,
  stream: string,
  nowMs: number,
): Promise<StoredBatch[]> {
  const before = await lastBatchBefore(database, new Date(nowMs - rememberedMs));
  const newest = await database.query<StoredBatch>(
    `select id, stored, first, last, committed
     from (
       select batch_id as id, stored, min_occurred_at as first, max_occurred_at as last,
              committed_at as committed,
              sum(stored) over (order by batch_id desc) - stored as newer
       from analytics.ingestion_batches
       where batch_id > $1 and stream = $2 and stored > 0
     ) as batches
     where newer < $3
     order by id`,
    [Math.max(before, ids.lastBatch), stream, ids.idsMax],
  );
  return newest;
}

function* inReads(batches: readonly StoredBatch[]): Generator<StoredBatch[]> {
  let some: StoredBatch[] = [];
  let rows = 0;
  for (const batch of batches) {
    if (some.length > 0 && rows + batch.stored > rowsPerReadMax) {
      yield some;
      some = [];
      rows = 0;
    }
    some.push(batch);
    rows += batch.stored;
  }
  if (some.length > 0) yield some;
}

async function recall(
  database: Queryable,
  ids: RecentIds,
  batches: readonly StoredBatch[],
): Promise<number> {
  const numbers = batches.map(({ id }) => id);
  const earliestMs = Math.min(...batches.map(({ committed }) => committed.getTime())) - lateMaxMs;
  const firstMs = Math.min(...batches.map(({ first }) => first.getTime()));
  const rows = await database.query<{
    batch: number;
    orgId: string;
    eventId: string;
    occurredAt: Date;
  }>(
    `select batch_id as batch, org_id as "orgId", event_id as "eventId",
            occurred_at as "occurredAt"
     from analytics.usage_events
     where occurred_at >= $1 and occurred_at <= $2
       and batch_id between $3 and $4
       and batch_id in (select unnest($5::bigint[]))
     order by batch_id`,
    [
      new Date(Math.max(firstMs, earliestMs)),
      new Date(Math.max(...batches.map(({ last }) => last.getTime()))),
      Math.min(...numbers),
      Math.max(...numbers),
      numbers,
    ],
  );
  const committed = new Map(batches.map(({ id, committed: at }) => [id, at.getTime()]));
  const prints = ids.prints(rows);
  for (const [place, { batch, occurredAt }] of rows.entries()) {
    ids.learn(prints, place, occurredAt.getTime(), committed.get(batch) ?? 0);
  }
  return rows.length;
}
