import { Hono } from 'hono';
import { z } from 'zod';
import { faultsOf, ServiceError } from '../../shared/errors.ts';
import { readCloudEvent } from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import { type RefreshDeps, refresh } from './refresh.ts';

const pingType = 'dev.knative.sources.ping';
const pingData = z.object({ job: z.literal('refresh', 'must be refresh') });

/**
 * Takes the schedule's CloudEvent. Mounted at `/` on the platform and under `/internal/refresh` in
 * the local run. A 4xx tells the sender that sending again will not help.
 */
export function refreshApp(deps: RefreshDeps, path = '/'): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.post(path, async (context) => {
    const event = await readCloudEvent(context);
    if (event.type !== pingType) {
      const message = `must be ${pingType}`;
      throw new ServiceError('invalid_request', `type ${message}`, [{ path: 'type', message }]);
    }
    const data = pingData.safeParse(event.data);
    if (!data.success) {
      const faults = faultsOf(data.error).map(({ path, message }) => ({
        path: ['data', path].filter(Boolean).join('.'),
        message,
      }));
      throw new ServiceError('invalid_request', 'data must be {"job":"refresh"}', faults);
    }
    return json(context, await refresh(deps));
  });
  return app;
}
