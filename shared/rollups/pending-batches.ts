import type { Queryable } from '../platform/database/db.ts';

/** Batches stored but not yet in the rollups, and the times their events span. */
export interface PendingBatches {
  ids: readonly number[];
  fromMs: number;
  throughMs: number;
}

/** To be read first in a snapshot that answers from rollups: it says which raw rows to add. */
export async function pendingBatches(snapshot: Queryable): Promise<PendingBatches> {
  const [row] = await snapshot.query<{ ids: number[] | null; first: Date; last: Date }>(
    `select array_agg(batch_id::float8 order by batch_id) as ids,
            min(min_occurred_at) as first, max(max_occurred_at) as last
     from ingestion_batches
     where folded_at is null`,
  );
  if (!row?.ids) return { ids: [], fromMs: 0, throughMs: 0 };
  return { ids: row.ids, fromMs: row.first.getTime(), throughMs: row.last.getTime() };
}
