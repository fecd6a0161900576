import { Hono } from 'hono';
import { readCloudEvent } from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import { jobOfPing } from '../../shared/http/ping.ts';
import { type VerifyDeps, verify } from './verify.ts';

/**
 * Takes the schedule's CloudEvent. Mounted at `/` on the platform and under `/internal/verify` in
 * the local run. Numbers that do not hold are a result, not an error: sending again would not help.
 */
export function verifyApp(deps: VerifyDeps, path = '/'): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.post(path, async (context) => {
    const event = await readCloudEvent(context);
    jobOfPing(event, ['verify']);
    const report = await verify(deps);
    return json(context, report?.run ?? { passed: null, reason: 'another run is under way' });
  });
  return app;
}
