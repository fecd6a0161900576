import { actorsOf, createAccess } from '../../shared/http/actor.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runFunction, serve } from '../../shared/http/serve.ts';
import { pipelineMetrics } from '../../shared/pipeline-metrics.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { requireSetting } from '../../shared/platform/env.ts';
import { openObjectStore } from '../../shared/platform/object-store/object-store.ts';
import { statusApp } from './app.ts';
import { undeliveredApp } from './undelivered.ts';

runFunction('status', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  // Through the cluster's local gateway every pod of the cluster can ask for /metrics.
  const metricsToken =
    settings.ENVIRONMENT === 'production'
      ? requireSetting(settings, 'METRICS_TOKEN', 'the output of openssl rand -hex 32')
      : settings.METRICS_TOKEN;
  const database = openDatabase({ url, driver: settings.DATABASE_DRIVER, name: 'status' });
  const cache = openCache(settings, (reason) => logger.warn({ reason }, 'cache fault'));
  const store = openObjectStore(settings);
  const brokers =
    settings.RABBITMQ_URL === undefined
      ? null
      : brokerSource(settings.RABBITMQ_URL, { name: 'status', timeoutMs: 800 });
  const components = {
    database: async () => {
      await database.query('select 1');
    },
    stream:
      brokers === null
        ? null
        : async () => {
            const broker = await brokers.get();
            await broker.ping();
          },
    cache: settings.REDIS_URL === undefined ? null : () => cache.check(),
    objectStore: store === null ? null : () => store.check(),
  };
  const access = createAccess(settings);
  const routes = [
    statusApp({ database, cache, access, settings, components }),
    undeliveredApp(database),
  ];
  const metrics = () => pipelineMetrics(database);
  const actors = actorsOf(settings);
  const app = httpApp({ logger, registry, actors, routes, metrics, metricsToken });
  const server = await serve(app, settings);
  return async () => {
    await server.close();
    await brokers?.close();
    await cache.close();
    store?.close();
    await database.close();
  };
});
