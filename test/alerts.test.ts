import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, inject, test } from 'vitest';
import { alertGroups } from '../scripts/dashboards/alerts.ts';
import { recordings } from '../scripts/dashboards/recordings.ts';
import { defaultRunbook, runbookSection } from '../scripts/dashboards/rule.ts';
import { ruleGroups } from '../scripts/dashboards/rules-file.ts';
import { checkRules, type RuleTest, testRules, testSomeRules } from './support/promtool.ts';

const rulesFile = fileURLToPath(new URL('../knative/alerts/rules.yaml', import.meta.url));
const operatorFile = fileURLToPath(new URL('../knative/base/alerts.yaml', import.meta.url));
const hasPrometheus = inject('hasPrometheus');
const alerts = Object.values(alertGroups).flat();

test.skipIf(!hasPrometheus)('promtool finds nothing wrong with the rules', async () => {
  await checkRules(rulesFile);
});

test('the operator is given the same rules', async () => {
  const [rules, manifest] = await Promise.all([
    readFile(rulesFile, 'utf8'),
    readFile(operatorFile, 'utf8'),
  ]);
  const [, spec = ''] = manifest.split('\nspec:\n');
  const lines = rules.split('\n').slice(1);
  expect(spec.split('\n')).toEqual(lines.map((line) => (line === '' ? '' : `  ${line}`)));
});

test('every rule takes the maximum over replicas, never the sum', () => {
  const numbers = /analytics_(?!usage_)[a-z_]+/;
  for (const { rules } of ruleGroups) {
    for (const { expr } of rules) {
      expect(expr).not.toMatch(new RegExp(`sum(?: by \\([^)]*\\))? ?\\(${numbers.source}`));
    }
  }
});

type Series = Record<string, string>;
/** The alerts that fire at a time, with their own labels and their summaries. */
type Firing = Record<string, { labels?: Record<string, string>; summary: string }[]>;

interface Scenario {
  name: string;
  /** Laid over the healthy service; an empty value takes a series away. */
  series: Series;
  /** Every alert not named is silent. */
  at: Record<string, Firing>;
  interval?: string;
  /** Nothing but `series`. */
  alone?: boolean;
}

/** Six hours, minute by minute: promtool's time begins at 0. */
const long = 360;
const steady = (value: number) => `${value}x${long}`;
const org = '00000000-0000-0000-0000-000000000001';
const refreshDown = 'The refresh, which runs every minute, has not succeeded for over 10 minutes';
const verifyFailing = 'Verify, which runs every 5 minutes, has not passed for over 30 minutes';
const other = '00000000-0000-0000-0000-000000000002';

/** Two replicas of the status function that report the same, and nothing to complain of. */
function healthy(): Series {
  const numbers: Series = {
    'analytics_ingestion_events_total{outcome="stored"}': `1000000+600x${long}`,
    'analytics_ingestion_events_total{outcome="duplicate"}': `500000+300x${long}`,
    'analytics_ingestion_events_total{outcome="rejected"}': `100+1x${long}`,
    'analytics_ingestion_lag_messages{stream="usage"}': steady(120),
    'analytics_ingestion_lag_seconds{stream="usage"}': steady(20),
    'analytics_ingestion_messages_lost_total{stream="usage"}': steady(7),
    analytics_freshness_lag_seconds_max: steady(20),
    [`analytics_freshness_lag_seconds{org_id="${org}"}`]: steady(20),
    analytics_rollup_last_success_timestamp_seconds: `0+60x${long}`,
    analytics_rollup_duration_seconds: steady(0.2),
    analytics_rollup_pending_batches: steady(3),
    'analytics_export_jobs{status="pending"}': steady(0),
    'analytics_export_jobs{status="running"}': steady(0),
    analytics_export_failures_total: steady(41),
    analytics_export_queue_age_seconds: steady(0),
    [`analytics_usage_error_rate{org_id="${org}"}`]: steady(0.004),
    analytics_usage_error_rate_max: steady(0.004),
    [`analytics_usage_latency_ms{org_id="${org}",quantile="0.95"}`]: steady(900),
    [`analytics_usage_latency_ms{org_id="${org}",quantile="0.99"}`]: steady(2_500),
    'analytics_verify_drift_ratio{grain="hourly"}': steady(0.0001),
    'analytics_verify_drift_ratio{grain="daily"}': steady(0),
    analytics_dedupe_failure_ratio: steady(0.0002),
    analytics_verify_last_success_timestamp_seconds: `0+60x${long}`,
  };
  return { ...numbers, 'up{job="analytics-status",instance="a"}': steady(1) };
}

const scenarios: Scenario[] = [
  { name: 'a healthy service is silent', series: {}, at: { '2m': {}, '20m': {}, '3h': {} } },
  {
    name: 'without any number only the missing numbers are reported',
    alone: true,
    series: {},
    at: {
      '4m': {},
      '6m': { AnalyticsStatusDown: [{ summary: 'The numbers of the pipeline are missing' }] },
    },
  },
  {
    name: 'a service that is idle, its functions scaled to zero, is silent',
    series: {
      'analytics_ingestion_events_total{outcome="stored"}': steady(5_000),
      'analytics_ingestion_events_total{outcome="duplicate"}': steady(0),
      'analytics_ingestion_events_total{outcome="rejected"}': steady(0),
      'analytics_ingestion_lag_messages{stream="usage"}': steady(0),
      [`analytics_usage_error_rate{org_id="${org}"}`]: '',
      [`analytics_usage_latency_ms{org_id="${org}",quantile="0.95"}`]: '',
      [`analytics_usage_latency_ms{org_id="${org}",quantile="0.99"}`]: '',
    },
    at: { '10m': {}, '3h': {} },
  },
  {
    name: 'a service without a stream, exports or a first verify is silent',
    series: {
      'analytics_ingestion_messages_lost_total{stream="usage"}': '',
      analytics_export_failures_total: '',
      'analytics_verify_drift_ratio{grain="hourly"}': '',
      'analytics_verify_drift_ratio{grain="daily"}': '',
      analytics_dedupe_failure_ratio: '',
      analytics_verify_last_success_timestamp_seconds: '',
    },
    at: { '10m': {}, '3h': {} },
  },
  {
    name: 'freshness lag fires above 600 s, once for all replicas',
    series: {
      'analytics_freshness_lag_seconds_max{instance="a"}': `_x30 600x10 601x20`,
      'analytics_freshness_lag_seconds_max{instance="b"}': `_x30 600x10 601x20`,
      analytics_freshness_lag_seconds_max: '',
    },
    at: {
      '35m': {},
      '42m': {
        AnalyticsFreshnessLagHigh: [{ summary: 'Answers are 10m 1s behind what was received' }],
      },
    },
  },
  {
    name: 'failed deduplication fires above 1%, duplicates rightly dropped do not',
    series: {
      'analytics_ingestion_events_total{outcome="duplicate"}': `0+60000x${long}`,
      'analytics_dedupe_failure_ratio{instance="a"}': `0.01x20 0.012x20`,
      'analytics_dedupe_failure_ratio{instance="b"}': `0.01x20 0.012x20`,
    },
    at: {
      '15m': {},
      '25m': {
        AnalyticsDedupeFailing: [{ summary: '1.2% of events or buckets are counted wrongly' }],
      },
    },
  },
  {
    name: 'drift of a single bucket warns above 0.5%, by grain',
    series: {
      'analytics_verify_drift_ratio{grain="hourly"}': `0.005x20 0.007x20 0.5x20`,
      'analytics_verify_drift_ratio{grain="daily"}': `0x40 0.02x20`,
    },
    at: {
      '15m': {},
      '30m': {
        AnalyticsRollupDrift: [
          {
            labels: { grain: 'hourly' },
            summary: 'The hourly rollups are off by 0.7% in a bucket',
          },
        ],
      },
      '50m': {
        AnalyticsRollupDrift: [
          { labels: { grain: 'hourly' }, summary: 'The hourly rollups are off by 50% in a bucket' },
          { labels: { grain: 'daily' }, summary: 'The daily rollups are off by 2% in a bucket' },
        ],
      },
    },
  },
  {
    name: 'a verify that no longer passes is reported',
    series: { analytics_verify_last_success_timestamp_seconds: steady(600) },
    at: {
      '40m': {},
      '52m': { AnalyticsVerifyFailing: [{ summary: verifyFailing }] },
    },
  },
  {
    name: 'a verify that never passed is given its time',
    series: { analytics_verify_last_success_timestamp_seconds: `0x20 ${20 * 60}+60x${long}` },
    at: { '25m': {}, '60m': {} },
  },
  {
    name: 'messages that retention removed are reported for an hour',
    series: { 'analytics_ingestion_messages_lost_total{stream="usage"}': `7x30 1007x${long}` },
    at: {
      '25m': {},
      '35m': {
        AnalyticsMessagesLost: [
          { labels: { stream: 'usage' }, summary: '1k messages of usage were never read' },
        ],
      },
      '95m': {},
    },
  },
  ...exportScenarios(),
  ...usageScenarios(),
  {
    name: 'rollups that are not refreshed: first the refresh is down, after an hour they are stale',
    series: { analytics_rollup_last_success_timestamp_seconds: steady(1_800) },
    at: {
      '40m': {},
      '47m': { AnalyticsRefreshDown: [{ summary: refreshDown }] },
      '91m': {
        AnalyticsRefreshDown: [{ summary: refreshDown }],
        AnalyticsRollupStale: [
          { summary: 'Batches were last folded into the rollups 1h 1m 0s ago' },
        ],
      },
    },
  },
  {
    name: 'a refresh that never succeeded is down, without stale rollups',
    series: { analytics_rollup_last_success_timestamp_seconds: steady(0) },
    at: {
      '12m': {},
      '17m': { AnalyticsRefreshDown: [{ summary: refreshDown }] },
      '90m': { AnalyticsRefreshDown: [{ summary: refreshDown }] },
    },
  },
  {
    name: 'a consumer is down when messages wait and nothing is committed',
    series: {
      'analytics_ingestion_events_total{outcome="stored"}': `0+600x30 18000x${long}`,
      'analytics_ingestion_events_total{outcome="duplicate"}': steady(0),
      'analytics_ingestion_events_total{outcome="rejected"}': steady(0),
      'analytics_ingestion_lag_messages{stream="usage"}': `120x30 120+600x${long}`,
    },
    at: {
      '30m': {},
      '38m': {},
      '45m': {
        AnalyticsConsumerDown: [
          {
            labels: { stream: 'usage' },
            summary: '8.52k messages wait in usage and none is being stored',
          },
        ],
      },
    },
  },
  {
    name: 'a consumer that only reads duplicates, or falls behind, is not down',
    series: {
      'analytics_ingestion_events_total{outcome="stored"}': steady(18_000),
      'analytics_ingestion_lag_messages{stream="usage"}': `120+6000x${long}`,
    },
    at: { '20m': {}, '60m': {} },
  },
  {
    name: 'a restored database, whose counters fall, is no alert',
    series: {
      'analytics_ingestion_events_total{outcome="stored"}': `1000000+600x60 900000+600x${long}`,
      'analytics_ingestion_events_total{outcome="duplicate"}': `500000+300x60 400000+300x${long}`,
      'analytics_ingestion_messages_lost_total{stream="usage"}': `7x60 3x${long}`,
      analytics_export_failures_total: `50x60 40x${long}`,
    },
    at: { '61m': {}, '70m': {}, '2h': {} },
  },
  {
    name: 'a pod that is being ended, or one of two that does not answer, is no function down',
    series: {
      'up{job="analytics-usage",instance="a"}': '1x30 0x3 stale',
      'up{job="analytics-events",instance="a"}': '1x30 0x100',
      'up{job="analytics-events",instance="b"}': '1x130',
      'up{job="somebody-elses"}': '0x130',
    },
    at: { '32m': {}, '36m': {}, '60m': {} },
  },
  {
    name: 'a function none of whose pods answers is down',
    series: {
      'up{job="analytics-usage",instance="a"}': '1x30 0x100',
      'up{job="analytics-usage",instance="b"}': '1x30 0x100',
    },
    at: {
      '33m': {},
      '37m': {
        AnalyticsFunctionDown: [
          {
            labels: { job: 'analytics-usage' },
            summary: 'analytics-usage runs and does not answer',
          },
        ],
      },
    },
  },
];

function exportScenarios(): Scenario[] {
  const failing = (count: number): Firing => ({
    AnalyticsExportFailing: [{ summary: `${count} attempts at exports failed within 60 minutes` }],
  });
  return [
    {
      name: 'two failed attempts within an hour warn, one does not',
      series: { analytics_export_failures_total: `0x30 1x40 2x${long}` },
      at: { '60m': {}, '75m': failing(2), '92m': {}, '3h': {} },
    },
    {
      name: 'two failed attempts more than an hour apart do not warn',
      series: { analytics_export_failures_total: `0x30 1x62 2x${long}` },
      at: { '31m': {}, '95m': {}, '2h': {} },
    },
    {
      name: 'failures before the first scrape do not count, two right after it do',
      series: { analytics_export_failures_total: `_x30 7x1 8x1 9x${long}` },
      at: { '31m': {}, '33m': {}, '36m': failing(2) },
    },
    {
      name: 'failures count though each was reported by another replica',
      series: {
        analytics_export_failures_total: '',
        'analytics_export_failures_total{instance="a"}': '0x10 1x5 stale',
        'analytics_export_failures_total{instance="b"}': '_x14 1x5 2x100',
      },
      at: { '15m': {}, '25m': failing(2) },
    },
    {
      name: 'a queue of work under way is no alert until it is an hour old',
      series: {
        'analytics_export_jobs{status="pending"}': steady(40),
        'analytics_export_jobs{status="running"}': steady(2),
        analytics_export_queue_age_seconds: `0+60x${long}`,
      },
      at: {
        '59m': {},
        '61m': {
          AnalyticsExportQueueStuck: [{ summary: 'An export has been waiting for 1h 1m 0s' }],
        },
      },
    },
    {
      name: 'a queue that nobody works on means that the worker is down',
      series: {
        'analytics_export_jobs{status="pending"}': steady(1),
        analytics_export_queue_age_seconds: `0+60x${long}`,
      },
      at: {
        '20m': {},
        '22m': {
          AnalyticsExportWorkerDown: [
            { summary: 'An export has been waiting for 22m 0s and none is being written' },
          ],
        },
      },
    },
  ];
}

function usageScenarios(): Scenario[] {
  const rate = `analytics_usage_error_rate{org_id="${org}"}`;
  const p95 = `analytics_usage_latency_ms{org_id="${org}",quantile="0.95"}`;
  const p99 = `analytics_usage_latency_ms{org_id="${org}",quantile="0.99"}`;
  const ofOrg = (summary: string) => [{ labels: { org_id: org }, summary }];
  const spike = (to: string): Firing => ({
    AnalyticsErrorRateSpike: ofOrg(
      `The error rate of org ${org} tripled within 15 minutes, to ${to}`,
    ),
  });
  /** The other 49 of a full list, none below the rate. */
  const fullList = (least: string) =>
    Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [
        `analytics_usage_error_rate{org_id="listed-${index}"}`,
        least,
      ]),
    );
  return [
    {
      name: 'an error rate above 5% fires after 5 minutes, for its org alone',
      series: {
        [rate]: `0.05x60 0.06x${long}`,
        [`analytics_usage_error_rate{org_id="${other}"}`]: steady(0.049),
      },
      at: {
        '60m': {},
        '65m': {},
        '67m': { AnalyticsErrorRateHigh: ofOrg(`6% of the requests of org ${org} fail`) },
      },
    },
    {
      name: 'an error rate that falls in between begins anew, and an absent one ends',
      series: { [rate]: `0.04x30 0.06x3 0.04x1 0.06x3 stale` },
      at: { '34m': {}, '37m': {}, '45m': {} },
    },
    {
      name: 'an error rate that triples within 15 minutes fires, and is then the new normal',
      series: { [rate]: `0.01x60 0.03x${long}` },
      at: { '64m': {}, '68m': spike('3%'), '78m': {} },
    },
    {
      name: 'from no error at all any lasting rate above 1% is a spike',
      series: { [rate]: `0x60 0.011x${long}` },
      at: { '64m': {}, '68m': spike('1.1%') },
    },
    {
      name: 'an org whose name is known is told by it too',
      series: {
        [rate]: `0x60 0.011x${long}`,
        [`analytics_org_info{org_id="${org}",org_name="Acme & Co",instance="a"}`]: steady(1),
        [`analytics_org_info{org_id="${other}",org_name="${other}",instance="a"}`]: steady(1),
      },
      at: {
        '68m': {
          AnalyticsErrorRateSpike: ofOrg(
            `The error rate of org ${org} (Acme & Co) tripled within 15 minutes, to 1.1%`,
          ),
        },
      },
    },
    {
      name: 'twice as many errors, or a threefold rate below 1%, or one short burst is no spike',
      series: {
        [rate]: `0.02x60 0.04x${long}`,
        [`analytics_usage_error_rate{org_id="${other}"}`]: `0.001x60 0.01x${long}`,
        'analytics_usage_error_rate{org_id="burst"}': `0x60 0.05x4 0x${long}`,
      },
      at: { '64m': {}, '68m': {}, '78m': {} },
    },
    {
      name: 'an org that begins to send has no rate to compare with',
      series: {
        [rate]: `_x60 0.03x${long}`,
        [`analytics_usage_error_rate{org_id="${other}"}`]: steady(0.001),
      },
      at: { '68m': {}, '90m': {} },
    },
    {
      name: 'an org that was better than the 50 worst is compared with the least of them',
      series: { [rate]: `_x60 0.03x${long}`, ...fullList(steady(0.005)) },
      at: { '64m': {}, '68m': spike('3%'), '80m': {} },
    },
    {
      name: 'and is silent when it may have been as bad before',
      series: { [rate]: `_x60 0.03x${long}`, ...fullList(steady(0.011)) },
      at: { '68m': {} },
    },
    {
      name: 'p95 above 2 s warns after 10 minutes, p99 above 5 s is critical after 5',
      series: { [p95]: `2000x60 2001x${long}`, [p99]: `5000x60 6250x${long}` },
      at: {
        '60m': {},
        '67m': { AnalyticsLatencyP99High: ofOrg(`The p99 latency of org ${org} is 6.25k ms`) },
        '72m': {
          AnalyticsLatencyP99High: ofOrg(`The p99 latency of org ${org} is 6.25k ms`),
          AnalyticsLatencyP95High: ofOrg(`The p95 latency of org ${org} is 2.001k ms`),
        },
      },
    },
  ];
}

/** Throughput needs a week: steps of 5 minutes, 288 a day. */
const day = 288;
const stored = 'analytics_ingestion_events_total{outcome="stored"}';
/** A counter with so many events per second, for so many days each. */
function counted(...parts: readonly [perSecond: number, days: number][]): string {
  let value = 0;
  return parts
    .map(([perSecond, days]) => {
      const [from, steps] = [value, Math.round(days * day)];
      const step = perSecond * 300;
      value += step * steps;
      // The notation includes both ends: the last is the next part's first.
      return `${from}+${step}x${steps - 1}`;
    })
    .join(' ');
}
const low: Firing = {
  AnalyticsThroughputLow: [{ summary: 'Only 7 events per second were stored in the last hour' }],
};
const throughputScenarios: Scenario[] = [
  {
    name: 'below 80% of the usual week it warns; at 85%, after a gap or a restore it does not',
    series: {
      [stored]: [
        // One freak day changes nothing of what is usual.
        counted([10, 3], [1_000, 1], [10, 3], [8.5, 0.25], [7, 0.25]),
        // Three hours that were not scraped, in which it went on.
        '_x36 1000000000+2100x47',
        // A backup that is a million events old.
        '999000000+2100x95',
      ].join(' '),
    },
    at: {
      '7d5h': {},
      '7d11h': low,
      '7d15h30m': {},
      '7d18h': low,
      '7d19h30m': {},
      '7d22h': low,
    },
  },
  {
    name: 'each hour is compared with its own',
    series: {
      // Twelve hours of much, twelve of little, every day.
      [stored]: counted(
        ...Array.from({ length: 9 }, (_, half): [number, number] => [half % 2 ? 2 : 20, 0.5]),
      ),
    },
    at: { '3d18h': {}, '4d6h': {} },
  },
  {
    name: 'below one event per second it is silent',
    series: { [stored]: counted([0.9, 3.25], [0, 0.25]) },
    at: { '3d11h': {} },
  },
  {
    name: 'two days are no usual week, three are',
    series: { [stored]: counted([10, 2.5], [7, 1]) },
    at: { '2d20h': {}, '3d11h': low },
  },
].map((scenario) => ({ ...scenario, interval: '5m', alone: true }));

describe.skipIf(!hasPrometheus)('alerts', () => {
  test.each(scenarios)('$name', async (scenario) => {
    await testRules(rulesFile, asRuleTest(scenario));
  });
  test.each(throughputScenarios)('throughput: $name', async (scenario) => {
    const rules = [...recordings, ...alerts.filter(({ alert }) => alert in low)];
    await testSomeRules(rules, asRuleTest(scenario, Object.keys(low)));
  });
});

test('every alert is seen firing', () => {
  const seen = [...scenarios, ...throughputScenarios].flatMap(({ at }) =>
    Object.values(at).flatMap((firing) => Object.keys(firing)),
  );
  expect(new Set(seen)).toEqual(new Set(alerts.map(({ alert }) => alert)));
});

function asRuleTest(
  { series, at, interval = '1m', alone = false }: Scenario,
  names = alerts.map(({ alert }) => alert),
): RuleTest {
  const all = { ...(alone ? {} : healthy()), ...series };
  return {
    interval,
    input_series: Object.entries(all)
      .filter(([, values]) => values !== '')
      .map(([name, values]) => ({ series: name, values })),
    alert_rule_test: Object.entries(at).flatMap(([time, firing]) =>
      names.map((alertname) => ({
        eval_time: time,
        alertname,
        exp_alerts: (firing[alertname] ?? []).map(({ labels = {}, summary }) =>
          expected(alertname, labels, summary),
        ),
      })),
    ),
  };
}

function expected(alertname: string, labels: Record<string, string>, summary: string) {
  const rule = alerts.find(({ alert }) => alert === alertname);
  if (rule === undefined) throw new Error(`no alert ${alertname}`);
  return {
    exp_labels: { ...labels, severity: rule.severity },
    exp_annotations: {
      summary,
      description: rule.description,
      runbook_url: runbookSection(defaultRunbook, alertname),
    },
  };
}
