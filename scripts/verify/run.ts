import { type VerifyReport, verify } from '../../functions/verify/verify.ts';
import type { RunTrigger } from '../../shared/data-quality/runs.ts';
import { exportDaysMax } from '../../shared/exports/reconcile.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { createLogger } from '../../shared/platform/telemetry/telemetry.ts';
import { dayMs } from '../../shared/queries/time-window.ts';
import { recompute } from '../../shared/rollups/rollup.ts';
import { exitCodes } from '../cli/failure.ts';
import { openOperatorDatabase } from '../cli/operator-database.ts';
import { say, sayJson } from '../cli/output.ts';
import { operatorSettings } from '../cli/settings.ts';
import { day, reportText } from './report.ts';

interface VerifyCommandOptions {
  days: number;
  /** Rebuild what drifts, and look again. */
  repair: boolean;
  json: boolean;
}

/** @returns 1 when what is stored does not agree with itself */
export async function runVerify({ days, repair, json }: VerifyCommandOptions): Promise<number> {
  const settings = operatorSettings();
  const database = await openOperatorDatabase(settings, 3);
  const amqp = settings.RABBITMQ_URL;
  const brokers = amqp === undefined ? null : brokerSource(amqp, { name: 'verify' });
  const logger = createLogger({ ...settings, LOG_LEVEL: 'silent' }, 'verify');
  const check = async (trigger: RunTrigger): Promise<VerifyReport> => {
    // Synthetic events are the schedule's to send: a command leaves no events behind.
    const deps = { database, sink: null, brokers, settings, logger };
    const report = await verify(deps, { trigger, days, exportDays: exportDaysMax });
    if (report === null) throw new Error('another run of verify is under way: try again later');
    if (!json) say(reportText(report.run));
    return report;
  };
  try {
    let { run, driftedDays } = await check('command');
    const repaired: string[] = [];
    if (repair && driftedDays.length > 0) {
      for (const first of driftedDays) {
        const end = new Date(first.getTime() + dayMs);
        const { hourlyRows } = await recompute(database, first, end, settings.RAW_RETENTION_DAYS);
        repaired.push(day(first));
        if (!json) say(`rebuilt ${day(first)}: ${hourlyRows} hourly rows`);
      }
      ({ run, driftedDays } = await check('repair'));
    }
    if (json) sayJson({ ...run, repaired });
    return run.passed ? exitCodes.done : exitCodes.failed;
  } finally {
    await brokers?.close();
    await database.close();
  }
}
