import { join } from 'node:path';
import { actorsOf } from '../../shared/http/actor.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runFunction, serve } from '../../shared/http/serve.ts';
import { consoleApp } from './app.ts';
import { readPage } from './page.ts';

runFunction('console', async (settings, logger, registry) => {
  // The build puts it beside its bundle, which is CommonJS.
  const page = await readPage(join(__dirname, 'page'));
  const routes = [consoleApp({ settings, page: async () => page })];
  const actors = actorsOf(settings);
  const server = await serve(httpApp({ logger, registry, actors, routes }), settings);
  return () => server.close();
});
