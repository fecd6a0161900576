import { Hono } from 'hono';
import { countUndelivered } from '../../shared/events/undelivered-events.ts';
import { readCloudEvent } from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import type { Database } from '../../shared/platform/database/db.ts';

/**
 * The dead-letter sink: CloudEvents that nobody took leave a line in the log and are counted. Here,
 * since Prometheus keeps this function awake. Mounted at `/` on the platform and under
 * `/internal/status` in the local run.
 */
export function undeliveredApp(database: Database, path = '/'): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.post(path, async (context) => {
    const { data: _, trace: __, ...event } = await readCloudEvent(context);
    context.var.logger.error(event, 'event not delivered');
    await database.transaction({ tenant: null }, countUndelivered);
    return context.body(null, 204);
  });
  return app;
}
