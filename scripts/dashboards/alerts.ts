import type { AlertRule } from './rule.ts';
import { thresholds as at, worstOrgsMax } from './thresholds.ts';

/**
 * The contract's alerts and the few that make them trustworthy. What every expression keeps to:
 *
 * - Several replicas of the status function report the same numbers: `max`, never `sum`.
 * - No series is no alert, but for the one that says so: a function scaled to zero has none.
 * - Numbers of the pipeline are read from tables, so they are there when the function that makes
 *   them is not.
 */

const freshness: readonly AlertRule[] = [
  {
    alert: 'AnalyticsFreshnessLagHigh',
    expr: `max(analytics_freshness_lag_seconds_max) > ${at.freshnessLagSeconds}`,
    severity: 'critical',
    summary: 'Answers are {{ $value | humanizeDuration }} behind what was received',
    description:
      'Everything received is stored, and in the rollups, only up to that long ago. An org that ' +
      'sends nothing does not count: the lag is that of the pipeline.',
  },
  {
    alert: 'AnalyticsRollupStale',
    // Where it never succeeded the time is 0: then the refresh is down, which says so sooner.
    expr: `time() - (max(analytics_rollup_last_success_timestamp_seconds) > 0) > ${at.rollupAgeSeconds}`,
    severity: 'critical',
    summary: 'Batches were last folded into the rollups {{ $value | humanizeDuration }} ago',
    description:
      'Answers stay exact, as unfolded events are read raw, but grow slower. A fold that finds ' +
      'nothing to do counts as success, so an idle service is not stale.',
  },
  {
    alert: 'AnalyticsThroughputLow',
    expr: `analytics:stored_events:rate1h
  < ${at.throughputShare} * analytics:stored_events:rate1h_median_7d
and
analytics:stored_events:rate1h_median_7d > ${at.throughputFloorPerSecond}`,
    for: '10m',
    severity: 'warning',
    summary: 'Only {{ $value | humanize }} events per second were stored in the last hour',
    description:
      `That is below ${percent(at.throughputShare)} of the median of the same hour on the last 7 ` +
      `days, at least 3 of them known, which is above ${at.throughputFloorPerSecond} per second. ` +
      'Less was sent, or less arrived: quiet days of the week do this too.',
  },
];

const integrity: readonly AlertRule[] = [
  {
    alert: 'AnalyticsDedupeFailing',
    expr: `max(analytics_dedupe_failure_ratio) > ${at.dedupeFailureRatio}`,
    severity: 'critical',
    summary: '{{ $value | humanizePercentage }} of events or buckets are counted wrongly',
    description:
      'The greater of two shares that the last verify found: event ids of the last 24 hours that ' +
      'are stored under two identities, and buckets whose rollups drift from their raw events. A ' +
      'duplicate rightly dropped is no failure.',
  },
  {
    alert: 'AnalyticsRollupDrift',
    expr: `max by (grain) (analytics_verify_drift_ratio) > ${at.driftRatio}`,
    severity: 'warning',
    summary:
      'The {{ $labels.grain }} rollups are off by {{ $value | humanizePercentage }} in a bucket',
    description: 'The last verify found it in one org and bucket at least, and failed.',
  },
  {
    alert: 'AnalyticsVerifyFailing',
    // Where it never passed the time is 0, so that this fires too.
    expr: `time() - max(analytics_verify_last_success_timestamp_seconds) > ${at.verifyAgeSeconds}`,
    for: '10m',
    severity: 'warning',
    summary: 'Verify, which runs every 5 minutes, has not passed for over 30 minutes',
    description:
      'It finds something wrong each time, or does not run: then the ratios that other alerts ' +
      'look at are those of its last run.',
  },
  {
    alert: 'AnalyticsMessagesLost',
    expr: `analytics:messages_lost:max - min_over_time(analytics:messages_lost:max[1h]) > 0`,
    severity: 'critical',
    summary: '{{ $value | humanize }} messages of {{ $labels.stream }} were never read',
    description:
      'Retention removed them from the stream, or the stream was deleted, before the consumer came ' +
      'to them: events are lost unless their producers can send them again.',
  },
];

const exportAlerts: readonly AlertRule[] = [
  {
    alert: 'AnalyticsExportFailing',
    // `increase` extrapolates, and one failure on a young series can look like two. The counter
    // only grows but for a restored backup, after which the least of the hour is the new start.
    expr: `analytics:export_failures:max - min_over_time(analytics:export_failures:max[60m]) >= ${at.exportFailuresPerHour}`,
    severity: 'warning',
    summary: '{{ $value | humanize }} attempts at exports failed within 60 minutes',
    description: 'Each is tried five times in all; the job says why the last attempt failed.',
  },
  {
    alert: 'AnalyticsExportQueueStuck',
    expr: `max(analytics_export_queue_age_seconds) > ${at.exportQueueAgeSeconds}`,
    severity: 'warning',
    summary: 'An export has been waiting for {{ $value | humanizeDuration }}',
    description:
      'More is asked for than the workers finish, or a worker holds jobs that it does not work on.',
  },
];

/** An org in an alert's words: its id, and its name where that is known. */
const org =
  '{{ $labels.org_id }}' +
  `{{ range query (printf "topk(1, analytics_org_info{org_id='%s'})" $labels.org_id) }}` +
  '{{ if ne .Labels.org_name $labels.org_id }} ({{ .Labels.org_name }}){{ end }}{{ end }}';

const usage: readonly AlertRule[] = [
  {
    alert: 'AnalyticsErrorRateHigh',
    expr: `max by (org_id) (analytics_usage_error_rate) > ${at.errorRatio}`,
    for: '5m',
    severity: 'critical',
    summary: `{{ $value | humanizePercentage }} of the requests of org ${org} fail`,
    description:
      'Errors, timeouts and throttled requests of the last 5 minutes, for 5 minutes. Orgs with ' +
      'fewer than 20 requests in 5 minutes are left out.',
  },
  {
    alert: 'AnalyticsErrorRateSpike',
    // An org that was not listed 15 minutes ago had too few requests, or was better than all that
    // were: where the list was full, the least of them bounds what it can have been.
    expr: `max by (org_id) (analytics_usage_error_rate) > ${at.errorSpikeRatio}
and (
  max by (org_id) (analytics_usage_error_rate)
    >= ${at.errorSpikeFactor} * max by (org_id) (analytics_usage_error_rate offset 15m)
  or (
    max by (org_id) (analytics_usage_error_rate)
      >= on () group_left () (
        ${at.errorSpikeFactor} * min(analytics_usage_error_rate offset 15m)
        and
        count(max by (org_id) (analytics_usage_error_rate offset 15m)) >= ${worstOrgsMax}
      )
    unless
    max by (org_id) (analytics_usage_error_rate offset 15m)
  )
)`,
    for: '5m',
    severity: 'critical',
    summary:
      `The error rate of org ${org} tripled within 15 minutes, to ` +
      '{{ $value | humanizePercentage }}',
    description:
      'Three times that of 15 minutes before and above 1%, for 5 minutes: the rate is that of ' +
      'the last 5 minutes, so that one failed request among few does not make an alert.',
  },
  {
    alert: 'AnalyticsLatencyP95High',
    expr: `max by (org_id) (analytics_usage_latency_ms{quantile="0.95"}) > ${at.latencyP95Ms}`,
    for: '10m',
    severity: 'warning',
    summary: `The p95 latency of org ${org} is {{ $value | humanize }} ms`,
    description: 'Of the requests of the last 5 minutes, for 10 minutes.',
  },
  {
    alert: 'AnalyticsLatencyP99High',
    expr: `max by (org_id) (analytics_usage_latency_ms{quantile="0.99"}) > ${at.latencyP99Ms}`,
    for: '5m',
    severity: 'critical',
    summary: `The p99 latency of org ${org} is {{ $value | humanize }} ms`,
    description: 'Of the requests of the last 5 minutes, for 5 minutes.',
  },
];

/**
 * "A pipeline function down". With scale to zero the absence of a function means nothing, so each
 * is judged by the work that it leaves undone, as the tables tell.
 */
const functions: readonly AlertRule[] = [
  {
    alert: 'AnalyticsStatusDown',
    // Has no labels and is always reported while the database answers.
    expr: 'absent(analytics_rollup_pending_batches)',
    for: '5m',
    severity: 'critical',
    summary: 'The numbers of the pipeline are missing',
    description:
      'The status function, which Prometheus keeps awake by scraping it through its route, is ' +
      'away, or its database is. All alerts but this one are blind.',
  },
  {
    alert: 'AnalyticsConsumerDown',
    // Any message that is read moves one of the three counters, so zero is no slow consumer.
    expr: `max by (stream) (analytics_ingestion_lag_messages) > 0
unless on ()
sum(increase(analytics:ingestion_events:max[5m])) > 0`,
    for: '5m',
    severity: 'critical',
    summary:
      '{{ $value | humanize }} messages wait in {{ $labels.stream }} and none is being stored',
    description:
      'No consumer has committed anything for 5 minutes and more. Scaled to zero with nothing to ' +
      'read is as it should be; one partition among several that stands still shows as freshness ' +
      'lag.',
  },
  {
    alert: 'AnalyticsRefreshDown',
    expr: `time() - max(analytics_rollup_last_success_timestamp_seconds) > ${at.refreshAgeSeconds}`,
    for: '5m',
    severity: 'critical',
    summary: 'The refresh, which runs every minute, has not succeeded for over 10 minutes',
    description:
      'Or never has. Without it the heads of the streams are not probed: no consumer is started, ' +
      'and completeness stands still.',
  },
  {
    alert: 'AnalyticsExportWorkerDown',
    expr: `max(analytics_export_queue_age_seconds) > ${at.exportIdleQueueAgeSeconds}
unless on ()
max(analytics_export_jobs{status="running"}) > 0`,
    for: '5m',
    severity: 'critical',
    summary:
      'An export has been waiting for {{ $value | humanizeDuration }} and none is being written',
    description:
      'The schedule wakes the worker every minute, and a job that failed is tried again within 5: ' +
      'nobody is at work.',
  },
  {
    alert: 'AnalyticsFunctionDown',
    expr: 'max by (job) (up{job=~"analytics-.+"}) == 0',
    for: '5m',
    severity: 'critical',
    summary: '{{ $labels.job }} runs and does not answer',
    description:
      'Each of its pods is there and none can be scraped. Scaled to zero it has no pods, and no ' +
      'series either.',
  },
];

export const alertGroups = {
  'analytics-freshness': freshness,
  'analytics-integrity': integrity,
  'analytics-exports': exportAlerts,
  'analytics-usage': usage,
  'analytics-functions': functions,
};

function percent(share: number): string {
  return `${share * 100}%`;
}
