import { join } from 'node:path';
import { httpApp } from '../../shared/http/app.ts';
import { runInternalFunction, serve } from '../../shared/http/serve.ts';
import { docsApp } from './app.ts';
import { readPageFiles } from './page-files.ts';

runInternalFunction('docs', async (settings, logger, registry) => {
  // The build puts them beside its bundle, which is CommonJS.
  const routes = [docsApp(await readPageFiles((name) => join(__dirname, 'page', name)))];
  const server = await serve(httpApp({ logger, registry, routes }), settings);
  return () => server.close();
});
