import { isOver } from '../expiry.ts';
import type { Queryable } from '../platform/database/db.ts';

/** A stream held by this consumer: where to go on, and the epoch that its commits must carry. */
export interface StreamLease {
  stream: string;
  epoch: number;
  /** Null when nothing of the stream was ever committed. */
  committedOffset: number | null;
  /** Of the message at `committedOffset`. */
  digest: string | null;
}

/** SQL: nobody holds a row's lease. */
export const leaseIsOver = `(owner is null or ${isOver('lease_expires_at')})`;

/**
 * Streams do not compete (every AMQP consumer gets every message), so a consumer first takes the
 * stream's lease (DESIGN 2). Succeeds when it is free, expired, or this owner's own. The clock is
 * the database's alone.
 */
export async function claimLease(
  database: Queryable,
  stream: string,
  owner: string,
  leaseMs: number,
): Promise<StreamLease | null> {
  await database.query(
    'insert into analytics.stream_offsets (stream) values ($1) on conflict do nothing',
    [stream],
  );
  const [row] = await database.query<{
    epoch: number;
    committed_offset: number | null;
    digest: string | null;
  }>(
    `update analytics.stream_offsets set
       owner = $2,
       epoch = epoch + 1,
       retired = false,
       lease_expires_at = clock_timestamp() + make_interval(secs => $3)
     where stream = $1
       and (owner = $2 or ${leaseIsOver})
     returning epoch, committed_offset, committed_digest as digest`,
    [stream, owner, leaseMs / 1_000],
  );
  return row === undefined
    ? null
    : { stream, epoch: row.epoch, committedOffset: row.committed_offset, digest: row.digest };
}

/** Extends a lease while nothing is committed. False when it went to another consumer. */
export async function renewLease(
  database: Queryable,
  { stream, epoch }: StreamLease,
  leaseMs: number,
): Promise<boolean> {
  const renewed = await database.query(
    `update analytics.stream_offsets
     set lease_expires_at = clock_timestamp() + make_interval(secs => $3)
     where stream = $1 and epoch = $2
     returning stream`,
    [stream, epoch, leaseMs / 1_000],
  );
  return renewed.length > 0;
}

/** Gives a lease back, so that another consumer need not wait for it to expire. */
export async function releaseLease(
  database: Queryable,
  { stream, epoch }: StreamLease,
): Promise<void> {
  await database.query(
    `update analytics.stream_offsets set owner = null, lease_expires_at = null
     where stream = $1 and epoch = $2`,
    [stream, epoch],
  );
}
