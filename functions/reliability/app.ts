import { Hono } from 'hono';
import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import type { Access } from '../../shared/http/actor.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { answerWindow } from '../../shared/http/window-answer.ts';
import {
  givenRangeFaults,
  orgOf,
  parseQuery,
  requireOrgId,
  windowParameters,
  windowRequest,
} from '../../shared/http/window-request.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { reliabilityQuery } from '../../shared/queries/reliability-query.ts';

export interface ReliabilityDeps {
  database: Database;
  access: Access;
  settings: Settings;
}

export const reliabilityParameters = windowParameters.extend({
  percentile: z
    .enum(['p50', 'p95', 'p99'], { error: 'must be p50, p95 or p99' })
    .default('p95')
    .describe('Echoed as the one to look at; all three are always there.'),
});

/** Error rates, status counts, latency percentiles and top errors. */
export function reliabilityApp({ database, access, settings }: ReliabilityDeps): Hono<AppEnv> {
  const app = new Hono<AppEnv>().basePath('/analytics/v1');

  app.get('/orgs/:orgId/reliability', async (context) => {
    const orgId = orgOf(context);
    const anyOf = [roles.reliabilityRead];
    access.authorize(context, { action: 'reliability:read', anyOf, orgId });
    requireOrgId(orgId);
    const { percentile, ...window } = parseQuery(
      context,
      reliabilityParameters,
      givenRangeFaults(settings),
    );
    const { plan, filter, groupBy } = windowRequest(orgId, window, settings);
    return answerWindow(context, database, orgId, plan, { percentile }, (snapshot, pending) =>
      reliabilityQuery(snapshot, plan, pending, filter, groupBy),
    );
  });

  return app;
}
