import type { Queryable } from '../platform/database/db.ts';

/** Their total, by its name in `analytics.counters`. */
export const undeliveredEvents = 'undelivered_events';

/**
 * Counts one event that the platform could not deliver, of an export that there is. Its id is known
 * to nobody but its tenant and us: what a stranger makes up raises no alarm.
 *
 * @returns whether it was counted
 */
export async function countUndelivered(transaction: Queryable, jobId: string): Promise<boolean> {
  const counted = await transaction.query(
    `insert into analytics.counters as c (name, value)
     select $1, 1 where exists (select from analytics.export_jobs where job_id = $2)
     on conflict (name) do update set value = c.value + 1
     returning 1`,
    [undeliveredEvents, jobId],
  );
  return counted.length > 0;
}
