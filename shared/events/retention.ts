import { isDue } from '../job-runs.ts';
import type { Database } from '../platform/database/db.ts';
import { dayMs } from '../queries/time-window.ts';

const intervalMinutes = 60;
const rowsPerStatement = 10_000;
const statementsPerTableMax = 20;
/** Folded batches are kept for looking back on an incident, not for any answer. */
const batchesKeptDays = 35;

/**
 * Removes rollup rows past retention and records of batches folded long ago: once an hour, however
 * often it is called, and a bounded number; what is left goes the next time.
 */
export async function dropOldRollups(
  database: Database,
  retentionDays: number,
  nowMs: number,
): Promise<void> {
  if (!(await isDue(database, 'retention', intervalMinutes))) return;
  const cut = new Date(Math.floor(nowMs / dayMs - retentionDays - 1) * dayMs);
  for (const table of ['usage_hourly', 'usage_daily', 'error_hourly', 'error_daily']) {
    await deleteInSteps(database, table, 'bucket_start < $1', cut);
  }
  const batchCut = new Date(nowMs - batchesKeptDays * dayMs);
  await deleteInSteps(database, 'ingestion_batches', 'folded_at < $1', batchCut);
}

/** `table` and `condition` are ours. */
async function deleteInSteps(
  database: Database,
  table: string,
  condition: string,
  cut: Date,
): Promise<void> {
  for (let step = 0; step < statementsPerTableMax; step += 1) {
    const deleted = await database.query<{ rows: number }>(
      `with gone as (
         delete from analytics.${table}
         where ctid in (select ctid from analytics.${table} where ${condition} limit $2)
         returning 1
       )
       select count(*)::int as rows from gone`,
      [cut, rowsPerStatement],
    );
    if ((deleted[0]?.rows ?? 0) < rowsPerStatement) return;
  }
}
