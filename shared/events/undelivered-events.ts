import type { Queryable } from '../platform/database/db.ts';

/** Their total, by its name in `analytics.counters`. */
export const undeliveredEvents = 'undelivered_events';

/** Counts one event that the platform could not deliver. */
export async function countUndelivered(transaction: Queryable): Promise<void> {
  await transaction.query(
    `insert into analytics.counters as c (name, value) values ($1, 1)
     on conflict (name) do update set value = c.value + 1`,
    [undeliveredEvents],
  );
}
