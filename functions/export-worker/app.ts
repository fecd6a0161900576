import { Hono } from 'hono';
import { exportRequestedType } from '../../shared/exports/requested.ts';
import { readCloudEvent } from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { jobOfPing, pingType, wrongType } from '../../shared/http/ping.ts';
import type { ExportRuns } from './runs.ts';

/**
 * Takes CloudEvents: a new job's, or a schedule's. All of them lead to the same work, read from the
 * database and never from the event, so that a lost or doubled one changes nothing. Mounted at `/`
 * on the platform and under `/internal/export-worker` in the local run. A 4xx tells the sender
 * that sending again will not help. What was done is in the log, not in the answer: a broker takes
 * any body that is no CloudEvent for a failure, and would send the event again.
 */
export function exportWorkerApp(runs: ExportRuns, path = '/'): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.post(path, async (context) => {
    const event = await readCloudEvent(context);
    if (event.type === exportRequestedType) {
      await runs.drain({ jobId: event.id, trace: event.trace });
      return context.body(null, 204);
    }
    if (event.type !== pingType) throw wrongType(event, [exportRequestedType, pingType]);
    const job = jobOfPing(event, ['exports', 'monthly-exports']);
    await (job === 'exports' ? runs.sweep() : runs.monthly());
    return context.body(null, 204);
  });
  return app;
}
