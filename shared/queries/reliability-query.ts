import type { Queryable, Transaction } from '../platform/database/db.ts';
import { packedPercentiles, packSlots, slotCount } from '../rollups/histogram.ts';
import type { PendingBatches } from '../rollups/pending-batches.ts';
import { pointsMax, tooManyPoints, type WindowPlan } from './time-window.ts';
import {
  binsColumn,
  countColumns,
  type Grouping,
  groupColumns,
  groupsOf,
  isNotEmpty,
} from './usage-query.ts';
import {
  keyColumn,
  sumColumn,
  type UsageFilter,
  Values,
  type WindowColumn,
  windowRows,
} from './window-sql.ts';

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

const rollups = { daily: 'usage_daily', hourly: 'usage_hourly' };
/** How many bins a row's histogram has, also of one taken off. */
const binCount: WindowColumn = {
  name: 'bins',
  daily: 'cardinality(e.latency_histogram)',
  hourly: 'cardinality(e.latency_histogram)',
  less: 'cardinality(e.latency_histogram)',
  raw: '1',
};
const countSource = { ...rollups, columns: [...countColumns, binCount] };
const latencySource = { ...rollups, columns: [binsColumn] };

const errorSource = {
  daily: 'error_daily',
  hourly: 'error_hourly',
  columns: [
    keyColumn('error_code', `coalesce(e.error_code, '')`),
    sumColumn('event_count', '1::bigint'),
  ],
  rawCondition: `e.status <> 'success'`,
};

interface GroupRow {
  is_total: boolean;
  bucket: number;
  model_id?: string;
  client_id?: string;
}

interface CountRow extends GroupRow {
  success: number | null;
  error: number | null;
  timeout: number | null;
  throttled: number | null;
  /** How many bins the histograms have before they are merged. */
  bins: number | null;
}

/** p50, p95 and p99 in whole milliseconds, by `groupKey`. */
type Percentiles = Map<string, [p50: number, p95: number, p99: number]>;

/** As text a bin has some 7 bytes: this bounds what is read at once to 8 MB. */
const defaultBinsAtOnceMax = 1_200_000;
/** The histograms of a bucket, model and client have a few hundred bins, seldom some thousand. */
const rowsPerFetch = 500;

/**
 * Status counts and latency percentiles by local bucket, model and client, with totals, and the
 * most frequent errors of the window. A percentile is the smallest bin that reaches its share of
 * the events, as percentile_disc has it.
 *
 * @param snapshot a transaction in mode `snapshot` in which `pending` was read
 * @param binsAtOnceMax of a window with more bins the histograms are read some at a time
 * @throws ServiceError `invalid_request` when the series has more than 10,000 points.
 */
export async function reliabilityQuery(
  snapshot: Transaction,
  plan: WindowPlan,
  pending: PendingBatches,
  filter: UsageFilter,
  grouping: Grouping,
  binsAtOnceMax = defaultBinsAtOnceMax,
): Promise<ReliabilityAnswer> {
  const values = new Values();
  const columns = ['bucket', ...groupColumns(grouping)];
  const groups = columns.join(', ');
  const none = columns.map(() => 'null').join(', ');
  const rows = await snapshot.query<CountRow>(
    `with ${windowRows('usage', plan, pending, filter, countSource, values)}, points as (
       select ${groups}, sum(success_count) as success, sum(error_count) as error,
              sum(timeout_count) as timeout, sum(throttled_count) as throttled, sum(bins) as bins
       from usage
       group by ${groups}
       having ${isNotEmpty}
     )
     select false as is_total, ${groups}, success::bigint, error::bigint, timeout::bigint,
            throttled::bigint, bins::float8
     from points
     union all
     select true, ${none}, sum(success)::bigint, sum(error)::bigint, sum(timeout)::bigint,
            sum(throttled)::bigint, sum(bins)::float8
     from points
     order by is_total desc, ${groups}
     limit ${pointsMax + 2}`,
    values.list,
  );
  const [total, ...points] = rows;
  if (total?.is_total !== true) throw new Error('the reliability query returned no totals');
  if (points.length > pointsMax) throw tooManyPoints(points.length);
  const read = (total.bins ?? 0) <= binsAtOnceMax ? readHistograms : readManyHistograms;
  const decode =
    points.length > 0 ? await read(snapshot, plan, pending, filter, groups) : noLatency;
  // Sent before the histograms are decoded, so that the server works at the same time.
  const errors = topErrors(snapshot, plan, pending, filter);
  const percentiles = decode();
  const toPoint = (row: CountRow) => toSums(row, percentiles.get(groupKey(row)));
  const toGroup = groupsOf(plan);
  return {
    series: points.map((row) => ({ ...toGroup(row), ...toPoint(row) })),
    totals: toPoint(total),
    topErrors: await errors,
  };
}

const noLatency = (): Percentiles => new Map();

/** What keeps a group apart from the others, as `concat_ws` writes its columns. */
function groupKey({ is_total, bucket, model_id, client_id }: GroupRow): string {
  if (is_total) return 'total';
  return [bucket, model_id, client_id].filter((part) => part !== undefined).join('/');
}

/**
 * Histograms that the database only strings together, to be merged here. Where it took them apart,
 * to group and sort by bin, the answer for 31 days by model (6,200 daily rows, 307,000 bins) took
 * 2.6 s, on a busy machine, and 0.25 s this way; 64 MB of work_mem changed nothing, a hash of bins
 * alone took 0.8 s, and array_send is no faster than text.
 */
async function readHistograms(
  snapshot: Queryable,
  plan: WindowPlan,
  pending: PendingBatches,
  filter: UsageFilter,
  groups: string,
): Promise<() => Percentiles> {
  const values = new Values();
  const rows = await snapshot.query<GroupRow & { packed: string }>(
    `with ${windowRows('usage', plan, pending, filter, latencySource, values)}
     select false as is_total, ${groups}, string_agg(latency_bins, ',') as packed
     from usage
     group by ${groups}`,
    values.list,
  );
  return () => {
    const sum = new Float64Array(slotCount);
    const found: Percentiles = new Map();
    for (const row of rows) found.set(groupKey(row), inMs(packedPercentiles(row.packed, sum)));
    found.set('total', inMs(packedPercentiles(packSlots(sum))));
    return found;
  };
}

function inMs([p50, p95, p99]: readonly [string, string, string]): [number, number, number] {
  return [Number(p50), Number(p95), Number(p99)];
}

/**
 * The same for windows with more bins than should be in memory at once: they come by model and
 * client, group after group, some at a time. The answer for 31 local days by model, of 1.4 million bins,
 * took 1.28 s where the database took the histograms apart, and 0.34 s this way.
 */
async function readManyHistograms(
  snapshot: Transaction,
  plan: WindowPlan,
  pending: PendingBatches,
  filter: UsageFilter,
  groups: string,
): Promise<() => Percentiles> {
  const values = new Values();
  const statement = `
    with ${windowRows('usage', plan, pending, filter, latencySource, values)}
    select concat_ws('/', ${groups}), string_agg(latency_bins, ',')
    from usage
    group by bucket, model_id, client_id
    order by ${groups}`;
  const found: Percentiles = new Map();
  const total = new Float64Array(slotCount);
  const sum = new Float64Array(slotCount);
  let group: string | null = null;
  const endGroup = () => {
    if (group !== null) found.set(group, inMs(packedPercentiles(packSlots(sum), total)));
    sum.fill(0);
  };
  for await (const rows of snapshot.cursor(statement, values.list, rowsPerFetch)) {
    for (const [key = null, packed] of rows) {
      if (key !== group) endGroup();
      group = key;
      packedPercentiles(packed ?? '', sum);
    }
  }
  endGroup();
  found.set('total', inMs(packedPercentiles(packSlots(total))));
  return () => found;
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
     having sum(event_count) > 0
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

function toSums(row: CountRow, percentiles: readonly number[] = []): ReliabilitySums {
  const [success, error, timeout, throttled] = [
    row.success ?? 0,
    row.error ?? 0,
    row.timeout ?? 0,
    row.throttled ?? 0,
  ];
  const errors = error + timeout + throttled;
  const invocations = success + errors;
  const [p50 = null, p95 = null, p99 = null] = percentiles;
  return {
    invocations,
    errorRate: invocations === 0 ? 0 : Number((errors / invocations).toFixed(6)),
    statusCounts: { success, error, timeout, throttled },
    latencyMs: { p50, p95, p99 },
  };
}
