import type { Broker } from '../platform/broker/stream.ts';
import type { Queryable } from '../platform/database/db.ts';
import { lastBatchBefore } from '../rollups/recent-batches.ts';

/** Offsets of a stream that no batch covers, between batches or before where reading goes on. */
export interface OffsetGap {
  stream: string;
  first: number;
  last: number;
  /**
   * `skipped`: the stream holds messages there that were never stored. `lost`: the stream holds
   * nothing there any more, and no consumer counted it as lost. `counted`: one did, in
   * `messages_lost`. `empty`: offsets that the broker used for itself. `unknown`: nobody was there
   * to ask.
   */
  kind: 'skipped' | 'lost' | 'counted' | 'empty' | 'unknown';
}

export interface FoundGap extends Pick<OffsetGap, 'stream' | 'first' | 'last'> {
  /** What the stream's consumers counted as lost, in all. */
  counted: number;
}

const gapsMax = 100;
/** Each is a consumer opened at the broker. */
const askedMax = 20;
/** RabbitMQ takes single offsets for its own records (6 in 20,000, measured). */
const brokerOffsetsMax = 10;

/**
 * Says of each gap what it is, as far as the stream can tell. What cannot be seen any more is
 * explained by a counted loss of at least its size, each loss once.
 *
 * @param broker null where there is none to ask
 */
export async function judgeGaps(
  found: readonly FoundGap[],
  broker: Broker | null,
): Promise<OffsetGap[]> {
  const tails = new Map<string, number | null>();
  const losses = new Map(found.map(({ stream, counted }) => [stream, counted]));
  const gaps: OffsetGap[] = [];
  for (const [index, { stream, first, last }] of found.entries()) {
    const gap = { stream, first, last };
    let kind = await ask(index < askedMax ? broker : null, gap, tails);
    if (kind === 'lost' || kind === 'unknown') {
      const left = (losses.get(stream) ?? 0) - sizeOf(gap);
      if (left >= 0) {
        losses.set(stream, left);
        kind = 'counted';
      } else if (sizeOf(gap) <= brokerOffsetsMax) {
        kind = 'empty';
      }
    }
    gaps.push({ ...gap, kind });
  }
  return gaps;
}

function sizeOf({ first, last }: Pick<OffsetGap, 'first' | 'last'>): number {
  return last - first + 1;
}

/** Whether nothing of ours is missing there. */
export function isExplained({ kind }: OffsetGap): boolean {
  return kind === 'counted' || kind === 'empty';
}

const meanings: Record<OffsetGap['kind'], string> = {
  skipped: 'the stream still holds messages there: they were passed over',
  lost: 'the stream no longer holds them',
  counted: 'counted as lost',
  empty: 'the broker used them itself',
  unknown: 'the stream was not there to ask',
};

/** An unexplained gap in words. */
export function gapFailure({ stream, first, last, kind }: OffsetGap): string {
  return `stream ${stream}: offsets ${first} to ${last} were never stored (${meanings[kind]})`;
}

/**
 * Batches of a stream follow one another by their number. Where one begins beyond the last one's
 * end, or the committed offset lies beyond the last batch, something was passed over; unless later
 * batches went back and read it. Duplicates and rejects are in the batches, so they are no gaps.
 *
 * @param since batches stored since then
 * @returns the largest first, at most 100
 */
export async function findGaps(snapshot: Queryable, since: Date): Promise<FoundGap[]> {
  return snapshot.query<FoundGap>(
    `with batches as materialized (
       select batch_id, stream, first_offset, last_offset
       from analytics.ingestion_batches
       where batch_id > $1 and first_offset is not null
     ), steps as (
       select stream, batch_id, lag(last_offset) over by_stream + 1 as first,
              first_offset - 1 as last
       from (
         select * from batches
         union all
         select $2::bigint, stream, committed_offset + 1, committed_offset
         from analytics.stream_offsets
         where committed_offset is not null
       ) as batches_and_end
       window by_stream as (partition by stream order by batch_id)
     ), gaps as (
       select stream,
              unnest(int8multirange(int8range(first, last, '[]')) - coalesce((
                select range_agg(int8range(first_offset, last_offset, '[]'))
                from batches later
                where later.stream = steps.stream and later.batch_id > steps.batch_id
                  and later.last_offset >= steps.first and later.first_offset <= steps.last
              ), '{}')) as gap
       from steps
       where last >= first
     )
     select stream, lower(gap) as first, upper(gap) - 1 as last, messages_lost as counted
     from gaps join analytics.stream_offsets using (stream)
     order by upper(gap) - lower(gap) desc, stream, first
     limit $3`,
    [await lastBatchBefore(snapshot, since), Number.MAX_SAFE_INTEGER, gapsMax],
  );
}

async function ask(
  broker: Broker | null,
  { stream, first, last }: Pick<OffsetGap, 'stream' | 'first' | 'last'>,
  tails: Map<string, number | null>,
): Promise<OffsetGap['kind']> {
  if (broker === null) return 'unknown';
  try {
    if (!(await broker.exists(stream))) return 'unknown';
    const found = await broker.firstFrom(stream, first);
    if (found !== null && found.offset <= last) return 'skipped';
    if (!tails.has(stream)) tails.set(stream, await broker.tail(stream));
    const tail = tails.get(stream) ?? null;
    return tail === null || tail > first ? 'lost' : 'empty';
  } catch {
    // A broker that went away says nothing about our batches.
    return 'unknown';
  }
}
