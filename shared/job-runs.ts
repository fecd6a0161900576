import type { Database } from './platform/database/db.ts';

/**
 * Whether a job is to run now, and notes that it does: true at most once in `minutes`, however many
 * processes ask.
 */
export async function isDue(database: Database, job: string, minutes: number): Promise<boolean> {
  const due = await database.query(
    `insert into analytics.job_runs as j (job, last_success_at, last_duration_ms)
     values ($1, clock_timestamp(), 0)
     on conflict (job) do update set last_success_at = excluded.last_success_at
     where j.last_success_at < clock_timestamp() - make_interval(mins => $2)
     returning job`,
    [job, minutes],
  );
  return due.length > 0;
}
