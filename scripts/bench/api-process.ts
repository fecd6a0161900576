/** The usage function, with one route more that only runs `select 1`. Run by `usage-query.ts`. */
import { Hono } from 'hono';
import { usageApp } from '../../functions/usage/app.ts';
import { roles } from '../../shared/access.ts';
import { actorsOf, createAccess } from '../../shared/http/actor.ts';
import { httpApp } from '../../shared/http/app.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import { runFunction, serve } from '../../shared/http/serve.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { requireSetting } from '../../shared/platform/env.ts';

runFunction('bench-api', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://');
  const database = openDatabase({ url, name: 'bench-api' });
  const access = createAccess(settings);
  const select1 = new Hono<AppEnv>().get('/analytics/v1/bench/select-1', async (context) => {
    const anyOf = [roles.usageRead];
    access.authorize(context, { action: 'usage:read', anyOf, orgId: null });
    return json(context, { rows: await database.query('select 1 as one') });
  });
  const routes = [usageApp({ database, access, settings }), select1];
  const app = httpApp({ logger, registry, actors: actorsOf(settings), routes });
  const server = await serve(app, settings);
  return async () => {
    await server.close();
    await database.close();
  };
});
