import type { Span } from '@opentelemetry/api';
import type { Database, Transaction } from '../platform/database/db.ts';
import { ServiceError } from '../platform/errors.ts';
import { inSpan, linksTo, traceIn } from '../platform/telemetry/tracing.ts';
import { binSql, mergeSql, packSql } from './histogram.ts';

export interface FoldReport {
  batches: number;
  /** Rollup rows that the fold touched, hourly ones. */
  hourlyRows: number;
  /** What the folded events are about, for dropping what is cached of it. */
  models: { orgId: string; modelId: string }[];
}

export interface RecomputeReport {
  from: Date;
  to: Date;
  days: number;
  hourlyRows: number;
}

/** Any number, the same for all who fold. */
const foldLock = 7_102_004_002;
/** Bounds one fold's transaction: at 5,000 rows a batch, a million rows. */
const batchesPerFoldMax = 200;
const dayMs = 86_400_000;

/**
 * What a fold adds, by hour. Aggregated from the raw rows once, then added to the hourly and the
 * daily table in turn. The names carry a version, as the stage's in ingest. Their columns are their
 * own: a newer release may have added some to the rollups, which this one does not fill.
 */
const createIncrements = `
  create temp table if not exists usage_increment_2 (
    org_id uuid, bucket_start timestamptz, model_id uuid, client_id text,
    success_count bigint, error_count bigint, timeout_count bigint, throttled_count bigint,
    input_tokens numeric, output_tokens numeric, cost_estimate_cents numeric,
    latency_histogram bigint[], first_event_at timestamptz, last_event_at timestamptz
  ) on commit delete rows;
  create temp table if not exists error_increment_2 (
    org_id uuid, bucket_start timestamptz, model_id uuid, client_id text, error_code text,
    event_count bigint
  ) on commit delete rows;
  set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0`;

/**
 * Adds the batches not yet folded to the rollups, each stored row once (DESIGN 5): everything in
 * one transaction, so that a crash anywhere folds either all of it or nothing. At most
 * `batchesPerFoldMax` batches; call again while it returns as many.
 *
 * @returns null when another folder is at work: a second would only wait on the same rows.
 */
export async function fold(database: Database): Promise<FoldReport | null> {
  return inSpan('fold', {}, (span) => foldOnce(database, span));
}

async function foldOnce(database: Database, span: Span): Promise<FoldReport | null> {
  const startedMs = performance.now();
  return database.transaction(
    { prelude: createIncrements, statementTimeoutMs: 300_000, lockTimeoutMs: 10_000 },
    async (transaction) => {
      const [lock] = await transaction.query<{ held: boolean }>(
        'select pg_try_advisory_xact_lock($1) as held',
        [foldLock],
      );
      if (lock?.held !== true) return null;
      const batches = await transaction.query<{
        id: number;
        first: Date;
        last: Date;
        traceparent: string | null;
      }>(
        `select batch_id as id, min_occurred_at as first, max_occurred_at as last, traceparent
         from analytics.ingestion_batches
         where folded_at is null
         order by batch_id
         limit $1
         for update skip locked`,
        [batchesPerFoldMax],
      );
      if (batches.length === 0) {
        await recordSuccess(transaction, startedMs);
        return { batches: 0, hourlyRows: 0, models: [] };
      }
      span.setAttribute('analytics.fold.batches', batches.length);
      span.addLinks(linksTo(batches.flatMap((batch) => traceIn({ ...batch }) ?? [])));
      const ids = batches.map(({ id }) => id);
      const from = new Date(Math.min(...batches.map(({ first }) => first.getTime())));
      const through = new Date(Math.max(...batches.map(({ last }) => last.getTime())));
      await aggregate(
        transaction,
        `occurred_at >= $1 and occurred_at <= $2
         and batch_id between $3 and $4
         and batch_id in (select unnest($5::bigint[]))`,
        [from, through, Math.min(...ids), Math.max(...ids), ids],
      );
      const hourlyRows = await addIncrements(transaction);
      const models = await updateFreshness(transaction);
      await transaction.query(
        `update analytics.ingestion_batches set folded_at = clock_timestamp()
         where batch_id = any($1::bigint[])`,
        [ids],
      );
      await recordSuccess(transaction, startedMs);
      return { batches: batches.length, hourlyRows, models };
    },
  );
}

/** Folds until nothing waits, or `roundsMax` transactions are done. Null as `fold`. */
export async function foldAll(database: Database, roundsMax = 100): Promise<FoldReport | null> {
  const total: FoldReport = { batches: 0, hourlyRows: 0, models: [] };
  for (let round = 0; round < roundsMax; round += 1) {
    const report = await fold(database);
    // What was folded before another took over is still news.
    if (report === null) return round === 0 ? null : total;
    total.batches += report.batches;
    total.hourlyRows += report.hourlyRows;
    total.models.push(...report.models);
    if (report.batches < batchesPerFoldMax) break;
  }
  return total;
}

/**
 * Rebuilds the rollups of whole UTC days from raw rows, each day in a transaction of its own. Rows
 * of batches not yet folded are left out: their fold will add them.
 *
 * @param from any time of the first day
 * @param to a time after the last moment wanted; its day is included unless it is midnight
 * @throws ServiceError `invalid_request` for days whose raw rows may be gone: their rollups are all
 * that is left of them.
 */
export async function recompute(
  database: Database,
  from: Date,
  to: Date,
  rawRetentionDays: number,
): Promise<RecomputeReport> {
  const firstDay = Math.floor(from.getTime() / dayMs);
  const endDay = Math.ceil(to.getTime() / dayMs);
  const oldestDay = Math.floor(Date.now() / dayMs) - rawRetentionDays;
  if (firstDay < oldestDay) {
    const oldest = new Date(oldestDay * dayMs).toISOString().slice(0, 10);
    const message = `must not be before ${oldest}: older raw events are no longer kept`;
    throw new ServiceError('invalid_request', `from ${message}`, [{ path: 'from', message }]);
  }
  let hourlyRows = 0;
  for (let day = firstDay; day < endDay; day += 1) {
    hourlyRows += await recomputeDay(database, new Date(day * dayMs), new Date((day + 1) * dayMs));
  }
  return {
    from: new Date(firstDay * dayMs),
    to: new Date(endDay * dayMs),
    days: endDay - firstDay,
    hourlyRows,
  };
}

async function recomputeDay(database: Database, from: Date, to: Date): Promise<number> {
  return database.transaction(
    { prelude: createIncrements, statementTimeoutMs: 600_000, lockTimeoutMs: 60_000 },
    async (transaction) => {
      // Read committed, and the lock first: the next statement sees every fold that came before.
      await transaction.query('select pg_advisory_xact_lock($1)', [foldLock]);
      await aggregate(
        transaction,
        `occurred_at >= $1 and occurred_at < $2
         and not exists (
           select from analytics.ingestion_batches b
           where b.batch_id = e.batch_id and b.folded_at is null)`,
        [from, to],
      );
      await refuseToForget(transaction, from, to);
      for (const table of ['usage_hourly', 'usage_daily', 'error_hourly', 'error_daily']) {
        await transaction.query(
          `delete from analytics.${table} where bucket_start >= $1 and bucket_start < $2`,
          [from, to],
        );
      }
      return addIncrements(transaction);
    },
  );
}

/**
 * Retention may have been shorter elsewhere than this process's setting says: a day with rollups
 * and without a single raw row has lost those rows, and its rollups are all that is left.
 */
async function refuseToForget(transaction: Transaction, from: Date, to: Date): Promise<void> {
  const [day] = await transaction.query<{ raw: boolean; rollups: boolean }>(
    `select exists (select from analytics.usage_events
                    where occurred_at >= $1 and occurred_at < $2) as raw,
            exists (select from analytics.usage_daily
                    where bucket_start >= $1 and bucket_start < $2) as rollups`,
    [from, to],
  );
  if (day?.raw !== false || !day.rollups) return;
  const date = from.toISOString().slice(0, 10);
  throw new ServiceError(
    'invalid_request',
    `the raw events of ${date} are no longer kept: its rollups stay as they are`,
  );
}

/** Fills the increments from the raw rows that `condition` (SQL of ours) chooses. */
async function aggregate(
  transaction: Transaction,
  condition: string,
  values: readonly unknown[],
): Promise<void> {
  const hour = `date_trunc('hour', occurred_at, 'UTC')`;
  await transaction.query(
    `with bins as (
       select org_id, ${hour} as bucket_start, model_id, client_id,
              ${binSql('latency_ms')} as bin,
              count(*) as events,
              count(*) filter (where status = 'success') as success_count,
              count(*) filter (where status = 'error') as error_count,
              count(*) filter (where status = 'timeout') as timeout_count,
              count(*) filter (where status = 'throttled') as throttled_count,
              sum(input_tokens) as input_tokens,
              sum(output_tokens) as output_tokens,
              sum(cost_estimate_cents) as cost_estimate_cents,
              min(occurred_at) as first_event_at,
              max(occurred_at) as last_event_at
       from analytics.usage_events e
       where ${condition}
       group by 1, 2, 3, 4, 5
     )
     insert into usage_increment_2 (${usageColumns}, first_event_at, last_event_at)
     select org_id, bucket_start, model_id, client_id,
            ${sums.map((column) => `sum(${column})`).join(', ')},
            array_agg(${packSql('bin', 'events')} order by bin),
            min(first_event_at), max(last_event_at)
     from bins
     group by 1, 2, 3, 4`,
    values,
  );
  await transaction.query(
    `insert into error_increment_2 (${errorKey}, event_count)
     select org_id, ${hour}, model_id, client_id, coalesce(error_code, ''), count(*)
     from analytics.usage_events e
     where status <> 'success' and ${condition}
     group by 1, 2, 3, 4, 5`,
    values,
  );
}

/** The columns of a rollup that add up, and how an existing row takes more. */
const sums = [
  'success_count',
  'error_count',
  'timeout_count',
  'throttled_count',
  'input_tokens',
  'output_tokens',
  'cost_estimate_cents',
];
const errorKey = 'org_id, bucket_start, model_id, client_id, error_code';
const usageColumns = `org_id, bucket_start, model_id, client_id, ${sums.join(', ')}, latency_histogram`;
const addUsage = `
  on conflict (org_id, bucket_start, model_id, client_id) do update set
    ${sums.map((column) => `${column} = r.${column} + excluded.${column}`).join(', ')},
    latency_histogram = ${mergeSql('r.latency_histogram', 'excluded.latency_histogram')}`;
const addErrors = `
  on conflict (${errorKey}) do update set
    event_count = r.event_count + excluded.event_count`;

/**
 * Adds the increments to the rollups: hourly and daily in separate statements, each sorted by key,
 * or two who write the same rows meet in deadlocks (ten in 8 s).
 */
async function addIncrements(transaction: Transaction): Promise<number> {
  const day = `date_trunc('day', bucket_start, 'UTC')`;
  const hourly = await transaction.query<{ written: number }>(
    `with written as (
       insert into analytics.usage_hourly as r (${usageColumns})
       select ${usageColumns}
       from usage_increment_2
       order by org_id, bucket_start, model_id, client_id
       ${addUsage}
       returning 1
     )
     select count(*)::int as written from written`,
  );
  // Most increments are of one hour of their day: those go as they are, without another grouping.
  await transaction.query(
    `insert into analytics.usage_daily as r (${usageColumns})
     with increment as (
       select *, ${day} as day,
              count(*) over (partition by org_id, ${day}, model_id, client_id) as hours
       from usage_increment_2
     ), usage as (
       select org_id, day, model_id, client_id,
              ${sums.map((column) => `sum(${column}) as ${column}`).join(', ')}
       from increment
       where hours > 1
       group by 1, 2, 3, 4
     ), histogram as (
       select org_id, day, model_id, client_id,
              array_agg(${packSql('bin', 'events')} order by bin) as latency_histogram
       from (
         select org_id, day, model_id, client_id,
                (packed & 511) - 1 as bin, sum(packed >> 9)::bigint as events
         from increment, unnest(latency_histogram) as packed
         where hours > 1
         group by 1, 2, 3, 4, 5
       ) as bins
       group by 1, 2, 3, 4
     )
     select org_id, day, model_id, client_id, ${sums.join(', ')}, latency_histogram
     from increment
     where hours = 1
     union all
     select org_id, day, model_id, client_id, ${sums.join(', ')}, latency_histogram
     from usage join histogram using (org_id, day, model_id, client_id)
     order by org_id, day, model_id, client_id
     ${addUsage}`,
  );
  await transaction.query(
    `insert into analytics.error_hourly as r (${errorKey}, event_count)
     select ${errorKey}, event_count
     from error_increment_2
     order by ${errorKey}
     ${addErrors}`,
  );
  await transaction.query(
    `insert into analytics.error_daily as r (${errorKey}, event_count)
     select org_id, ${day}, model_id, client_id, error_code, sum(event_count)
     from error_increment_2
     group by 1, 2, 3, 4, 5
     order by 1, 2, 3, 4, 5
     ${addErrors}`,
  );
  return hourly[0]?.written ?? 0;
}

async function updateFreshness(transaction: Transaction): Promise<FoldReport['models']> {
  const rows = await transaction.query<{ org_id: string; model_id: string }>(
    `insert into analytics.freshness_status as f
       (org_id, model_id, first_event_at, last_event_at, last_rollup_at)
     select org_id, model_id, min(first_event_at), max(last_event_at), clock_timestamp()
     from usage_increment_2
     group by 1, 2
     order by 1, 2
     on conflict (org_id, model_id) do update set
       first_event_at = least(f.first_event_at, excluded.first_event_at),
       last_event_at = greatest(f.last_event_at, excluded.last_event_at),
       last_rollup_at = excluded.last_rollup_at
     returning org_id, model_id`,
  );
  return rows.map((row) => ({ orgId: row.org_id, modelId: row.model_id }));
}

async function recordSuccess(transaction: Transaction, startedMs: number): Promise<void> {
  await transaction.query(
    `insert into analytics.job_runs (job, last_success_at, last_duration_ms)
     values ('rollup', clock_timestamp(), $1)
     on conflict (job) do update set
       last_success_at = excluded.last_success_at, last_duration_ms = excluded.last_duration_ms`,
    [Math.round(performance.now() - startedMs)],
  );
}
