import { Hono } from 'hono';
import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import type { Access } from '../../shared/http/actor.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import { answerWindow } from '../../shared/http/window-answer.ts';
import {
  checkRange,
  checkRawRetention,
  decodeCursor,
  encodeCursor,
  givenRangeFaults,
  orgOf,
  pageParameters,
  parseQuery,
  rangeParameters,
  requireOrgId,
  uuidParameter,
  windowParameters,
  windowRequest,
} from '../../shared/http/window-request.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { modelsQuery } from '../../shared/queries/models-query.ts';
import { orgName } from '../../shared/queries/org-names.ts';
import { type OrgCursor, orgsQuery } from '../../shared/queries/orgs-query.ts';
import { planWindow } from '../../shared/queries/time-window.ts';
import { usageQuery } from '../../shared/queries/usage-query.ts';
import { pendingBatches } from '../../shared/rollups/pending-batches.ts';

export interface UsageDeps {
  database: Database;
  access: Access;
  settings: Settings;
}

export const orgsParameters = rangeParameters.extend(pageParameters.shape);

/** Usage and spend: series and totals, models seen, and the admin's list of orgs. */
export function usageApp({ database, access, settings }: UsageDeps): Hono<AppEnv> {
  const app = new Hono<AppEnv>().basePath('/analytics/v1');

  app.get('/orgs/:orgId/usage', async (context) => {
    const orgId = orgOf(context);
    access.authorize(context, { action: 'usage:read', anyOf: [roles.usageRead], orgId });
    requireOrgId(orgId);
    const parameters = parseQuery(context, windowParameters, givenRangeFaults(settings));
    const { plan, filter, groupBy } = windowRequest(orgId, parameters, settings);
    return answerWindow(context, database, orgId, plan, {}, (snapshot, pending) =>
      usageQuery(snapshot, plan, pending, filter, groupBy),
    );
  });

  app.get('/orgs/:orgId/models', async (context) => {
    const orgId = orgOf(context);
    const anyOf = [roles.usageRead, roles.reliabilityRead];
    access.authorize(context, { action: 'models:read', anyOf, orgId });
    requireOrgId(orgId);
    parseQuery(context, z.strictObject({}));
    const answer = await database.transaction(
      { mode: 'snapshot', tenant: orgId },
      async (snapshot) => ({
        orgName: await orgName(snapshot, orgId),
        models: await modelsQuery(snapshot, orgId, await pendingBatches(snapshot)),
      }),
    );
    return json(context, { orgId, ...answer });
  });

  app.get('/orgs', async (context) => {
    access.authorize(context, {
      action: 'orgs:list',
      anyOf: [roles.admin],
      orgId: null,
      everyOrg: true,
    });
    const {
      start: startMs,
      end: endMs,
      limit,
      cursor,
    } = parseQuery(context, orgsParameters, givenRangeFaults(settings));
    checkRange({ startMs, endMs }, settings);
    const plan = planWindow({ startMs, endMs, granularity: 'month', timeZone: 'UTC' });
    checkRawRetention(plan, settings);
    const after = cursor === undefined ? null : readCursor(cursor);
    const { items, next } = await database.transaction(
      { mode: 'snapshot', tenant: null },
      async (snapshot) => orgsQuery(snapshot, plan, await pendingBatches(snapshot), limit, after),
    );
    const nextCursor = next === null ? null : encodeCursor([next.cost, next.orgId]);
    return json(context, { items, nextCursor });
  });

  return app;
}

const cursorForm = z.tuple([z.string().regex(/^\d{1,40}(\.\d{1,4})?$/), uuidParameter]);

function readCursor(text: string): OrgCursor {
  const [cost, orgId] = decodeCursor(text, cursorForm);
  return { cost, orgId };
}
