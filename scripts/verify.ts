import { Command } from 'commander';
import { type VerifyReport, verify } from '../functions/verify/verify.ts';
import type { OffsetGap } from '../shared/data-quality-gaps.ts';
import type { ChangedExport, DataQualityRun, RunTrigger } from '../shared/data-quality-runs.ts';
import { openDatabase } from '../shared/db.ts';
import { readSettings } from '../shared/env.ts';
import type { Drift } from '../shared/reconcile.ts';
import { exportDaysMax } from '../shared/reconcile-exports.ts';
import { recompute } from '../shared/rollup.ts';
import { brokerSource } from '../shared/stream.ts';
import { createLogger } from '../shared/telemetry.ts';
import { dayMs } from '../shared/time-window.ts';
import { localDatabaseUrl } from './local/database-url.ts';
import { daysOption } from './options.ts';
import { runScript } from './run-script.ts';

const { days, repair } = new Command('npm run verify --')
  .description(
    'Compares raw events with the hourly and daily rollups, offsets of the stream with stored ' +
      'batches, and recent exports with their windows; exit 1 on drift, gaps or staleness. Writes ' +
      'the result to analytics.data_quality_runs',
  )
  .option('--days <n>', 'how many UTC days back, today included', daysOption, 3)
  .option('--repair', 'rebuild the days that drift from raw events, then verify again')
  .parse()
  .opts<{ days: number; repair?: true }>();

runScript(async () => {
  const settings = readSettings(process.env, { knowsActors: false });
  const database = openDatabase({
    url: await localDatabaseUrl(settings),
    driver: settings.DATABASE_DRIVER,
    connectionsMax: 3,
    patienceMs: 5_000,
    statementTimeoutMs: 600_000,
  });
  const amqp = settings.RABBITMQ_URL;
  const brokers = amqp === undefined ? null : brokerSource(amqp, { name: 'verify' });
  const logger = createLogger({ ...settings, LOG_LEVEL: 'silent' }, 'verify');
  const check = async (trigger: RunTrigger): Promise<VerifyReport> => {
    // Synthetic events are the schedule's to send: a command leaves no events behind.
    const deps = { database, sink: null, brokers, settings, logger };
    const report = await verify(deps, { trigger, days, exportDays: exportDaysMax });
    if (report === null) throw new Error('another run of verify is under way: try again later');
    print(report.run);
    return report;
  };
  try {
    let { run, driftedDays } = await check('command');
    if (repair === true && driftedDays.length > 0) {
      for (const first of driftedDays) {
        const { hourlyRows } = await recompute(
          database,
          first,
          new Date(first.getTime() + dayMs),
          settings.RAW_RETENTION_DAYS,
        );
        console.log(`rebuilt ${day(first)}: ${hourlyRows} hourly rows`);
      }
      ({ run, driftedDays } = await check('repair'));
    }
    if (!run.passed) process.exitCode = 1;
  } finally {
    await brokers?.close();
    await database.close();
  }
});

function print(run: DataQualityRun): void {
  const { driftRatio, exports, details, freshnessLagSeconds: lag } = run;
  const lines = {
    rollups:
      `${run.buckets} buckets, ${day(run.windowStart)} to ${day(run.windowEnd)} (UTC); greatest ` +
      `drift hourly ${percent(driftRatio.hourly)}, daily ${percent(driftRatio.daily)}`,
    dedupe: `${run.doubledEventIds} of ${run.events24h} events of the last 24 hours stored under two identities`,
    offsets: `${run.offsetGaps} unexplained gaps between stored batches`,
    days:
      run.missingPartitions.length === 0
        ? 'today and tomorrow have their place'
        : `no partition for ${run.missingPartitions.join(', ')}`,
    fresh: lag === null ? 'no stream was ever probed' : `lag ${Math.round(lag)} s`,
    exports:
      `${exports.checked} of the last ${exportDaysMax} days: ` +
      `${exports.restated} restated by late events, ${exports.wrong} wrong`,
  };
  console.log('what is stored, compared with itself');
  for (const [name, text] of Object.entries(lines)) console.log(`  ${name.padEnd(8)} ${text}`);
  if (details.drifts.length > 0) console.table(details.drifts.map(driftRow));
  if (run.offsetGaps > 0) console.table(details.gaps.map(gapRow));
  if (details.exports.length > 0) console.table(details.exports.map(exportRow));
  console.log(run.passed ? 'OK' : `FAILED: ${run.failures.join('\nFAILED: ')}`);
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(3)}%`;
}

function driftRow({ grain, orgId, bucketStart, measure, raw, rollup, ratio }: Drift) {
  return {
    grain,
    org: orgId,
    bucket: bucketStart.toISOString(),
    measure,
    raw,
    rollup,
    drift: `${(ratio * 100).toFixed(2)}%`,
  };
}

function gapRow({ stream, first, last, kind }: OffsetGap) {
  return { stream, 'first offset': first, 'last offset': last, kind };
}

function exportRow({ jobId, orgId, from, to, costExported, costNow, change, kind }: ChangedExport) {
  return {
    export: jobId,
    org: orgId ?? 'all',
    from: from.toISOString(),
    to: to.toISOString(),
    'cost exported': costExported,
    'cost now': costNow,
    change: `${change.costEstimateCents} cents, ${change.invocations} invocations`,
    reason: kind === 'wrong' ? 'unknown' : 'late events',
  };
}
