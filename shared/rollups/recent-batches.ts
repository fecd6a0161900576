import type { Queryable } from '../platform/database/db.ts';

/**
 * The newest batch stored before `since`: batches above it are those stored since then. Walks back
 * from the newest by the primary key, so that it costs what there is to find, however many batches
 * are remembered. 0 when there is none.
 */
export async function lastBatchBefore(snapshot: Queryable, since: Date): Promise<number> {
  const [row] = await snapshot.query<{ id: number }>(
    `select batch_id as id from analytics.ingestion_batches
     where committed_at < $1
     order by batch_id desc
     limit 1`,
    [since],
  );
  return row?.id ?? 0;
}
