import { createHash } from 'node:crypto';
import type { Broker, StreamMessage } from '../platform/broker/stream.ts';
import type { Queryable } from '../platform/database/db.ts';
import { ServiceError } from '../platform/errors.ts';
import { leaseIsOver } from './lease.ts';

/** How far a stream was read, and the message that lay there. */
export interface ReadMark {
  committedOffset: number;
  /**
   * Null where it was written down before digests were. It names its offset, since an older release
   * at work beside this one, or a hand, may move the offset alone.
   */
  digest: string | null;
}

/** What tells a message from another that lies at its offset in a stream made anew. */
export function messageDigest({ offset, content }: Pick<StreamMessage, 'offset' | 'content'>) {
  return `${offset}:${createHash('sha256').update(content).digest('hex').slice(0, 16)}`;
}

/**
 * Whether the stream is still the one that was read up to the mark. AMQP gives streams no identity,
 * and one that was deleted and made anew may be longer than the old one by now: read on from the
 * mark, everything before it would be passed over in silence.
 *
 * @param head the newest offset, or null in an empty stream
 * @returns true also where retention removed the message by which to tell
 * @throws ServiceError `unavailable` when the broker does not deliver what it has
 */
export async function isSameStream(
  broker: Broker,
  stream: string,
  { committedOffset, digest }: ReadMark,
  head: number | null,
): Promise<boolean> {
  if (head === null || head < committedOffset) return false;
  if (digest === null || !digest.startsWith(`${committedOffset}:`)) return true;
  const message = await broker.firstFrom(stream, committedOffset);
  if (message === null) {
    throw new ServiceError(
      'unavailable',
      `RabbitMQ did not deliver offset ${committedOffset} of ${stream}`,
    );
  }
  return message.offset > committedOffset || messageDigest(message) === digest;
}

/**
 * Starts a stream over that was deleted and made anew: what is read again is deduplicated. What was
 * seen in the old one and never read went with it, and is counted as lost.
 *
 * @param epoch of the consumer that holds the lease, or null where nobody may hold it
 * @returns the messages lost, or null when the lease is another's or the offset has moved
 */
export async function startOver(
  database: Queryable,
  stream: string,
  committedOffset: number,
  epoch: number | null,
): Promise<number | null> {
  const [row] = await database.query<{ lost: number }>(
    `with before as (
       select greatest(seen_offset - committed_offset, 0) as lost
       from analytics.stream_offsets
       where stream = $1 and committed_offset = $2
         and (epoch = $3 or $3::bigint is null and ${leaseIsOver})
       for update
     )
     update analytics.stream_offsets
     set committed_offset = null, committed_digest = null, head_offset = null,
         target_offset = null, seen_offset = null,
         messages_lost = messages_lost + coalesce(lost, 0)
     from before
     where stream = $1
     returning coalesce(lost, 0) as lost`,
    [stream, committedOffset, epoch],
  );
  return row?.lost ?? null;
}
