import { streamLagSeconds } from '../freshness/lag.ts';
import type { Queryable } from '../platform/database/db.ts';
import { dayMs } from '../queries/time-window.ts';
import { lastBatchBefore } from './recent-batches.ts';

export type Grain = 'hourly' | 'daily';

/** A bucket of an org where rollups and raw rows do not agree. */
export interface Drift {
  grain: Grain;
  orgId: string;
  bucketStart: Date;
  /** The measure that is furthest off. */
  measure: string;
  raw: string;
  rollup: string;
  /** Difference over the larger of the two, 0 to 1. */
  ratio: number;
}

export interface Reconciliation {
  from: Date;
  to: Date;
  buckets: Record<Grain, number>;
  /** Buckets beyond the tolerance. */
  driftedBuckets: Record<Grain, number>;
  /** UTC days that hold them, for rebuilding. */
  driftedDays: Date[];
  /** The furthest of them, at most 100 of each grain, furthest off first. */
  drifts: Drift[];
  /** The greatest drift of any bucket, those within the tolerance included. */
  maxRatio: Record<Grain, number>;
  /** Event ids of the last 24 hours that are stored under two identities: a failed deduplication. */
  doubledEventIds: number;
  events24h: number;
  /** Events of the last 24 hours' batches that were turned away: nothing is stored wrongly for it. */
  conflicts24h: number;
  /** Seconds since everything received was stored; null where nothing was ever probed. */
  freshnessLagSeconds: number | null;
}

/** The contract's limits: 0.5% in any org and bucket, 1% of event ids, 5 minutes. */
const driftMax = 0.005;
const dedupeFailureMax = 0.01;
const freshnessLagMaxSeconds = 300;
const driftsShownMax = 100;
const driftsToldMax = 3;
/** Events may be ahead of the clock by 10 minutes. */
const aheadMs = 3_600_000;
const measures = [
  'success_count',
  'error_count',
  'timeout_count',
  'throttled_count',
  'input_tokens',
  'output_tokens',
  'cost_estimate_cents',
];

/**
 * Compares raw rows with the hourly and daily rollups over whole UTC days, in each org and bucket
 * apart, so that errors of opposite sign in two orgs do not cancel out. Only folded batches count.
 *
 * @param snapshot a transaction in mode `snapshot`
 * @param from,to midnights UTC
 */
export async function reconcile(
  snapshot: Queryable,
  from: Date,
  to: Date,
  now = new Date(),
): Promise<Reconciliation> {
  return {
    from,
    to,
    ...(await compare(snapshot, from, to)),
    ...(await doubledIds(snapshot, now)),
    conflicts24h: await conflictsSince(snapshot, new Date(now.getTime() - dayMs)),
    freshnessLagSeconds: await streamLagSeconds(snapshot, now),
  };
}

/**
 * The share of failed deduplications: event ids stored under two identities, or buckets that drift,
 * whichever is the greater share. A duplicate rightly dropped is no failure, nor is a conflict that
 * was turned away.
 */
export function dedupeFailureRatio(result: Reconciliation): number {
  const { doubledEventIds, events24h, buckets, driftedBuckets } = result;
  return Math.max(
    doubledEventIds / Math.max(events24h, 1),
    total(driftedBuckets) / Math.max(total(buckets), 1),
  );
}

/** What is no failure, but something that a person should look at, in words. */
export function warningsOf({ conflicts24h }: Pick<Reconciliation, 'conflicts24h'>): string[] {
  return conflicts24h === 0
    ? []
    : [
        `${conflicts24h} events of the last 24 hours came again with other content or another ` +
          'time, and were not stored: their producer has to mend it',
      ];
}

/** Everything that the contract calls a failure, in words; empty when the numbers hold. */
export function failuresOf(result: Reconciliation): string[] {
  const { drifts, doubledEventIds, events24h, freshnessLagSeconds } = result;
  const drifted = total(result.driftedBuckets);
  return [
    ...(drifted > 0
      ? [
          `${drifted} buckets drift more than ${driftMax * 100}%: ` +
            drifts.slice(0, driftsToldMax).map(driftText).join('; ') +
            (drifted > driftsToldMax ? '; …' : ''),
        ]
      : []),
    ...(doubledEventIds > dedupeFailureMax * events24h
      ? [`${doubledEventIds} event ids of the last 24 hours are stored under two identities`]
      : []),
    ...(freshnessLagSeconds !== null && freshnessLagSeconds > freshnessLagMaxSeconds
      ? [
          `freshness lag is ${Math.round(freshnessLagSeconds)} s, more than ${freshnessLagMaxSeconds} s`,
        ]
      : []),
  ];
}

export function total(byGrain: Record<Grain, number>): number {
  return byGrain.hourly + byGrain.daily;
}

function driftText({ grain, orgId, bucketStart, measure, raw, rollup }: Drift): string {
  const bucket = bucketStart.toISOString().slice(0, grain === 'daily' ? 10 : 16);
  return `${grain} ${bucket} of org ${orgId} has ${measure} ${rollup} where raw events have ${raw}`;
}

interface ComparedRow {
  grain: Grain;
  org_id: string;
  bucket_start: Date;
  measure: string;
  raw: string;
  rollup: string;
  ratio: number;
  buckets: number;
  drifted: number;
  max_ratio: number;
  days: Date[] | null;
}

/** Raw rows are read once, by hour: days are sums of those. */
async function compare(
  snapshot: Queryable,
  from: Date,
  to: Date,
): Promise<
  Pick<Reconciliation, 'buckets' | 'driftedBuckets' | 'driftedDays' | 'drifts' | 'maxRatio'>
> {
  const sums = measures.map((measure) => `sum(${measure}) as ${measure}`).join(', ');
  const counts = ['success', 'error', 'timeout', 'throttled']
    .map((status) => `count(*) filter (where status = '${status}')::numeric as ${status}_count`)
    .join(', ');
  const day = `date_trunc('day', bucket_start, 'UTC')`;
  const rows = await snapshot.query<ComparedRow>(
    `with hours as materialized (
       select org_id, date_trunc('hour', occurred_at, 'UTC') as bucket_start, ${counts},
              sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
              sum(cost_estimate_cents) as cost_estimate_cents
       from analytics.usage_events e
       where occurred_at >= $1 and occurred_at < $2
         and not exists (
           select from analytics.ingestion_batches b
           where b.batch_id = e.batch_id and b.folded_at is null)
       group by 1, 2
     ), raw as (
       select 'hourly' as grain, * from hours
       union all
       select 'daily', org_id, ${day}, ${sums} from hours group by 2, 3
     ), rollup as (
       select 'hourly' as grain, org_id, bucket_start, ${sums} from analytics.usage_hourly
       where bucket_start >= $1 and bucket_start < $2 group by 2, 3
       union all
       select 'daily', org_id, bucket_start, ${sums} from analytics.usage_daily
       where bucket_start >= $1 and bucket_start < $2 group by 2, 3
     ), worst as materialized (
       select grain, org_id, bucket_start, m.*
       from raw full join rollup using (grain, org_id, bucket_start),
            lateral (
              select measure, coalesce(raw, 0) as raw, coalesce(rollup, 0) as rollup,
                     abs(coalesce(raw, 0) - coalesce(rollup, 0))
                       / greatest(raw, rollup, 0.0001) as ratio
              from (values ${measures.map((m) => `('${m}', raw.${m}, rollup.${m})`).join(', ')})
                   as each (measure, raw, rollup)
              order by ratio desc
              limit 1
            ) as m
     ), ranked as (
       select *,
              row_number() over (partition by grain order by ratio desc, bucket_start, org_id) as place,
              (count(*) over (partition by grain))::float8 as buckets,
              (count(*) filter (where ratio > $3) over (partition by grain))::float8 as drifted,
              (max(ratio) over (partition by grain))::float8 as max_ratio
       from worst
     )
     select grain, org_id, bucket_start, measure, raw::text, rollup::text, ratio::float8,
            buckets, drifted, max_ratio,
            case when place = 1 then
              (select array_agg(distinct ${day}) from worst where ratio > $3) end as days
     from ranked
     where place <= $4
     order by ratio desc, place`,
    [from, to, driftMax, driftsShownMax],
  );
  const ofGrain = (field: 'buckets' | 'drifted' | 'max_ratio') => {
    const one = (grain: Grain) => rows.find((row) => row.grain === grain)?.[field] ?? 0;
    return { hourly: one('hourly'), daily: one('daily') };
  };
  return {
    buckets: ofGrain('buckets'),
    driftedBuckets: ofGrain('drifted'),
    driftedDays: (rows[0]?.days ?? []).sort((a, b) => a.getTime() - b.getTime()),
    maxRatio: ofGrain('max_ratio'),
    drifts: rows
      .filter(({ ratio }) => ratio > driftMax)
      .map(({ grain, org_id, bucket_start, measure, raw, rollup, ratio }) => ({
        grain,
        orgId: org_id,
        bucketStart: bucket_start,
        measure,
        raw,
        rollup,
        ratio,
      })),
  };
}

async function doubledIds(
  snapshot: Queryable,
  now: Date,
): Promise<Pick<Reconciliation, 'doubledEventIds' | 'events24h'>> {
  const [ids] = await snapshot.query<{ doubled: number; events: number }>(
    `select count(*) filter (where identities > 1)::float8 as doubled,
            coalesce(sum(identities), 0)::float8 as events
     from (
       select count(*) as identities from analytics.usage_events
       where occurred_at >= $1 and occurred_at < $2
       group by org_id, event_id
     ) as by_id`,
    [new Date(now.getTime() - dayMs), new Date(now.getTime() + aheadMs)],
  );
  return { doubledEventIds: ids?.doubled ?? 0, events24h: ids?.events ?? 0 };
}

async function conflictsSince(snapshot: Queryable, since: Date): Promise<number> {
  const [row] = await snapshot.query<{ conflicts: number }>(
    `select coalesce(sum(conflicts), 0)::float8 as conflicts
     from analytics.ingestion_batches where batch_id > $1`,
    [await lastBatchBefore(snapshot, since)],
  );
  return row?.conflicts ?? 0;
}
