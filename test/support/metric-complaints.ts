/**
 * What `promtool check metrics` has against our metrics, and why it stays. Anything else is a fault,
 * and so is one of these that promtool no longer finds.
 */
export const metricComplaints: readonly { complaint: string; reason: string }[] = [
  ...['analytics_usage_latency_ms', 'analytics_usage_latency_ms_max'].flatMap((name) => [
    {
      complaint: `${name} metric names should not contain abbreviated units`,
      reason: 'the name is part of the contract, as durations are milliseconds throughout the API',
    },
    {
      complaint: `${name} non-summary metrics should not have "quantile" label`,
      reason:
        'the label is part of the contract; a summary would need a sum and a count, which the bins of a window in a table are not',
    },
  ]),
  ...['handles', 'requests', 'resources'].map((what) => ({
    complaint: `nodejs_active_${what}_total non-counter metrics should not have "_total" suffix`,
    reason: 'the name is that of prom-client, by which everybody knows it',
  })),
];
