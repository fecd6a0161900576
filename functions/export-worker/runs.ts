import { requestMonthlyExports } from '../../shared/exports/monthly.ts';
import { endStaleUploads, expireExports } from '../../shared/exports/retention.ts';
import { isDue } from '../../shared/job-runs.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { type Announced, createExportWorker, type WorkerDeps, type WorkReport } from './worker.ts';

/** What sets the worker off. */
export interface ExportRuns {
  /** Works on what is due; what was announced goes on its own trace. */
  drain(announced?: Announced): Promise<WorkReport>;
  /** Once an hour expires what is past its time and asks for monthly exports; then drains. */
  sweep(): Promise<WorkReport>;
  /** Asks for monthly exports now; then drains. */
  monthly(): Promise<WorkReport>;
  stop(): Promise<void>;
}

const housekeepingMinutes = 60;

export function createExportRuns(deps: WorkerDeps): ExportRuns {
  const { database, store, settings, logger } = deps;
  const worker = createExportWorker(deps);

  const requestMonths = async () => {
    const requested = await requestMonthlyExports(database, settings, Date.now());
    if (requested > 0) logger.info({ requested }, 'monthly exports requested');
  };
  const housekeep = async () => {
    if (!(await isDue(database, 'exports', housekeepingMinutes))) return;
    await requestMonths();
    try {
      const expired = await expireExports(database, store);
      const uploads = await endStaleUploads(store, Date.now());
      if (expired + uploads > 0) logger.info({ expired, uploads }, 'old exports removed');
    } catch (error) {
      // The store's fault; the jobs that are due find out about it themselves.
      logger.warn({ reason: messageOf(error) }, 'old exports were not removed');
    }
  };

  return {
    drain: (announced) => worker.drain(announced),
    sweep: async () => {
      await housekeep();
      return worker.drain();
    },
    monthly: async () => {
      await requestMonths();
      return worker.drain();
    },
    stop: () => worker.stop(),
  };
}
