import { actorsOf, createAccess } from '../../shared/http/actor.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runFunction, serve } from '../../shared/http/serve.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { requireSetting } from '../../shared/platform/env.ts';
import { usageApp } from './app.ts';

runFunction('usage', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const database = openDatabase({ url, driver: settings.DATABASE_DRIVER, name: 'usage' });
  const routes = [usageApp({ database, access: createAccess(settings), settings })];
  const actors = actorsOf(settings);
  const app = httpApp({ logger, registry, actors, routes });
  const server = await serve(app, settings);
  return async () => {
    await server.close();
    await database.close();
  };
});
