import type { Broker } from '../platform/broker/stream.ts';
import type { Queryable } from '../platform/database/db.ts';

/** Long enough for a schedule that misses a few minutes; what is older says nothing about now. */
const knownForMinutes = 15;

/** Writes down how many messages wait, since the status function asks tables alone. */
export async function recordDepth(
  database: Queryable,
  broker: Broker,
  queue: string,
): Promise<void> {
  const messages = (await broker.exists(queue)) ? await broker.messageCount(queue) : 0;
  await database.query(
    `insert into analytics.dead_letter_queues (queue, messages, probed_at)
     values ($1, $2, clock_timestamp())
     on conflict (queue) do update set
       messages = excluded.messages, probed_at = excluded.probed_at`,
    [queue, messages],
  );
}

/** Queues that were counted lately: none where the broker is away, or there is none. */
export async function knownDepths(
  database: Queryable,
  now: Date,
): Promise<{ queue: string; messages: number }[]> {
  return database.query(
    `select queue, messages from analytics.dead_letter_queues
     where probed_at > $1::timestamptz - make_interval(mins => $2)
     order by queue`,
    [now, knownForMinutes],
  );
}
