import type { Queryable } from './db.ts';
import { binValueMs } from './histogram.ts';
import type { PendingBatches } from './pending-batches.ts';
import { pointsMax, tooManyPoints, type WindowPlan } from './time-window.ts';
import { type Grouping, groupColumns, rawCounts, rawHistogram, toGroup } from './usage-query.ts';
import { type UsageFilter, Values, windowRows } from './window-sql.ts';

export interface ReliabilitySums {
  invocations: number;
  /** Of error, timeout and throttled, 0 to 1. */
  errorRate: number;
  statusCounts: { success: number; error: number; timeout: number; throttled: number };
  /** Whole milliseconds, within 2% of the exact value. Null without events. */
  latencyMs: { p50: number | null; p95: number | null; p99: number | null };
}

export interface ReliabilityPoint extends ReliabilitySums {
  bucketStart: string;
  modelId?: string;
  clientId?: string | null;
}

export interface TopError {
  /** Null where the event gave no code. */
  errorCode: string | null;
  modelId: string;
  clientId: string | null;
  count: number;
}

export interface ReliabilityAnswer {
  series: ReliabilityPoint[];
  totals: ReliabilitySums;
  topErrors: TopError[];
}

const topErrorsMax = 10;

const reliabilitySource = {
  daily: 'usage_daily',
  hourly: 'usage_hourly',
  columns: 'success_count, error_count, timeout_count, throttled_count, latency_histogram',
  rawColumns: `${rawCounts}, ${rawHistogram}`,
};

const errorSource = {
  daily: 'error_daily',
  hourly: 'error_hourly',
  columns: 'error_code, event_count',
  rawColumns: `coalesce(e.error_code, ''), 1::bigint`,
  rawCondition: `e.status <> 'success'`,
};

interface ReliabilityRow {
  is_total: boolean;
  bucket: number;
  model_id?: string;
  client_id?: string;
  success: number | null;
  error: number | null;
  timeout: number | null;
  throttled: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

/**
 * Status counts and latency percentiles by local bucket, model and client, with totals, and the
 * most frequent errors of the window. A percentile is the smallest bin that reaches its share of
 * the events, as percentile_disc has it.
 *
 * @param snapshot a transaction in mode `snapshot` in which `pending` was read
 * @throws ServiceError `invalid_request` when the series has more than 10,000 points.
 */
export async function reliabilityQuery(
  snapshot: Queryable,
  plan: WindowPlan,
  pending: PendingBatches,
  filter: UsageFilter,
  grouping: Grouping,
): Promise<ReliabilityAnswer> {
  const values = new Values();
  const columns = ['bucket', ...groupColumns(grouping)];
  const groups = columns.join(', ');
  const rows = await snapshot.query<ReliabilityRow>(
    `with ${windowRows('usage', plan, pending, filter, reliabilitySource, values)}, counts as (
       select grouping(bucket) = 1 as is_total, ${groups},
              sum(success_count)::bigint as success, sum(error_count)::bigint as error,
              sum(timeout_count)::bigint as timeout, sum(throttled_count)::bigint as throttled
       from usage
       group by grouping sets ((${groups}), ())
     ), bins as (
       select grouping(bucket) = 1 as is_total, ${groups}, bin, sum(events) as events
       from (
         select ${groups}, (packed & 511) - 1 as bin, packed >> 9 as events
         from usage, unnest(latency_histogram) as packed
       ) as unpacked
       group by grouping sets ((${groups}, bin), (bin))
     ), ranks as (
       select is_total, ${groups}, bin,
              sum(events) over (partition by is_total, ${groups} order by bin) as upto,
              sum(events) over (partition by is_total, ${groups}) as of_all
       from bins
     ), percentiles as (
       select is_total, ${groups},
              min(bin) filter (where upto >= 0.50 * of_all) as p50,
              min(bin) filter (where upto >= 0.95 * of_all) as p95,
              min(bin) filter (where upto >= 0.99 * of_all) as p99
       from ranks
       group by is_total, ${groups}
     )
     select counts.*, p50, p95, p99
     from counts left join percentiles
       on ${['is_total', ...columns].map(sameOrNull).join(' and ')}
     order by is_total desc, ${columns.map((column) => `counts.${column}`).join(', ')}
     limit ${pointsMax + 2}`,
    values.list,
  );
  const [total, ...points] = rows;
  if (total?.is_total !== true) throw new Error('the reliability query returned no totals');
  if (points.length > pointsMax) throw tooManyPoints(points.length);
  return {
    series: points.map((row) => ({ ...toGroup(row, plan), ...toSums(row) })),
    totals: toSums(total),
    topErrors: await topErrors(snapshot, plan, pending, filter),
  };
}

/** The totals have no group. `is not distinct from` would say so too, but cannot be hashed. */
function sameOrNull(column: string): string {
  const [left, right] = ['counts', 'percentiles'].map(
    (table) => `coalesce(${table}.${column}::text, '')`,
  );
  return `${left} = ${right}`;
}

async function topErrors(
  snapshot: Queryable,
  plan: WindowPlan,
  pending: PendingBatches,
  filter: UsageFilter,
): Promise<TopError[]> {
  const values = new Values();
  const rows = await snapshot.query<{
    error_code: string;
    model_id: string;
    client_id: string;
    events: number;
  }>(
    `with ${windowRows('errors', plan, pending, filter, errorSource, values)}
     select error_code, model_id, client_id, sum(event_count)::bigint as events
     from errors
     group by 1, 2, 3
     order by events desc, 1, 2, 3
     limit ${topErrorsMax}`,
    values.list,
  );
  return rows.map((row) => ({
    errorCode: row.error_code || null,
    modelId: row.model_id,
    clientId: row.client_id || null,
    count: row.events,
  }));
}

function toSums(row: ReliabilityRow): ReliabilitySums {
  const [success, error, timeout, throttled] = [
    row.success ?? 0,
    row.error ?? 0,
    row.timeout ?? 0,
    row.throttled ?? 0,
  ];
  const errors = error + timeout + throttled;
  const invocations = success + errors;
  const latency = (bin: number | null) => (bin === null ? null : Math.round(binValueMs(bin)));
  return {
    invocations,
    errorRate: invocations === 0 ? 0 : Number((errors / invocations).toFixed(6)),
    statusCounts: { success, error, timeout, throttled },
    latencyMs: { p50: latency(row.p50), p95: latency(row.p95), p99: latency(row.p99) },
  };
}
