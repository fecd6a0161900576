import type { PendingBatches } from '../rollups/pending-batches.ts';
import { dayMs, type Range, type WindowPlan } from './time-window.ts';

/** Collects a statement's values; `bind` returns the placeholder. */
export class Values {
  readonly list: unknown[] = [];

  bind(value: unknown, type: string): string {
    this.list.push(value);
    return `$${this.list.length}::${type}`;
  }
}

/** Whose rows. An org of null is every org, for admins alone. */
export interface UsageFilter {
  orgId: string | null;
  modelIds: readonly string[];
  /** '' stands for events without a client. */
  clientIds: readonly string[];
}

/** What a part of the answer is read from: a table, and how one of its rows is written. */
export interface WindowSource {
  columns: readonly WindowColumn[];
  daily: string;
  hourly: string;
  /** A condition on raw events, true for all when absent. */
  rawCondition?: string;
}

/** A column of the answer, and the SQL of ours that stands for it. */
export interface WindowColumn {
  name: string;
  daily: string;
  hourly: string;
  /** In a row of `hourly` that is taken off a day's. */
  less: string;
  /** In a raw event. */
  raw: string;
}

/** A column that rows are told apart by. */
export function keyColumn(name: string, raw: string): WindowColumn {
  return { name, daily: `e.${name}`, hourly: `e.${name}`, less: `e.${name}`, raw };
}

/** A column that adds up. */
export function sumColumn(name: string, raw: string): WindowColumn {
  return { ...keyColumn(name, raw), less: `-e.${name}` };
}

/**
 * A common table expression `name` with the rows of a window: rollups for clean hours, raw events
 * for the rest and for batches not yet folded. Its columns are `bucket` (an index into the plan's
 * buckets, from 1), `org_id`, `model_id`, `client_id` and the source's.
 *
 * Rows of hours that are taken off a day's row have negative sums. They leave groups that sum up to
 * nothing, which have no place in an answer.
 *
 * Every time bound is a parameter, never computed in SQL: with a computed one all 400 partitions
 * are locked, and the 26th reader fails.
 */
export function windowRows(
  name: string,
  plan: WindowPlan,
  pending: PendingBatches,
  filter: UsageFilter,
  source: WindowSource,
  values: Values,
): string {
  const bind = (times: readonly number[]) => values.bind(times.map(toDate), 'timestamptz[]');
  let starts: string | undefined;
  const bucketAt = (time: string) => {
    starts ??= bind(plan.bucketStarts);
    return `width_bucket(${time}, ${starts})`;
  };
  const inRollup = filterConditions(filter, values);
  const inEvents = [...inRollup, ...(source.rawCondition ? [source.rawCondition] : [])];

  const parts: string[] = [];
  const add = (
    kind: keyof typeof timeOf,
    table: string,
    ranges: readonly Range[],
    where: readonly string[],
    bucket?: string,
  ) => {
    const columns = source.columns.map((column) => column[kind]).join(', ');
    for (const rows of rangeScans(table, timeOf[kind], ranges, where, values)) {
      const keys = `${bucket ?? bucketAt(timeOf[kind])}, e.org_id, e.model_id, e.client_id`;
      parts.push(`select ${keys}, ${columns} from ${rows}`);
    }
  };
  if (plan.daily.length > 0) {
    // Not a day's noon, but bounds as much earlier: those are computed once.
    const noons = bind(plan.bucketStarts.map((ms) => ms - dayMs / 2));
    add('daily', source.daily, plan.daily, inRollup, `width_bucket(e.bucket_start, ${noons})`);
  }
  add('hourly', source.hourly, plan.hourly, inRollup);
  // Most hours that are taken off belong to another bucket and are read for that too: summed up once,
  // and counted twice, they took no less time.
  if (plan.less.length <= separateScansMax) {
    for (const range of plan.less) {
      add('less', source.hourly, [range], inRollup, values.bind(range.bucket, 'integer'));
    }
  } else {
    add('less', source.hourly, plan.less, inRollup, 'r.bucket');
  }
  add('raw', events, plan.raw, inEvents);

  const unfolded = unfoldedRange(plan, pending);
  if (unfolded !== null) {
    const inPending = `e.batch_id in (select unnest(${values.bind(pending.ids, 'bigint[]')}))`;
    const clean = plan.uncleanHours.length === 0 ? [] : [isClean(plan, values)];
    add(
      'raw',
      events,
      [unfolded],
      [
        ...inEvents,
        `e.batch_id between ${values.bind(Math.min(...pending.ids), 'bigint')}
         and ${values.bind(Math.max(...pending.ids), 'bigint')}`,
        inPending,
        ...clean,
      ],
    );
  }
  // Not `as materialized`: a statement that reads it once sums up as it scans. 31 days from 6,200
  // daily rows took 14.9 ms with it, 8.3 without.
  const names = source.columns.map((column) => column.name).join(', ');
  return `${name} (bucket, org_id, model_id, client_id, ${names}) as (
    ${parts.join('\nunion all\n')}
  )`;
}

const timeOf = {
  daily: 'e.bucket_start',
  hourly: 'e.bucket_start',
  less: 'e.bucket_start',
  raw: 'e.occurred_at',
} as const;

/** The condition on raw events `e` of an export's orgs and models within a range. */
export function withinWindow(
  { orgId, models }: { orgId: string | null; models: readonly string[] | null },
  range: Range,
  values: Values,
): string {
  const filter = { orgId, modelIds: models ?? [], clientIds: [] };
  return [
    ...filterConditions(filter, values),
    `e.occurred_at >= ${values.bind(toDate(range.startMs), 'timestamptz')}`,
    `e.occurred_at < ${values.bind(toDate(range.endMs), 'timestamptz')}`,
  ].join(' and ');
}

const events = 'usage_events';

function toDate(ms: number): Date {
  return new Date(ms);
}

function filterConditions(filter: UsageFilter, values: Values): string[] {
  const conditions: string[] = [];
  if (filter.orgId !== null) conditions.push(`e.org_id = ${values.bind(filter.orgId, 'uuid')}`);
  if (filter.modelIds.length > 0) {
    conditions.push(`e.model_id = any(${values.bind(filter.modelIds, 'uuid[]')})`);
  }
  if (filter.clientIds.length > 0) {
    conditions.push(`e.client_id = any(${values.bind(filter.clientIds, 'text[]')})`);
  }
  return conditions;
}

/**
 * Above this many ranges one scan joins them all, as `r`; below, each is planned with its own bounds,
 * which took 35 ms where one scan of 30 took 43. The `offset 0` keeps the range's bounds together with
 * the table, so that they reach it through a tenant's view, whose barrier no join passes: a year of
 * days in Kathmandu took 49 s instead of 0.6.
 */
const separateScansMax = 40;

function rangeScans(
  table: string,
  time: string,
  ranges: readonly (Range & { bucket?: number })[],
  where: readonly string[],
  values: Values,
): string[] {
  const within = (startMs: number, endMs: number) =>
    `${time} >= ${values.bind(toDate(startMs), 'timestamptz')}
       and ${time} < ${values.bind(toDate(endMs), 'timestamptz')}`;
  if (ranges.length <= separateScansMax) {
    return ranges.map(
      ({ startMs, endMs }) =>
        `${table} e where ${[...where, within(startMs, endMs)].join(' and ')}`,
    );
  }
  const lows = values.bind(
    ranges.map(({ startMs }) => toDate(startMs)),
    'timestamptz[]',
  );
  const highs = values.bind(
    ranges.map(({ endMs }) => toDate(endMs)),
    'timestamptz[]',
  );
  const buckets = values.bind(
    ranges.map(({ bucket }) => bucket ?? null),
    'integer[]',
  );
  const outer = within(ranges[0]?.startMs ?? 0, ranges.at(-1)?.endMs ?? 0);
  const each = [...where, outer, `${time} >= r.low and ${time} < r.high`].join(' and ');
  return [
    `unnest(${lows}, ${highs}, ${buckets}) as r (low, high, bucket)
       cross join lateral (select * from ${table} e where ${each} offset 0) as e`,
  ];
}

/** The clean hours that may hold events of pending batches, or null when there are none. */
function unfoldedRange({ clean }: WindowPlan, pending: PendingBatches): Range | null {
  const startMs = Math.max(clean.startMs, pending.fromMs);
  const endMs = Math.min(clean.endMs, pending.throughMs + 1);
  return pending.ids.length > 0 && startMs < endMs ? { startMs, endMs } : null;
}

function isClean(plan: WindowPlan, values: Values): string {
  const hours = values.bind(plan.uncleanHours.map(toDate), 'timestamptz[]');
  return `date_trunc('hour', e.occurred_at, 'UTC') <> all(${hours})`;
}
