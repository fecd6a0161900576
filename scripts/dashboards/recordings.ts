import type { RecordingRule } from './rule.ts';

/**
 * The counters come from the database, and every replica of the status function reports the same:
 * the maximum over them is one series that outlives replicas. Only then may a difference be taken;
 * the other way round each replica's series begins anew, and what happened while they changed is
 * lost.
 */
export const recordings: readonly RecordingRule[] = [
  {
    record: 'analytics:ingestion_events:max',
    expr: 'max by (outcome) (analytics_ingestion_events_total)',
  },
  {
    record: 'analytics:ingestion_conflicts:max',
    expr: 'max(analytics_ingestion_conflicts_total)',
  },
  {
    record: 'analytics:export_failures:max',
    expr: 'max(analytics_export_failures_total)',
  },
  {
    record: 'analytics:messages_lost:max',
    expr: 'max by (stream) (analytics_ingestion_messages_lost_total)',
  },
  {
    record: 'analytics:ingestion_events:rate5m',
    expr: 'rate(analytics:ingestion_events:max[5m])',
  },
  {
    // A plain difference: `rate` would take an hour of which half was not scraped for a slow one.
    // Below zero the database was restored from a backup, and nothing is known for an hour.
    record: 'analytics:stored_events:rate1h',
    expr: `(
  sum(analytics:ingestion_events:max{outcome="stored"})
  - sum(analytics:ingestion_events:max{outcome="stored"} offset 1h)
  >= 0
) / 3600`,
  },
  {
    // Day by day, and not as a subquery: the steps of [7d:1d] fall on midnights, whatever the hour.
    record: 'analytics:stored_events:rate1h_days_ago',
    expr: [1, 2, 3, 4, 5, 6, 7]
      .map(
        (days) =>
          `label_replace(analytics:stored_events:rate1h offset ${days}d, "days_ago", "${days}", "", "")`,
      )
      .join('\nor\n'),
  },
  {
    // Fewer than three days are no usual week.
    record: 'analytics:stored_events:rate1h_median_7d',
    expr: `quantile(0.5, analytics:stored_events:rate1h_days_ago)
and
count(analytics:stored_events:rate1h_days_ago) >= 3`,
  },
];
