import { Hono } from 'hono';
import { readCloudEvent } from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import { jobOfPing } from '../../shared/http/ping.ts';
import { type RefreshDeps, refresh } from './refresh.ts';

/**
 * Takes the schedule's CloudEvent. Mounted at `/` on the platform and under `/internal/refresh` in
 * the local run. A 4xx tells the sender that sending again will not help.
 */
export function refreshApp(deps: RefreshDeps, path = '/'): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.post(path, async (context) => {
    const event = await readCloudEvent(context);
    jobOfPing(event, ['refresh']);
    return json(context, await refresh(deps));
  });
  return app;
}
