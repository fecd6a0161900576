import { randomUUID } from 'node:crypto';
import { findGaps, gapFailure, isExplained, judgeGaps } from '../../shared/data-quality/gaps.ts';
import { missingPartitions } from '../../shared/data-quality/partitions.ts';
import {
  type ChangedExport,
  type DataQualityRun,
  type RunTrigger,
  recordRun,
} from '../../shared/data-quality/runs.ts';
import { syntheticCheck, syntheticFailures } from '../../shared/data-quality/synthetic.ts';
import type { EventSink } from '../../shared/events/event-sink.ts';
import { type ExportDifference, reconcileExports } from '../../shared/exports/reconcile.ts';
import type { Broker, BrokerSource } from '../../shared/platform/broker/stream.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import type { Logger } from '../../shared/platform/telemetry/telemetry.ts';
import { dayMs } from '../../shared/queries/time-window.ts';
import {
  dedupeFailureRatio,
  failuresOf,
  reconcile,
  total,
  warningsOf,
} from '../../shared/rollups/reconcile.ts';

export interface VerifyDeps {
  database: Database;
  /** Takes the synthetic events; null leaves the synthetic check out. */
  sink: EventSink | null;
  /** Says what lies in gaps of offsets; null without RabbitMQ. */
  brokers: BrokerSource | null;
  settings: Settings;
  logger: Logger;
}

export interface VerifyOptions {
  trigger?: RunTrigger;
  /** UTC days of rollups to compare, today included. */
  days?: number;
  /** How far back exports are compared with what their windows hold now. */
  exportDays?: number;
}

export interface VerifyReport {
  run: DataQualityRun;
  /** UTC days to rebuild. */
  driftedDays: Date[];
}

/** Any number, the same for all who verify. */
const verifyLock = 7_102_004_003;
const statementMaxMs = 240_000;
/** The lock's transaction rests while the broker is asked and synthetic events come through. */
const restMaxMs = 120_000;
const detailsMax = 20;

/**
 * Compares what is stored with itself and writes down what it finds, in `data_quality_runs`. Reads
 * only, but for that row and the synthetic events.
 *
 * @returns null when another run is under way: a second would only double the work.
 */
export async function verify(
  deps: VerifyDeps,
  { trigger = 'schedule', days = 2, exportDays = 2 }: VerifyOptions = {},
): Promise<VerifyReport | null> {
  const { database, settings, logger } = deps;
  const options = {
    mode: 'snapshot',
    statementTimeoutMs: statementMaxMs,
    idleTimeoutMs: restMaxMs,
  } as const;
  const startedMs = performance.now();
  const report = await database.transaction(options, async (snapshot) => {
    // Held until the transaction ends: it needs no clean-up, and no session of its own.
    const [lock] = await snapshot.query<{ held: boolean; now: Date }>(
      'select pg_try_advisory_xact_lock($1) as held, clock_timestamp() as now',
      [verifyLock],
    );
    if (lock?.held !== true) return null;
    const { now } = lock;
    const [from, to] = comparedDays(now, days, settings);
    const numbers = await reconcile(snapshot, from, to, now);
    const partitions = await missingPartitions(snapshot, now);
    const found = await findGaps(snapshot, from);
    const broker = found.length === 0 ? null : await brokerToAsk(deps);
    const gaps = await judgeGaps(found, broker);
    const unexplained = gaps.filter((gap) => !isExplained(gap));
    const exports = await reconcileExports(database, exportDays, settings.RAW_RETENTION_DAYS);
    const changed = exports.differences.flatMap(toChangedExport);
    const wrong = changed.filter(({ kind }) => kind === 'wrong').length;
    const synthetic = await syntheticCheck(database, deps.sink, now.getTime());
    const failures = [
      ...failuresOf(numbers),
      ...unexplained.map(gapFailure),
      ...partitions.map((day) => `no partition for events of ${day}: the refresh did not make it`),
      ...(wrong > 0 ? [`${wrong} exports do not tie with their window`] : []),
      ...syntheticFailures(synthetic),
    ];
    const run: DataQualityRun = {
      runId: randomUUID(),
      trigger,
      startedAt: now,
      finishedAt: new Date(now.getTime() + performance.now() - startedMs),
      windowStart: from,
      windowEnd: to,
      passed: failures.length === 0,
      failures: failures.slice(0, detailsMax),
      buckets: total(numbers.buckets),
      driftedBuckets: total(numbers.driftedBuckets),
      driftRatio: numbers.maxRatio,
      events24h: numbers.events24h,
      doubledEventIds: numbers.doubledEventIds,
      dedupeFailureRatio: dedupeFailureRatio(numbers),
      conflicts24h: numbers.conflicts24h,
      freshnessLagSeconds: numbers.freshnessLagSeconds,
      offsetGaps: unexplained.length,
      missingPartitions: partitions,
      exports: {
        checked: exports.checked,
        restated: changed.length - wrong,
        wrong,
      },
      syntheticCheck: synthetic.status,
      details: {
        drifts: numbers.drifts.slice(0, detailsMax),
        gaps: [...unexplained, ...gaps.filter(isExplained)].slice(0, detailsMax),
        exports: changed.slice(0, detailsMax),
        synthetic,
      },
    };
    await recordRun(database, run);
    return { run, driftedDays: numbers.driftedDays };
  });
  if (report === null) {
    logger.info('another run of verify is under way');
    return null;
  }
  const { details: _, ...told } = report.run;
  logger[told.passed ? 'info' : 'error'](told, told.passed ? 'verified' : 'verify failed');
  for (const warning of warningsOf(told)) logger.warn({ runId: told.runId }, warning);
  return report;
}

/** Whole UTC days up to today, as far as raw events and rollups are both kept. */
function comparedDays(
  now: Date,
  days: number,
  { RAW_RETENTION_DAYS: rawDays, ROLLUP_RETENTION_DAYS: rollupDays }: Settings,
): [from: Date, to: Date] {
  const today = Math.floor(now.getTime() / dayMs);
  const first = today + 1 - Math.min(days, rawDays + 1, rollupDays + 1);
  return [new Date(first * dayMs), new Date((today + 1) * dayMs)];
}

async function brokerToAsk({ brokers, logger }: VerifyDeps): Promise<Broker | null> {
  try {
    return brokers === null ? null : await brokers.get();
  } catch (error) {
    logger.warn({ reason: messageOf(error) }, 'gaps of offsets are judged without the stream');
    return null;
  }
}

/** Windows still open when they were exported change, and nobody is surprised. */
function toChangedExport({ job, exported, now, change, kind }: ExportDifference): ChangedExport[] {
  if (kind === 'open') return [];
  return [
    {
      jobId: job.jobId,
      orgId: job.orgId,
      kind,
      from: new Date(job.range.startMs),
      to: new Date(job.range.endMs),
      costExported: exported.costEstimateCents,
      costNow: now.costEstimateCents,
      change,
    },
  ];
}
