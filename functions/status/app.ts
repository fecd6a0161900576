import { Hono } from 'hono';
import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import {
  cachedOrgTimes,
  modelFreshness,
  overallFreshness,
} from '../../shared/freshness/freshness.ts';
import type { Access } from '../../shared/http/actor.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { healthLog } from '../../shared/http/health-log.ts';
import { json } from '../../shared/http/json.ts';
import {
  orgOf,
  parseQuery,
  requireOrgId,
  uuidParameter,
} from '../../shared/http/window-request.ts';
import type { Cache } from '../../shared/platform/cache.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { type Components, readiness } from './readiness.ts';

export interface StatusDeps {
  database: Database;
  cache: Cache;
  access: Access;
  settings: Settings;
  /** What readiness looks at. */
  components: Components;
}

export const freshnessParameters = z.strictObject({
  modelId: z
    .array(uuidParameter)
    .max(1, 'can be given only once')
    .optional()
    .describe('Only this model.'),
});

/** How fresh an org's numbers are, and whether the service is well. */
export function statusApp(deps: StatusDeps): Hono<AppEnv> {
  const { database, cache, access, settings, components } = deps;
  const app = new Hono<AppEnv>().basePath('/analytics/v1');
  const noteHealth = healthLog('readyz');

  app.get('/orgs/:orgId/freshness', async (context) => {
    const orgId = orgOf(context);
    const anyOf = [roles.usageRead, roles.reliabilityRead];
    access.authorize(context, { action: 'freshness:read', anyOf, orgId });
    requireOrgId(orgId);
    const [modelId = null] = parseQuery(context, freshnessParameters).modelId ?? [];
    const ttlMs = settings.FRESHNESS_CACHE_TTL;
    const times = await cachedOrgTimes(database, cache, ttlMs, orgId, modelId);
    const { status, lagSeconds, completeThrough } = overallFreshness(times, Date.now());
    const entries = modelFreshness(times, Date.now());
    return json(context, { orgId, status, lagSeconds, completeThrough, entries });
  });

  app.get('/status/healthz', (context) => context.text('OK'));

  app.get('/status/readyz', async (context) => {
    const { answer, faults } = await readiness(components);
    noteHealth(context.var.logger, faults);
    const isServing = answer.components.database === 'healthy';
    return json(context, answer, isServing ? 200 : 503);
  });

  return app;
}
