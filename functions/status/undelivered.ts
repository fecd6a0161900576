import { Hono } from 'hono';
import * as z from 'zod';
import { countUndelivered } from '../../shared/events/undelivered-events.ts';
import { readCloudEvent } from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import type { Database } from '../../shared/platform/database/db.ts';

/** What is sent by way of a broker is about an export: nothing else has this sink. */
const announcement = z.object({ jobId: z.guid() });

/**
 * The dead-letter sink: CloudEvents that nobody took leave a line in the log and are counted. Here,
 * since Prometheus keeps this function awake. Mounted at `/` on the platform and under
 * `/internal/status` in the local run.
 *
 * Whatever is inside the cluster can send it something, so only the letter about an export that
 * there is counts; any other leaves a warning and is taken, as sending it again would change nothing.
 */
export function undeliveredApp(database: Database, path = '/'): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.post(path, async (context) => {
    const { data, trace: _, ...event } = await readCloudEvent(context);
    const { logger } = context.var;
    const about = announcement.safeParse(data).data;
    const isOurs = about !== undefined && (await count(about.jobId, event));
    if (!isOurs) logger.warn(event, 'a dead letter about no export');
    return context.body(null, 204);

    /** With the database away nobody can tell: it is said, and sent again. */
    async function count(jobId: string, what: object): Promise<boolean> {
      const counting = database.transaction({ tenant: null }, (one) =>
        countUndelivered(one, jobId),
      );
      const isCounted = await counting.catch((error: unknown) => {
        logger.error(what, 'event not delivered');
        throw error;
      });
      if (isCounted) logger.error(what, 'event not delivered');
      return isCounted;
    }
  });
  return app;
}
