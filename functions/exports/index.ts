import { announceTo } from '../../shared/exports/requested.ts';
import { actorsOf, createAccess } from '../../shared/http/actor.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runFunction, serve } from '../../shared/http/serve.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { requireSetting } from '../../shared/platform/env.ts';
import { openS3Store } from '../../shared/platform/object-store/s3-store.ts';
import { exportsApp } from './app.ts';

runFunction('exports', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  requireSetting(settings, 'S3_ENDPOINT', 'https://us-east-1.linodeobjects.com');
  const database = openDatabase({ url, driver: settings.DATABASE_DRIVER, name: 'exports' });
  const store = openS3Store(settings);
  const announce = settings.K_SINK === undefined ? null : announceTo(settings.K_SINK);
  const access = createAccess(settings);
  const routes = [exportsApp({ database, access, settings, store, announce })];
  const actors = actorsOf(settings);
  const app = httpApp({ logger, registry, actors, routes });
  const server = await serve(app, settings);
  return async () => {
    await server.close();
    store.close();
    await database.close();
  };
});
