import type { DashboardSpec } from './dashboard.ts';
import { stat, table, timeSeries } from './panel.ts';
import {
  chosen,
  inRange,
  invocations,
  joinModels,
  joinOrgs,
  modelName,
  namedByOrg,
  orgName,
  rollup,
  seriesBy,
  spend,
  totalOf,
} from './scope.ts';
import { thresholds } from './thresholds.ts';

/** The month in which the time range ends. */
const month = `date_trunc('month', $__timeTo()::timestamptz, 'UTC')`;

const rangeNote = 'Whole UTC buckets that begin in the time range.';
const currencyNote = 'In units of BILLING_CURRENCY, shown as dollars.';

export const usageDashboard: DashboardSpec = {
  uid: 'analytics-usage',
  title: 'Analytics: usage',
  description: 'Spend, tokens and invocations by org and model, from the rollups.',
  from: 'now-30d/d',
  refresh: '5m',
  buckets: 'days',
  rows: [
    {
      title: 'In the time range',
      panels: [
        stat({
          title: 'Spend',
          description: `What the chosen orgs and models cost. ${currencyNote} ${rangeNote}`,
          unit: 'currencyUSD',
          decimals: 2,
          sql: totalOf(spend, 'spend'),
        }),
        stat({
          title: 'Spend, month to date',
          description: `Since the beginning of the UTC month in which the time range ends. ${currencyNote}`,
          unit: 'currencyUSD',
          decimals: 2,
          sql: `select coalesce(${spend}, 0) as spend
from analytics.usage_daily d
where ${chosen}
  and d.bucket_start >= ${month} and d.bucket_start <= $__timeTo()::timestamptz`,
        }),
        stat({
          title: 'Invocations',
          description: `Requests of any status. ${rangeNote}`,
          unit: 'short',
          sql: totalOf(`sum(${invocations})::float8`, 'invocations'),
        }),
        stat({
          title: 'Input tokens',
          description: `Tokens of prompts. ${rangeNote}`,
          unit: 'short',
          sql: totalOf('sum(d.input_tokens)::float8', 'tokens'),
        }),
        stat({
          title: 'Output tokens',
          description: `Tokens of answers. ${rangeNote}`,
          unit: 'short',
          sql: totalOf('sum(d.output_tokens)::float8', 'tokens'),
        }),
        stat({
          title: 'Orgs',
          description: `Orgs with at least one request. ${rangeNote}`,
          unit: 'short',
          sql: totalOf('count(distinct d.org_id)::float8', 'orgs'),
        }),
      ],
    },
    {
      title: 'Spend',
      panels: [
        timeSeries({
          title: 'Spend by model',
          description: `Each bucket's spend. ${currencyNote}`,
          unit: 'currencyUSD',
          bars: true,
          stacked: true,
          sql: seriesBy('model', spend, 'spend'),
        }),
        timeSeries({
          title: 'Spend by org',
          description: `Each bucket's spend. ${currencyNote}`,
          unit: 'currencyUSD',
          bars: true,
          stacked: true,
          sql: seriesBy('org', spend, 'spend'),
        }),
        timeSeries({
          title: 'Spend, month to date',
          description:
            'Adding up day by day over the UTC month in which the time range ends, beside the ' +
            `month before, laid over it. ${currencyNote}`,
          unit: 'currencyUSD',
          sql: `select month_start + (day - own_month) as time, metric,
       sum(spend) over (partition by metric order by day) as spend
from (
  select d.bucket_start as day, ${month} as month_start,
         date_trunc('month', d.bucket_start, 'UTC') as own_month,
         case when d.bucket_start >= ${month} then 'this month' else 'the month before' end
           as metric,
         ${spend} as spend
  from analytics.usage_daily d
  where ${chosen}
    and d.bucket_start >= ${month} - interval '1 month'
    and d.bucket_start <= $__timeTo()::timestamptz
  group by 1
) as days
order by 1, 2`,
        }),
        table({
          title: 'Top models',
          description: `The 20 models that cost most. ${currencyNote} ${rangeNote}`,
          unit: 'short',
          columns: { spend: 'currencyUSD', 'spend per 1M tokens': 'currencyUSD' },
          sortBy: 'spend',
          sql: `select ${modelName} as model, ${spend} as spend,
       sum(${invocations})::float8 as invocations,
       sum(d.input_tokens)::float8 as "input tokens",
       sum(d.output_tokens)::float8 as "output tokens",
       ${spend} * 1000000 / nullif(sum(d.input_tokens + d.output_tokens)::float8, 0)
         as "spend per 1M tokens"
from ${rollup} d ${joinModels}
where ${inRange}
group by 1, d.model_id
order by 2 desc
limit 20`,
        }),
        table({
          title: 'Orgs',
          description: `The 100 orgs that spend most. ${currencyNote} ${rangeNote}`,
          unit: 'short',
          columns: { spend: 'currencyUSD', share: 'percentunit' },
          sortBy: 'spend',
          width: 24,
          sql: `select ${orgName} as org, ${spend} as spend,
       sum(d.cost_estimate_cents)::float8
         / nullif(sum(sum(d.cost_estimate_cents)) over (), 0)::float8 as share,
       sum(${invocations})::float8 as invocations,
       sum(d.input_tokens)::float8 as "input tokens",
       sum(d.output_tokens)::float8 as "output tokens",
       count(distinct d.model_id)::float8 as models
from ${rollup} d ${joinOrgs}
where ${inRange}
group by 1, d.org_id
order by 2 desc
limit 100`,
        }),
      ],
    },
    {
      title: 'Invocations and tokens',
      panels: [
        timeSeries({
          title: 'Invocations by model',
          description: 'Requests of any status in each bucket.',
          unit: 'short',
          bars: true,
          stacked: true,
          sql: seriesBy('model', `sum(${invocations})::float8`, 'invocations'),
        }),
        timeSeries({
          title: 'Invocations by org',
          description: 'Requests of any status in each bucket.',
          unit: 'short',
          bars: true,
          stacked: true,
          sql: seriesBy('org', `sum(${invocations})::float8`, 'invocations'),
        }),
        timeSeries({
          title: 'Tokens by model',
          description: 'Input and output tokens in each bucket.',
          unit: 'short',
          bars: true,
          stacked: true,
          sql: seriesBy('model', 'sum(d.input_tokens + d.output_tokens)::float8', 'tokens'),
        }),
        timeSeries({
          title: 'Tokens by kind',
          description: 'Tokens of prompts and of answers in each bucket.',
          unit: 'short',
          bars: true,
          stacked: true,
          sql: `select d.bucket_start as time, sum(d.input_tokens)::float8 as input,
       sum(d.output_tokens)::float8 as output
from ${rollup} d
where ${inRange}
group by 1
order by 1`,
        }),
      ],
    },
    {
      title: 'Freshness',
      panels: [
        stat({
          title: 'Freshness lag',
          description:
            'Everything received is stored, and in the rollups, up to that long ago. An org that ' +
            'sends nothing is not stale: this is the lag of the pipeline.',
          unit: 's',
          decimals: 0,
          limit: {
            warning: thresholds.freshnessStaleSeconds,
            bad: thresholds.freshnessLagSeconds,
          },
          runbook: 'analyticsfreshnesslaghigh',
          height: 8,
          queries: [{ expr: 'max(analytics_freshness_lag_seconds_max)', legend: 'lag' }],
        }),
        timeSeries({
          title: 'Freshness lag by org',
          description: 'The 50 orgs that are furthest behind.',
          unit: 's',
          limit: { bad: thresholds.freshnessLagSeconds },
          runbook: 'analyticsfreshnesslaghigh',
          width: 8,
          queries: [
            { expr: namedByOrg('analytics_freshness_lag_seconds'), legend: '{{org_name}}' },
          ],
        }),
        table({
          title: 'Last events',
          description:
            'When each org last used each model, and when that was last added to the rollups, ' +
            'whatever the time range.',
          unit: 'short',
          columns: { 'last event': 'dateTimeFromNow', 'last rollup': 'dateTimeFromNow' },
          sortBy: 'last event',
          sql: `select ${orgName} as org, ${modelName} as model, d.last_event_at as "last event",
       d.last_rollup_at as "last rollup"
from analytics.freshness_status d ${joinOrgs} ${joinModels}
where ${chosen}
order by 3 desc
limit 500`,
        }),
      ],
    },
  ],
};
