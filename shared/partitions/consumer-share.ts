import { isOver } from '../expiry.ts';
import type { Queryable } from '../platform/database/db.ts';
import { directStream } from './heads.ts';
import { leaseIsOver } from './lease.ts';

/** What there is to drain, and how much of it is one consumer's share. */
export interface ConsumerShare {
  /** The configured streams, and those that were configured once and are not drained yet. */
  streams: { stream: string; isFree: boolean }[];
  /** Streams that one consumer drains at most, so that all who are awake have as many. */
  streamsMax: number;
  /** By the database's clock. */
  nowMs: number;
}

/** Says that this consumer is awake, and asks who else is. The clock is the database's alone. */
export async function consumerShare(
  database: Queryable,
  owner: string,
  configured: readonly string[],
  leaseMs: number,
): Promise<ConsumerShare> {
  await database.query(
    `insert into analytics.consumers (owner, expires_at)
     values ($1, clock_timestamp() + make_interval(secs => $2))
     on conflict (owner) do update set expires_at = excluded.expires_at`,
    [owner, leaseMs / 1_000],
  );
  const streams = await database.query<{
    stream: string;
    isFree: boolean;
    now: Date;
    awake: number;
  }>(
    `select stream,
            owner = $1 or ${leaseIsOver} as "isFree", clock_timestamp() as now,
            (select count(*) from analytics.consumers where not ${isOver('expires_at')})::integer
              as awake
     from unnest($2::text[]) as configured (stream)
     full join (
       select * from analytics.stream_offsets
       where stream = any($2::text[]) or (not retired and stream <> $3)
     ) s using (stream)
     order by stream`,
    [owner, configured, directStream],
  );
  const awake = Math.max(1, streams[0]?.awake ?? 1);
  const nowMs = streams[0]?.now.getTime() ?? Date.now();
  return { streams, streamsMax: Math.ceil(streams.length / awake), nowMs };
}

/** Leaves its share to the others at once, and tidies up after those that left without a word. */
export async function leaveShare(database: Queryable, owner: string): Promise<void> {
  await database.query(
    `delete from analytics.consumers
     where owner = $1 or expires_at < clock_timestamp() - interval '1 day'`,
    [owner],
  );
}
