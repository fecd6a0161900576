import { Command } from 'commander';
import { openDatabase } from '../shared/db.ts';
import { readSettings } from '../shared/env.ts';
import { type Drift, failuresOf, reconcile } from '../shared/reconcile.ts';
import {
  type ExportDifference,
  exportDaysMax,
  reconcileExports,
} from '../shared/reconcile-exports.ts';
import { dayMs } from '../shared/time-window.ts';
import { localDatabaseUrl } from './local/database-url.ts';
import { daysOption } from './options.ts';
import { runScript } from './run-script.ts';

const { days } = new Command('npm run verify --')
  .description(
    'Compares raw events with the hourly and daily rollups, and recent exports with both; ' +
      'exit 1 on drift or staleness',
  )
  .option('--days <n>', 'how many UTC days back, today included', daysOption, 3)
  .parse()
  .opts<{ days: number }>();

runScript(async () => {
  const settings = readSettings(process.env);
  const database = openDatabase({
    url: await localDatabaseUrl(settings),
    driver: settings.DATABASE_DRIVER,
    connectionsMax: 1,
    patienceMs: 5_000,
    statementTimeoutMs: 300_000,
  });
  try {
    const tomorrow = (Math.floor(Date.now() / dayMs) + 1) * dayMs;
    const result = await reconcile(database, new Date(tomorrow - days * dayMs), new Date(tomorrow));
    const lag = result.freshnessLagSeconds;
    console.log(`raw events against rollups, ${day(result.from)} to ${day(result.to)} (UTC)`);
    console.log(`  hourly   ${summary(result.buckets.hourly, result.maxRatio.hourly)}`);
    console.log(`  daily    ${summary(result.buckets.daily, result.maxRatio.daily)}`);
    console.log(
      `  dedupe   ${result.doubledEventIds} of ${result.events24h} events of the last 24 hours stored under two identities`,
    );
    console.log(
      `  fresh    ${lag === null ? 'no stream was ever probed' : `lag ${Math.round(lag)} s`}`,
    );
    if (result.drifts.length > 0) console.table(result.drifts.slice(0, 20).map(tableRow));
    const exports = await reconcileExports(database, exportDaysMax, settings.RAW_RETENTION_DAYS);
    const ofKind = (wanted: ExportDifference['kind']) =>
      exports.differences.filter(({ kind }) => kind === wanted);
    const [wrong, restated] = [ofKind('wrong'), ofKind('restated')];
    console.log(
      `  exports  ${exports.checked} of the last ${exportDaysMax} days: ` +
        `${restated.length} restated by late events, ${wrong.length} wrong`,
    );
    const told = [...wrong, ...restated];
    if (told.length > 0) console.table(told.slice(0, 20).map(exportRow));
    const failures = [
      ...failuresOf(result),
      ...(wrong.length > 0 ? [`${wrong.length} exports do not tie with their window`] : []),
    ];
    console.log(failures.length === 0 ? 'OK' : `FAILED: ${failures.join('; ')}`);
    if (failures.length > 0) process.exitCode = 1;
  } finally {
    await database.close();
  }
});

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function summary(buckets: number, maxRatio: number): string {
  return `${buckets} buckets, greatest drift ${(maxRatio * 100).toFixed(3)}%`;
}

function tableRow({ grain, orgId, bucketStart, measure, raw, rollup, ratio }: Drift) {
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

function exportRow({ job, exported, now, change, kind }: ExportDifference) {
  return {
    export: job.jobId,
    org: job.orgId ?? 'all',
    from: new Date(job.range.startMs).toISOString(),
    to: new Date(job.range.endMs).toISOString(),
    'cost exported': exported.costEstimateCents,
    'cost now': now.costEstimateCents,
    change: `${change.costEstimateCents} cents, ${change.invocations} invocations`,
    reason: kind === 'wrong' ? 'unknown' : 'late events',
  };
}
