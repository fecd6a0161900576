import type { DashboardSpec } from './dashboard.ts';
import { stat, table, timeSeries } from './panel.ts';
import {
  failures,
  inRange,
  invocations,
  joinModels,
  modelName,
  namedApart,
  namedByOrg,
  rollup,
  seriesBy,
} from './scope.ts';
import { thresholds } from './thresholds.ts';

const errorShare = `sum(${failures})::float8 / nullif(sum(${invocations}), 0)::float8`;
const liveNote = 'Of the last 5 minutes; orgs with at least 20 requests, the 50 worst.';
const byJob = '{{job}}';

const p99OfRequests =
  'histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket{job=~"analytics-.+"}[$__rate_interval])))';

export const reliabilityDashboard: DashboardSpec = {
  uid: 'analytics-reliability',
  title: 'Analytics: reliability',
  description: 'How well inference works for each org, and how well the pipeline that says so.',
  from: 'now-24h',
  refresh: '1m',
  buckets: 'hours',
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Alerts firing',
          description: 'Of our own rules, in Prometheus.',
          unit: 'short',
          limit: { bad: 1 },
          runbook: 'alerts',
          queries: [
            {
              expr: 'count(ALERTS{alertname=~"Analytics.+", alertstate="firing"}) or vector(0)',
              legend: 'firing',
            },
          ],
        }),
        stat({
          title: 'Worst error rate',
          description: `Of any org. ${liveNote}`,
          unit: 'percentunit',
          limit: { bad: thresholds.errorRatio },
          runbook: 'analyticserrorratehigh',
          queries: [{ expr: 'max(analytics_usage_error_rate_max)', legend: 'error rate' }],
        }),
        stat({
          title: 'Worst p95 latency',
          description: `Of any org. ${liveNote}`,
          unit: 'ms',
          limit: { bad: thresholds.latencyP95Ms },
          runbook: 'analyticslatencyp95high',
          queries: [
            { expr: 'max(analytics_usage_latency_ms_max{quantile="0.95"})', legend: 'p95' },
          ],
        }),
        stat({
          title: 'Worst p99 latency',
          description: `Of any org. ${liveNote}`,
          unit: 'ms',
          limit: { bad: thresholds.latencyP99Ms },
          runbook: 'analyticslatencyp99high',
          queries: [
            { expr: 'max(analytics_usage_latency_ms_max{quantile="0.99"})', legend: 'p99' },
          ],
        }),
        stat({
          title: 'Freshness lag',
          description: 'Everything received is stored, and in the rollups, up to that long ago.',
          unit: 's',
          decimals: 0,
          limit: {
            warning: thresholds.freshnessStaleSeconds,
            bad: thresholds.freshnessLagSeconds,
          },
          runbook: 'analyticsfreshnesslaghigh',
          queries: [{ expr: 'max(analytics_freshness_lag_seconds_max)', legend: 'lag' }],
        }),
        stat({
          title: 'Rollup age',
          description: 'Since batches were last folded, with success, into the rollups.',
          unit: 's',
          decimals: 0,
          limit: { warning: thresholds.refreshAgeSeconds, bad: thresholds.rollupAgeSeconds },
          runbook: 'analyticsrollupstale',
          queries: [
            {
              expr: 'time() - (max(analytics_rollup_last_success_timestamp_seconds) > 0)',
              legend: 'age',
            },
          ],
        }),
      ],
    },
    {
      title: 'What tenants see',
      panels: [
        timeSeries({
          title: 'Error rate by model',
          description:
            'Errors, timeouts and throttled requests of each bucket, chosen orgs together.',
          unit: 'percentunit',
          limit: { bad: thresholds.errorRatio },
          runbook: 'analyticserrorratehigh',
          sql: seriesBy('model', errorShare, 'error rate'),
        }),
        timeSeries({
          title: 'Error rate by org',
          description:
            'Errors, timeouts and throttled requests of each bucket, chosen models together.',
          unit: 'percentunit',
          limit: { bad: thresholds.errorRatio },
          runbook: 'analyticserrorratehigh',
          sql: seriesBy('org', errorShare, 'error rate'),
        }),
        timeSeries({
          title: 'Status mix',
          description: 'Requests of each bucket by how they ended.',
          unit: 'short',
          bars: true,
          stacked: true,
          runbook: 'analyticserrorratehigh',
          sql: `select d.bucket_start as time, sum(d.success_count)::float8 as success,
       sum(d.error_count)::float8 as error, sum(d.timeout_count)::float8 as timeout,
       sum(d.throttled_count)::float8 as throttled
from ${rollup} d
where ${inRange}
group by 1
order by 1`,
        }),
        timeSeries({
          title: 'Latency percentiles',
          description:
            'Of each bucket, from merged histograms: within 2% of the exact value, as the API has it.',
          unit: 'ms',
          runbook: 'analyticslatencyp95high',
          sql: `select time, analytics.latency_percentile(histogram, 0.5)::float8 as p50,
       analytics.latency_percentile(histogram, 0.95)::float8 as p95,
       analytics.latency_percentile(histogram, 0.99)::float8 as p99
from (
  select time, array_agg(events * 512 + bin) as histogram
  from (
    select d.bucket_start as time, packed & 511 as bin, sum(packed >> 9)::bigint as events
    from ${rollup} d, unnest(d.latency_histogram) as packed
    where ${inRange}
    group by 1, 2
  ) as bins
  group by 1
) as merged
order by 1`,
        }),
        table({
          title: 'Top errors',
          description: 'The 50 most frequent error codes by model and client in the time range.',
          unit: 'short',
          columns: { count: 'short' },
          sortBy: 'count',
          runbook: 'analyticserrorratehigh',
          sql: `select coalesce(nullif(d.error_code, ''), '(none)') as "error code", ${modelName} as model,
       coalesce(nullif(d.client_id, ''), '(none)') as client, sum(d.event_count)::float8 as count
from analytics.error_hourly d ${joinModels}
where ${inRange}
group by d.error_code, 2, d.model_id, d.client_id
order by 4 desc
limit 50`,
        }),
        table({
          title: 'Models',
          description: 'Error rate and latency of each model in the time range.',
          unit: 'short',
          columns: { 'error rate': 'percentunit', p50: 'ms', p95: 'ms', p99: 'ms' },
          sortBy: 'error rate',
          runbook: 'analyticserrorratehigh',
          sql: `select model, invocations, "error rate",
       analytics.latency_percentile(histogram, 0.5)::float8 as p50,
       analytics.latency_percentile(histogram, 0.95)::float8 as p95,
       analytics.latency_percentile(histogram, 0.99)::float8 as p99
from (
  select d.model_id, ${modelName} as model, sum(${invocations})::float8 as invocations,
         ${errorShare} as "error rate"
  from ${rollup} d ${joinModels}
  where ${inRange}
  group by 1, 2
) as counts
join (
  select model_id, array_agg(events * 512 + bin) as histogram
  from (
    select d.model_id, packed & 511 as bin, sum(packed >> 9)::bigint as events
    from ${rollup} d, unnest(d.latency_histogram) as packed
    where ${inRange}
    group by 1, 2
  ) as bins
  group by 1
) as merged using (model_id)
order by 3 desc
limit 100`,
        }),
        timeSeries({
          title: 'Error rate by org, live',
          description: liveNote,
          unit: 'percentunit',
          limit: { bad: thresholds.errorRatio },
          runbook: 'analyticserrorratehigh',
          width: 8,
          queries: [{ expr: namedByOrg('analytics_usage_error_rate'), legend: '{{org_name}}' }],
        }),
        timeSeries({
          title: 'p95 latency by org, live',
          description: liveNote,
          unit: 'ms',
          limit: { bad: thresholds.latencyP95Ms },
          runbook: 'analyticslatencyp95high',
          width: 8,
          queries: [
            {
              expr: namedByOrg('analytics_usage_latency_ms{quantile="0.95"}'),
              legend: '{{org_name}}',
            },
          ],
        }),
        timeSeries({
          title: 'p99 latency by org, live',
          description: liveNote,
          unit: 'ms',
          limit: { bad: thresholds.latencyP99Ms },
          runbook: 'analyticslatencyp99high',
          width: 8,
          queries: [
            {
              expr: namedByOrg('analytics_usage_latency_ms{quantile="0.99"}'),
              legend: '{{org_name}}',
            },
          ],
        }),
      ],
    },
    {
      title: 'Ingestion',
      panels: [
        timeSeries({
          title: 'Events by outcome',
          description: 'Stored, dropped as duplicates, and rejected to the dead-letter queue.',
          unit: 'suffix: events/s',
          runbook: 'rejects',
          queries: [{ expr: 'analytics:ingestion_events:rate5m', legend: '{{outcome}}' }],
        }),
        timeSeries({
          title: 'Duplicates and rejects',
          description: 'Their shares of what was received in 5 minutes.',
          unit: 'percentunit',
          max: 1,
          runbook: 'rejects',
          queries: [
            {
              expr: 'sum by (outcome) (analytics:ingestion_events:rate5m{outcome!="stored"}) / on () group_left () (sum(analytics:ingestion_events:rate5m) > 0)',
              legend: '{{outcome}}',
            },
          ],
        }),
        timeSeries({
          title: 'Conflicts within an hour',
          description:
            'Events that came again with other content, or with another time, and were not stored.',
          unit: 'short',
          runbook: 'conflicts',
          queries: [
            {
              expr: 'analytics:ingestion_conflicts:max - min_over_time(analytics:ingestion_conflicts:max[60m])',
              legend: 'conflicts',
            },
          ],
        }),
        timeSeries({
          title: 'Dead letters',
          description:
            'Rejects and conflicts that wait in the dead-letter queue, until they are replayed or ' +
            'dropped.',
          unit: 'short',
          runbook: 'rejects',
          queries: [
            { expr: 'max by (queue) (analytics_dead_letter_messages)', legend: '{{queue}}' },
          ],
        }),
        timeSeries({
          title: 'Stored events against the usual week',
          description:
            'The last hour, the median of the same hour on the last 7 days, and the share of it ' +
            'below which the alert fires. The median needs three days.',
          unit: 'suffix: events/s',
          runbook: 'analyticsthroughputlow',
          queries: [
            { expr: 'analytics:stored_events:rate1h', legend: 'last hour' },
            { expr: 'analytics:stored_events:rate1h_median_7d', legend: 'usual' },
            {
              expr: `${thresholds.throughputShare} * analytics:stored_events:rate1h_median_7d`,
              legend: 'limit',
            },
          ],
        }),
        timeSeries({
          title: 'Messages waiting',
          description: 'Between the head of each stream, as last probed, and the last one stored.',
          unit: 'short',
          runbook: 'consumer-stuck-with-increasing-lag',
          queries: [
            { expr: 'max by (stream) (analytics_ingestion_lag_messages)', legend: '{{stream}}' },
          ],
        }),
        timeSeries({
          title: 'Ingestion lag',
          description: 'Since the time up to which each stream is stored.',
          unit: 's',
          limit: { bad: thresholds.freshnessLagSeconds },
          runbook: 'consumer-stuck-with-increasing-lag',
          queries: [
            { expr: 'max by (stream) (analytics_ingestion_lag_seconds)', legend: '{{stream}}' },
          ],
        }),
        timeSeries({
          title: 'Messages lost',
          description:
            'That the retention of a stream removed before they were read, since the beginning.',
          unit: 'short',
          runbook: 'analyticsmessageslost',
          queries: [{ expr: 'analytics:messages_lost:max', legend: '{{stream}}' }],
        }),
      ],
    },
    {
      title: 'Rollups and data quality',
      panels: [
        timeSeries({
          title: 'Rollup age',
          description: 'Since batches were last folded, with success, into the rollups.',
          unit: 's',
          limit: { bad: thresholds.rollupAgeSeconds },
          runbook: 'analyticsrollupstale',
          width: 8,
          queries: [
            {
              expr: 'time() - (max(analytics_rollup_last_success_timestamp_seconds) > 0)',
              legend: 'age',
            },
          ],
        }),
        timeSeries({
          title: 'Batches not yet folded',
          description: 'Their events are read raw until then.',
          unit: 'short',
          runbook: 'timescale-aggregate-stale',
          width: 8,
          queries: [{ expr: 'max(analytics_rollup_pending_batches)', legend: 'batches' }],
        }),
        timeSeries({
          title: 'Duration of a fold',
          description: 'Of the last one.',
          unit: 's',
          runbook: 'timescale-aggregate-stale',
          width: 8,
          queries: [{ expr: 'max(analytics_rollup_duration_seconds)', legend: 'duration' }],
        }),
        timeSeries({
          title: 'Drift of the rollups',
          description: 'The greatest of any org and bucket, as the last verify found it.',
          unit: 'percentunit',
          limit: { bad: thresholds.driftRatio },
          runbook: 'analyticsrollupdrift',
          width: 8,
          queries: [{ expr: 'max by (grain) (analytics_verify_drift_ratio)', legend: '{{grain}}' }],
        }),
        timeSeries({
          title: 'Failed deduplication',
          description:
            'Event ids of the last 24 hours that are stored twice, or buckets that drift, ' +
            'whichever is the greater share. A duplicate rightly dropped is no failure.',
          unit: 'percentunit',
          limit: { bad: thresholds.dedupeFailureRatio },
          runbook: 'analyticsdedupefailing',
          width: 8,
          queries: [{ expr: 'max(analytics_dedupe_failure_ratio)', legend: 'failures' }],
        }),
        timeSeries({
          title: 'Verify last passed',
          description:
            'Since it last found nothing wrong, and since its synthetic events last gave the known ' +
            'answer.',
          unit: 's',
          limit: { bad: thresholds.verifyAgeSeconds },
          runbook: 'analyticsverifyfailing',
          width: 8,
          queries: [
            {
              expr: 'time() - (max(analytics_verify_last_success_timestamp_seconds) > 0)',
              legend: 'verify',
            },
            {
              expr: 'time() - max(analytics_synthetic_check_last_success_timestamp_seconds)',
              legend: 'synthetic check',
            },
          ],
        }),
      ],
    },
    {
      title: 'Exports',
      panels: [
        timeSeries({
          title: 'Exports by status',
          description: 'Jobs at hand.',
          unit: 'short',
          runbook: 'stuck-exports',
          width: 8,
          queries: [
            {
              expr: 'max by (status) (analytics_export_jobs{status=~"pending|running|failed"})',
              legend: '{{status}}',
            },
          ],
        }),
        timeSeries({
          title: 'Age of the export queue',
          description: 'Since the oldest export that still waits was asked for.',
          unit: 's',
          limit: { bad: thresholds.exportQueueAgeSeconds },
          runbook: 'analyticsexportqueuestuck',
          width: 8,
          queries: [{ expr: 'max(analytics_export_queue_age_seconds)', legend: 'age' }],
        }),
        timeSeries({
          title: 'Failed attempts within an hour',
          description: 'Each export is tried five times in all.',
          unit: 'short',
          limit: { bad: thresholds.exportFailuresPerHour },
          runbook: 'analyticsexportfailing',
          width: 8,
          queries: [
            {
              expr: 'analytics:export_failures:max - min_over_time(analytics:export_failures:max[60m])',
              legend: 'failures',
            },
          ],
        }),
        table({
          title: 'Exports that wait or failed',
          description:
            'Of the chosen orgs and over all orgs, the newest 100, and why the last attempt failed.',
          unit: 'short',
          columns: { 'asked for': 'dateTimeFromNow' },
          sortBy: 'asked for',
          runbook: 'stuck-exports',
          width: 24,
          sql: `select e.created_at as "asked for", e.status, e.attempts, e.error_reason as error,
       coalesce(o.name, e.org_id::text, '(all orgs)') as org, e.format, e.job_id::text as job
from analytics.export_jobs e left join ${namedApart('orgs')} o on o.org_id = e.org_id
where e.status in ('pending', 'running', 'failed')
  and (e.org_id is null or e.org_id in (\${org:sqlstring}))
  and $__timeFilter(e.created_at)
order by 1 desc
limit 100`,
        }),
      ],
    },
    {
      title: 'Functions',
      panels: [
        timeSeries({
          title: 'Requests',
          description: 'Answered per second, by function. A function scaled to zero has no line.',
          unit: 'reqps',
          runbook: 'analyticsfunctiondown',
          queries: [
            {
              expr: 'sum by (job) (rate(http_requests_total{job=~"analytics-.+"}[$__rate_interval]))',
              legend: byJob,
            },
          ],
        }),
        timeSeries({
          title: 'Server errors',
          description: 'Share of requests answered with 5xx, by function and route.',
          unit: 'percentunit',
          max: 1,
          runbook: 'analyticsfunctiondown',
          queries: [
            {
              expr: 'sum by (job, route) (rate(http_requests_total{job=~"analytics-.+", status=~"5.."}[$__rate_interval])) / sum by (job, route) (rate(http_requests_total{job=~"analytics-.+"}[$__rate_interval]))',
              legend: '{{job}} {{route}}',
            },
          ],
        }),
        timeSeries({
          title: 'Latency by route',
          description: 'p95 of the time from request to response.',
          unit: 's',
          runbook: 'analyticsfunctiondown',
          queries: [
            {
              expr: p99OfRequests.replace('0.99', '0.95').replace('(job, le)', '(job, route, le)'),
              legend: '{{job}} {{route}}',
            },
          ],
        }),
        timeSeries({
          title: 'Latency by function',
          description: 'p99 of the time from request to response.',
          unit: 's',
          runbook: 'analyticsfunctiondown',
          queries: [{ expr: p99OfRequests, legend: byJob }],
        }),
        timeSeries({
          title: 'Replicas',
          description:
            'Pods that Prometheus can scrape. None is usual where a function scales to zero.',
          unit: 'short',
          runbook: 'analyticsfunctiondown',
          width: 8,
          queries: [{ expr: 'sum by (job) (up{job=~"analytics-.+"})', legend: byJob }],
        }),
        timeSeries({
          title: 'Memory',
          description: 'Resident memory of the largest replica.',
          unit: 'bytes',
          runbook: 'analyticsfunctiondown',
          width: 8,
          queries: [
            {
              expr: 'max by (job) (process_resident_memory_bytes{job=~"analytics-.+"})',
              legend: byJob,
            },
          ],
        }),
        timeSeries({
          title: 'Event loop lag',
          description: 'p99 of the slowest replica: how long a request waits for the process.',
          unit: 's',
          runbook: 'analyticsfunctiondown',
          width: 8,
          queries: [
            {
              expr: 'max by (job) (nodejs_eventloop_lag_p99_seconds{job=~"analytics-.+"})',
              legend: byJob,
            },
          ],
        }),
      ],
    },
  ],
};
