import { Counter, Gauge, Registry } from 'prom-client';
import { qualityStanding } from './data-quality/runs.ts';
import { knownDepths } from './dead-letters/depth.ts';
import { undeliveredEvents } from './events/undelivered-events.ts';
import { exportStatuses } from './exports/job.ts';
import { freshnessLags } from './freshness/lag.ts';
import { type Database, type Queryable, sqlState } from './platform/database/db.ts';
import { orgNames } from './queries/org-names.ts';
import { type RecentUsage, recentUsage } from './rollups/recent-usage.ts';

/** Prometheus gives up after 10 s. */
const scrapeMaxMs = 8_000;
const statementMaxMs = 4_000;
const orgsMax = 50;
const quantiles = [
  ['0.5', 'p50'],
  ['0.95', 'p95'],
  ['0.99', 'p99'],
] as const;

/**
 * The numbers that outlive processes, as Prometheus text, read from the tables in one snapshot: a
 * function that scales to zero loses its own counters (DESIGN 10). Several replicas report the
 * same, so rules take `max`, never `sum`. Label sets are bounded: at most 50 orgs each.
 */
export async function pipelineMetrics(database: Database): Promise<string> {
  const registry = new Registry();
  const metrics = { counter: counterIn(registry), gauge: gaugeIn(registry) };
  const options = {
    mode: 'snapshot',
    tenant: null,
    statementTimeoutMs: statementMaxMs,
    signal: AbortSignal.timeout(scrapeMaxMs),
  } as const;
  await database.transaction(options, async (snapshot) => {
    const [clock] = await snapshot.query<{ now: Date }>('select clock_timestamp() as now');
    const now = clock?.now ?? new Date();
    await ingestion(snapshot, metrics, now);
    await deadLetters(snapshot, metrics, now);
    const name = orgInfo(snapshot, metrics);
    await name(await freshness(snapshot, metrics, now));
    await rollup(snapshot, metrics);
    await exports(snapshot, metrics, now);
    await undelivered(snapshot, metrics);
    await quality(snapshot, metrics);
    // Last, since it reads raw rows: where there are too many of them for the time there is, the
    // rest is worth having all the same.
    await name(await usage(snapshot, metrics, now));
  });
  return registry.metrics();
}

interface Metrics {
  counter: ReturnType<typeof counterIn>;
  gauge: ReturnType<typeof gaugeIn>;
}

function counterIn(registry: Registry) {
  return (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name, help, labelNames, registers: [registry] });
}

function gaugeIn(registry: Registry) {
  return (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
}

async function ingestion(snapshot: Queryable, { counter, gauge }: Metrics, now: Date) {
  const streams = await snapshot.query<{
    stream: string;
    retired: boolean;
    stored: number;
    duplicate: number;
    conflicts: number;
    rejected: number;
    lost: number;
    lag_messages: number;
    lag_seconds: number;
  }>(
    `select stream, retired, events_stored as stored, events_duplicate as duplicate,
            events_conflicting as conflicts, events_rejected as rejected, messages_lost as lost,
            greatest(coalesce(head_offset - coalesce(committed_offset, -1), 0), 0) as lag_messages,
            greatest(extract(epoch from $1 - coalesce(complete_through, created_at)), 0)::float8
              as lag_seconds
     from analytics.stream_offsets
     order by stream`,
    [now],
  );
  const events = counter(
    'analytics_ingestion_events_total',
    'Events by what became of them, since the beginning',
    ['outcome'],
  );
  for (const outcome of ['stored', 'duplicate', 'rejected'] as const) {
    events.inc(
      { outcome },
      streams.reduce((sum, row) => sum + row[outcome], 0),
    );
  }
  counter(
    'analytics_ingestion_conflicts_total',
    'Those of the duplicates that differ from what is stored, in content or time, since the beginning',
  ).inc(streams.reduce((sum, { conflicts }) => sum + conflicts, 0));
  const lagMessages = gauge(
    'analytics_ingestion_lag_messages',
    'Offsets between the head of the stream and the last committed one',
    ['stream'],
  );
  const lagSeconds = gauge(
    'analytics_ingestion_lag_seconds',
    'Seconds since the time up to which the stream is stored',
    ['stream'],
  );
  const lost = counter(
    'analytics_ingestion_messages_lost_total',
    'Offsets that went, by retention or with a deleted stream, before they were read',
    ['stream'],
  );
  for (const { stream, retired, ...row } of streams) {
    if (retired) continue;
    lagMessages.set({ stream }, row.lag_messages);
    lagSeconds.set({ stream }, row.lag_seconds);
    lost.inc({ stream }, row.lost);
  }
}

async function deadLetters(snapshot: Queryable, { gauge }: Metrics, now: Date) {
  const messages = gauge(
    'analytics_dead_letter_messages',
    'Messages that wait in the dead-letter queue, as the refresh last saw it',
    ['queue'],
  );
  for (const { queue, messages: count } of await knownDepths(snapshot, now)) {
    messages.set({ queue }, count);
  }
}

/** @returns the orgs that are listed */
async function freshness(snapshot: Queryable, { gauge }: Metrics, now: Date): Promise<string[]> {
  const { maxSeconds, orgs } = await freshnessLags(snapshot, now);
  const byOrg = gauge(
    'analytics_freshness_lag_seconds',
    'Seconds since the time up to which everything received of an org is stored and in the rollups, the 50 worst',
    ['org_id'],
  );
  for (const { orgId, seconds } of orgs) byOrg.set({ org_id: orgId }, seconds);
  gauge('analytics_freshness_lag_seconds_max', 'The same of the worst org').set(maxSeconds);
  return orgs.map(({ orgId }) => orgId);
}

/** Names beside the numbers, so that an org's series go on under another name. */
function orgInfo(snapshot: Queryable, { gauge }: Metrics) {
  const info = gauge(
    'analytics_org_info',
    'What the orgs of the other series are called, always 1; org_name has the id behind a name that several share, and is the id where no name is known',
    ['org_id', 'org_name'],
  );
  return async (orgIds: readonly string[]): Promise<void> => {
    // Nor may anything be asked once raw events could not be read in time.
    if (orgIds.length === 0) return;
    for (const [orgId, name] of await orgNames(snapshot, orgIds)) {
      info.set({ org_id: orgId, org_name: name }, 1);
    }
  };
}

async function rollup(snapshot: Queryable, { gauge }: Metrics) {
  const [row] = await snapshot.query<{
    at: number | null;
    seconds: number | null;
    batches: number;
  }>(
    `select extract(epoch from last_success_at)::float8 as at,
            last_duration_ms / 1000.0::float8 as seconds, batches
     from (select count(*) as batches from analytics.ingestion_batches where folded_at is null) as pending
     left join analytics.job_runs on job = 'rollup'`,
  );
  const lastSuccess = gauge(
    'analytics_rollup_last_success_timestamp_seconds',
    'When batches were last folded into the rollups',
  );
  const duration = gauge('analytics_rollup_duration_seconds', 'How long that took');
  lastSuccess.set(row?.at ?? 0);
  duration.set(row?.seconds ?? 0);
  gauge('analytics_rollup_pending_batches', 'Batches stored and not yet in the rollups').set(
    row?.batches ?? 0,
  );
}

async function exports(snapshot: Queryable, { counter, gauge }: Metrics, now: Date) {
  const jobs = await snapshot.query<{ status: string; jobs: number; age: number }>(
    `select status, count(*) as jobs,
            greatest(extract(epoch from $1 - min(created_at)), 0)::float8 as age
     from analytics.export_jobs group by status`,
    [now],
  );
  const byStatus = gauge('analytics_export_jobs', 'Exports by status', ['status']);
  for (const status of exportStatuses) {
    byStatus.set({ status }, jobs.find((row) => row.status === status)?.jobs ?? 0);
  }
  gauge(
    'analytics_export_queue_age_seconds',
    'Seconds since the oldest export that still waits was asked for',
  ).set(jobs.find(({ status }) => status === 'pending')?.age ?? 0);
  counter('analytics_export_failures_total', 'Failed attempts at exports, since the beginning').inc(
    await totalOf(snapshot, 'export_failures'),
  );
}

async function undelivered(snapshot: Queryable, { counter }: Metrics) {
  counter(
    'analytics_undelivered_events_total',
    'CloudEvents that nobody took and the dead-letter sink was given, since the beginning',
  ).inc(await totalOf(snapshot, undeliveredEvents));
}

/** A total that no other table keeps; 0 until something was counted. */
async function totalOf(snapshot: Queryable, name: string): Promise<number> {
  const [row] = await snapshot.query<{ value: number }>(
    'select value from analytics.counters where name = $1',
    [name],
  );
  return row?.value ?? 0;
}

/** Ratios are absent until something was verified: a drift of 0 would be invented. */
async function quality(snapshot: Queryable, { gauge }: Metrics) {
  const standing = await qualityStanding(snapshot);
  gauge(
    'analytics_verify_last_success_timestamp_seconds',
    'When verify last found nothing wrong, 0 for never',
  ).set(standing?.lastSuccessAt ?? 0);
  const drift = gauge(
    'analytics_verify_drift_ratio',
    'The greatest drift of any org and bucket between raw events and rollups, 0 to 1',
    ['grain'],
  );
  if (standing === null) return;
  const { driftRatio, dedupeFailureRatio, lastSyntheticSuccessAt } = standing;
  drift.set({ grain: 'hourly' }, driftRatio.hourly);
  drift.set({ grain: 'daily' }, driftRatio.daily);
  gauge(
    'analytics_dedupe_failure_ratio',
    'Share of event ids stored under two identities, or of buckets that drift, the greater',
  ).set(dedupeFailureRatio);
  if (lastSyntheticSuccessAt === null) return;
  gauge(
    'analytics_synthetic_check_last_success_timestamp_seconds',
    'When the usage query last gave exactly the known answer; absent where no events are sent',
  ).set(lastSyntheticSuccessAt);
}

/**
 * The greatest of nothing is 0, so that alerts resolve where nobody sends.
 *
 * @returns the orgs that are listed
 */
async function usage(snapshot: Queryable, { gauge }: Metrics, now: Date): Promise<string[]> {
  let orgs: RecentUsage[];
  try {
    orgs = await recentUsage(snapshot, now);
  } catch (error) {
    const queryCanceled = '57014';
    if (sqlState(error) === queryCanceled) return [];
    throw error;
  }
  const errorRate = gauge(
    'analytics_usage_error_rate',
    'Share of events of the last 5 minutes that did not succeed, the 50 worst orgs with at least 20',
    ['org_id'],
  );
  const listed = new Set<string>();
  for (const org of worst(orgs, (one) => one.errorRate)) {
    listed.add(org.orgId);
    errorRate.set({ org_id: org.orgId }, org.errorRate);
  }
  gauge('analytics_usage_error_rate_max', 'The same of the worst org').set(
    Math.max(0, ...orgs.map((org) => org.errorRate)),
  );
  const latency = gauge(
    'analytics_usage_latency_ms',
    'Latency of the last 5 minutes within 2%, the 50 slowest orgs of each quantile with at least 20 events',
    ['org_id', 'quantile'],
  );
  const latencyMax = gauge('analytics_usage_latency_ms_max', 'The same of the slowest org', [
    'quantile',
  ]);
  for (const [quantile, field] of quantiles) {
    for (const { orgId, latencyMs } of worst(orgs, (one) => one.latencyMs[field])) {
      listed.add(orgId);
      latency.set({ org_id: orgId, quantile }, latencyMs[field]);
    }
    latencyMax.set({ quantile }, Math.max(0, ...orgs.map((org) => org.latencyMs[field])));
  }
  return [...listed];
}

/** Equals in the order they come in, so that the sets stay put. */
function worst(orgs: readonly RecentUsage[], of: (org: RecentUsage) => number): RecentUsage[] {
  return [...orgs].sort((a, b) => of(b) - of(a)).slice(0, orgsMax);
}
