import { httpApp } from '../../shared/http/app.ts';
import { runInternalFunction, serve } from '../../shared/http/serve.ts';
import { requireSetting } from '../../shared/platform/env.ts';
import { openS3Store } from '../../shared/platform/object-store/s3-store.ts';
import { exportWorkerApp } from './app.ts';
import { openWorkerDatabase } from './database.ts';
import { createExportRuns } from './runs.ts';

runInternalFunction('export-worker', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  requireSetting(settings, 'S3_ENDPOINT', 'https://us-east-1.linodeobjects.com');
  const database = openWorkerDatabase(url, settings);
  const store = openS3Store(settings);
  const runs = createExportRuns({ database, store, settings, logger });
  const server = await serve(
    httpApp({ logger, registry, routes: [exportWorkerApp(runs)] }),
    settings,
  );
  return async () => {
    // First: what a request waits for is given back, so that the request ends.
    await runs.stop();
    await server.close();
    store.close();
    await database.close();
  };
});
