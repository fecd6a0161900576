import type { Database, Queryable } from '../platform/database/db.ts';
import type { Drift } from '../rollups/reconcile.ts';
import type { OffsetGap } from './gaps.ts';
import type { SyntheticCheck, SyntheticStatus } from './synthetic.ts';

export type RunTrigger = 'schedule' | 'command' | 'repair';

/** What one run of verify found: a row of data_quality_runs. */
export interface DataQualityRun {
  runId: string;
  trigger: RunTrigger;
  startedAt: Date;
  finishedAt: Date;
  windowStart: Date;
  windowEnd: Date;
  passed: boolean;
  failures: string[];
  buckets: number;
  driftedBuckets: number;
  driftRatio: { hourly: number; daily: number };
  events24h: number;
  doubledEventIds: number;
  dedupeFailureRatio: number;
  conflicts24h: number;
  freshnessLagSeconds: number | null;
  offsetGaps: number;
  missingPartitions: string[];
  exports: { checked: number; restated: number; wrong: number };
  syntheticCheck: SyntheticStatus;
  details: RunDetails;
}

/** The worst of each, bounded: a row must stay readable. */
export interface RunDetails {
  drifts: Drift[];
  gaps: OffsetGap[];
  exports: ChangedExport[];
  synthetic: SyntheticCheck;
}

export interface ChangedExport {
  jobId: string;
  orgId: string | null;
  kind: 'restated' | 'wrong';
  from: Date;
  to: Date;
  costExported: string;
  costNow: string;
  change: { invocations: number; costEstimateCents: string };
}

/** What metrics say of past runs; times in seconds since 1970, null where there was none. */
export interface QualityStanding {
  driftRatio: { hourly: number; daily: number };
  dedupeFailureRatio: number;
  lastSuccessAt: number | null;
  lastSyntheticSuccessAt: number | null;
}

const keptDays = 90;

/** Writes a run down and removes those of more than 90 days ago. */
export async function recordRun(database: Database, run: DataQualityRun): Promise<void> {
  await database.transaction({}, async (transaction) => {
    await transaction.query(
      `insert into analytics.data_quality_runs (
         run_id, trigger, started_at, finished_at, window_start, window_end, passed, failures,
         buckets, drifted_buckets, drift_ratio_hourly, drift_ratio_daily, events_24h,
         doubled_event_ids, dedupe_failure_ratio, freshness_lag_seconds, offset_gaps,
         missing_partitions, exports_checked, exports_restated, exports_wrong, synthetic_check,
         details, conflicts_24h)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
               $19, $20, $21, $22, $23, $24)`,
      [
        run.runId,
        run.trigger,
        run.startedAt,
        run.finishedAt,
        run.windowStart,
        run.windowEnd,
        run.passed,
        run.failures,
        run.buckets,
        run.driftedBuckets,
        run.driftRatio.hourly,
        run.driftRatio.daily,
        run.events24h,
        run.doubledEventIds,
        run.dedupeFailureRatio,
        run.freshnessLagSeconds,
        run.offsetGaps,
        run.missingPartitions,
        run.exports.checked,
        run.exports.restated,
        run.exports.wrong,
        run.syntheticCheck,
        JSON.stringify(run.details),
        run.conflicts24h,
      ],
    );
    await transaction.query(
      `delete from analytics.data_quality_runs
       where started_at < clock_timestamp() - make_interval(days => $1)`,
      [keptDays],
    );
  });
}

/** What the last run found, and when runs last found nothing wrong; null before the first. */
export async function qualityStanding(snapshot: Queryable): Promise<QualityStanding | null> {
  const [row] = await snapshot.query<{
    hourly: number;
    daily: number;
    dedupe: number;
    success: number | null;
    synthetic: number | null;
  }>(
    `select drift_ratio_hourly as hourly, drift_ratio_daily as daily,
            dedupe_failure_ratio as dedupe,
            ${lastOf('passed')} as success,
            ${lastOf(`synthetic_check = 'passed'`)} as synthetic
     from analytics.data_quality_runs
     order by started_at desc
     limit 1`,
  );
  if (row === undefined) return null;
  return {
    driftRatio: { hourly: row.hourly, daily: row.daily },
    dedupeFailureRatio: row.dedupe,
    lastSuccessAt: row.success,
    lastSyntheticSuccessAt: row.synthetic,
  };
}

/** Walks back by the index: rarely further than a row. `condition` is ours. */
function lastOf(condition: string): string {
  return `(select extract(epoch from finished_at)::float8
           from analytics.data_quality_runs
           where ${condition}
           order by started_at desc
           limit 1)`;
}
