import type { Database, Queryable } from './db.ts';

/** A bucket of an org where rollups and raw rows do not agree. */
export interface Drift {
  grain: 'hourly' | 'daily';
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
  buckets: { hourly: number; daily: number };
  /** Buckets beyond the tolerance, furthest off first. */
  drifts: Drift[];
  /** The greatest drift of any bucket, those within the tolerance included. */
  maxRatio: { hourly: number; daily: number };
  /** Event ids of the last 24 hours that are stored under two identities: a failed deduplication. */
  doubledEventIds: number;
  events24h: number;
  /** Seconds since everything received was stored; null where nothing was ever probed. */
  freshnessLagSeconds: number | null;
}

/** The contract's limits: 0.5% in any org and bucket, 1% of event ids, 5 minutes. */
const driftMax = 0.005;
const dedupeFailureMax = 0.01;
const freshnessLagMaxSeconds = 300;
const driftsShownMax = 100;
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
 * @param from,to midnights UTC
 */
export async function reconcile(database: Database, from: Date, to: Date): Promise<Reconciliation> {
  return database.transaction(
    { mode: 'snapshot', statementTimeoutMs: 300_000 },
    async (snapshot) => {
      const hourly = await compare(snapshot, 'hourly', from, to);
      const daily = await compare(snapshot, 'daily', from, to);
      const [ids] = await snapshot.query<{ doubled: number; events: number }>(
        `select count(*) filter (where identities > 1)::float8 as doubled,
                coalesce(sum(identities), 0)::float8 as events
         from (
           select count(*) as identities from analytics.usage_events
           where occurred_at >= $1 and occurred_at < $2
           group by org_id, event_id
         ) as by_id`,
        [new Date(Date.now() - 86_400_000), new Date(Date.now() + 3_600_000)],
      );
      const [lag] = await snapshot.query<{ seconds: number | null }>(
        `select extract(epoch from clock_timestamp() - min(coalesce(complete_through, created_at)))::float8
                  as seconds
         from analytics.stream_offsets where not retired`,
      );
      return {
        from,
        to,
        buckets: { hourly: hourly.buckets, daily: daily.buckets },
        drifts: [...hourly.drifts, ...daily.drifts].sort((a, b) => b.ratio - a.ratio),
        maxRatio: { hourly: hourly.maxRatio, daily: daily.maxRatio },
        doubledEventIds: ids?.doubled ?? 0,
        events24h: ids?.events ?? 0,
        freshnessLagSeconds: lag?.seconds ?? null,
      };
    },
  );
}

/** Everything that the contract calls a failure, in words; empty when the numbers hold. */
export function failuresOf(result: Reconciliation): string[] {
  const { drifts, doubledEventIds, events24h, freshnessLagSeconds } = result;
  return [
    ...(drifts.length > 0 ? [`${drifts.length} buckets drift more than ${driftMax * 100}%`] : []),
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

interface ComparedRow {
  org_id: string;
  bucket_start: Date;
  measure: string;
  raw: string;
  rollup: string;
  ratio: number;
  buckets: number;
  max_ratio: number;
}

async function compare(
  snapshot: Queryable,
  grain: 'hourly' | 'daily',
  from: Date,
  to: Date,
): Promise<{ buckets: number; drifts: Drift[]; maxRatio: number }> {
  const unit = grain === 'hourly' ? 'hour' : 'day';
  const counts = ['success', 'error', 'timeout', 'throttled']
    .map((status) => `count(*) filter (where status = '${status}')::numeric as ${status}_count`)
    .join(', ');
  const rows = await snapshot.query<ComparedRow>(
    `with raw as (
       select org_id, date_trunc('${unit}', occurred_at, 'UTC') as bucket_start, ${counts},
              sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
              sum(cost_estimate_cents) as cost_estimate_cents
       from analytics.usage_events e
       where occurred_at >= $1 and occurred_at < $2
         and not exists (
           select from analytics.ingestion_batches b
           where b.batch_id = e.batch_id and b.folded_at is null)
       group by 1, 2
     ), rollup as (
       select org_id, bucket_start,
              ${measures.map((measure) => `sum(${measure}) as ${measure}`).join(', ')}
       from analytics.usage_${grain}
       where bucket_start >= $1 and bucket_start < $2
       group by 1, 2
     ), compared as (
       select org_id, bucket_start, m.measure, m.raw, m.rollup,
              abs(m.raw - m.rollup) / greatest(m.raw, m.rollup, 0.0001) as ratio
       from raw full join rollup using (org_id, bucket_start),
            lateral (values ${measures
              .map((m) => `('${m}', coalesce(raw.${m}, 0), coalesce(rollup.${m}, 0))`)
              .join(', ')}) as m (measure, raw, rollup)
     ), worst as (
       select distinct on (org_id, bucket_start) *
       from compared
       order by org_id, bucket_start, ratio desc
     )
     select org_id, bucket_start, measure, raw::text, rollup::text, ratio::float8,
            (count(*) over ())::float8 as buckets, (max(ratio) over ())::float8 as max_ratio
     from worst
     order by ratio desc
     limit $3`,
    [from, to, driftsShownMax],
  );
  return {
    buckets: rows[0]?.buckets ?? 0,
    maxRatio: rows[0]?.max_ratio ?? 0,
    drifts: rows
      .filter(({ ratio }) => ratio > driftMax)
      .map(({ org_id, bucket_start, measure, raw, rollup, ratio }) => ({
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
