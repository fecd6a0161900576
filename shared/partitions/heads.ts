import type { Broker } from '../platform/broker/stream.ts';
import type { Database, Queryable } from '../platform/database/db.ts';
import { isSameStream, startOver } from './identity.ts';

/** The row of events taken over HTTP without a stream: stored before they are answered. */
export const directStream = 'http';

/**
 * Looks up the newest offset of each stream and writes it down, for completeness and for the
 * scaler, which cannot ask the stream itself. Without a broker events are stored as they are taken,
 * so everything is complete now.
 *
 * Streams no longer configured stop counting once they are drained; until then they hold
 * completeness back, as they should. They are looked at ever after, since a producer that still has
 * the old setting may bring one back.
 *
 * @param broker null without RabbitMQ
 */
export async function probeHeads(
  database: Database,
  broker: Broker | null,
  streams: readonly string[],
): Promise<void> {
  const configured = broker === null ? [directStream] : streams;
  for (const stream of configured) await probeHead(database, broker, stream, true);
  if (broker === null) {
    await retireDrained(database, configured);
    return;
  }
  for (const stream of await othersThan(database, configured)) {
    await probeHead(database, broker, stream, false);
  }
}

async function probeHead(
  database: Queryable,
  broker: Broker | null,
  stream: string,
  isConfigured: boolean,
): Promise<void> {
  const before = await beforeProbe(database, stream);
  const head = await headOf(broker, stream);
  const isKnown = await startAnewWhereRemade(database, broker, stream, before, head);
  await recordHead(
    database,
    stream,
    { head, seen: isKnown ? head : null },
    before.time,
    isConfigured,
  );
}

interface KnownBefore {
  time: Date;
  committedOffset: number | null;
  digest: string | null;
  /** Of the last probe. */
  head: number | null;
}

/** The probe's time is taken first, by the clock of the database, which all processes share. */
async function beforeProbe(database: Queryable, stream: string): Promise<KnownBefore> {
  const [row] = await database.query<KnownBefore>(
    `select clock_timestamp() as time, s.committed_offset as "committedOffset",
            s.committed_digest as digest, s.head_offset as head
     from (select $1::text as stream) as asked
     left join analytics.stream_offsets s using (stream)`,
    [stream],
  );
  if (row === undefined) throw new Error('the database did not tell the time');
  return row;
}

/**
 * Without a consumer the offset of a stream that was deleted and made anew would make its lag zero,
 * or nearly so, and no scaler would ever start one. A consumer that holds the lease finds out by
 * itself. A head below what was committed must show twice in a row: a replica may lag behind for a
 * moment after a failover.
 *
 * @returns whether the head is that of the stream that the row tells of
 */
async function startAnewWhereRemade(
  database: Queryable,
  broker: Broker | null,
  stream: string,
  { committedOffset, digest, head: headBefore }: KnownBefore,
  head: number | null,
): Promise<boolean> {
  if (broker === null || head === null || committedOffset === null) return true;
  if (await isSameStream(broker, stream, { committedOffset, digest }, head)) return true;
  const isCertain =
    head >= committedOffset || (headBefore !== null && headBefore < committedOffset);
  return isCertain && (await startOver(database, stream, committedOffset, null)) !== null;
}

async function headOf(broker: Broker | null, stream: string): Promise<number | null> {
  if (broker === null || !(await broker.exists(stream))) return null;
  return broker.head(stream);
}

/**
 * Everything received before the probe has an offset up to `head`: once the committed offset
 * reaches it, the stream is complete through `probedAt`. A probe not yet reached is kept rather
 * than replaced, or a consumer that never quite catches up would never be complete.
 */
async function recordHead(
  database: Queryable,
  stream: string,
  { head, seen }: { head: number | null; seen: number | null },
  probedAt: Date,
  isConfigured: boolean,
): Promise<void> {
  await database.query(
    `insert into analytics.stream_offsets as s
       (stream, head_offset, head_probed_at, target_offset, target_probed_at, complete_through,
        seen_offset)
     values ($1, $2::bigint, $3::timestamptz, $2,
             case when $2 is not null then $3 end, case when $2 is null then $3 end, $5::bigint)
     on conflict (stream) do update set
       seen_offset = greatest(s.seen_offset, excluded.seen_offset),
       head_offset = excluded.head_offset,
       head_probed_at = excluded.head_probed_at,
       complete_through = case when ${reached} then excluded.head_probed_at
                               else s.complete_through end,
       target_offset = case when ${reached} then null
                            else coalesce(s.target_offset, excluded.head_offset) end,
       target_probed_at = case when ${reached} then null
                               when s.target_offset is null then excluded.head_probed_at
                               else s.target_probed_at end,
       retired = not $4 and coalesce(${reached}, false)`,
    [stream, head, probedAt, isConfigured, seen],
  );
}

/**
 * Equal, not beyond: an offset beyond the head was either committed since the probe, and the next
 * commit or probe will do, or it is of a stream that was deleted and made anew, of which nothing
 * has been read.
 */
const reached = '(excluded.head_offset is null or s.committed_offset = excluded.head_offset)';

async function othersThan(database: Queryable, configured: readonly string[]): Promise<string[]> {
  const others = await database.query<{ stream: string }>(
    `select stream from analytics.stream_offsets where stream <> all($1::text[]) order by stream`,
    [configured],
  );
  return others.map(({ stream }) => stream);
}

/** Without a broker, by what was last known of the other streams. */
async function retireDrained(database: Queryable, configured: readonly string[]): Promise<void> {
  await database.query(
    `update analytics.stream_offsets set retired = true
     where not retired and stream <> all($1::text[])
       and (head_offset is null or committed_offset >= head_offset)`,
    [configured],
  );
}
