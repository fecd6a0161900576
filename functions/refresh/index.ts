import { eventStorage } from '../../shared/events/event-storage.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runInternalFunction, serve } from '../../shared/http/serve.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { requireSetting } from '../../shared/platform/env.ts';
import { refreshApp } from './app.ts';

runInternalFunction('refresh', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const database = openDatabase({
    url,
    driver: settings.DATABASE_DRIVER,
    name: 'refresh',
    patienceMs: 5_000,
    statementTimeoutMs: 300_000,
  });
  const cache = openCache(settings, (reason) => logger.warn({ reason }, 'cache fault'));
  const brokers =
    settings.RABBITMQ_URL === undefined
      ? null
      : brokerSource(settings.RABBITMQ_URL, { name: 'refresh' });
  const storage = eventStorage(database);
  const routes = [refreshApp({ database, storage, cache, brokers, settings, logger })];
  const server = await serve(httpApp({ logger, registry, routes }), settings);
  return async () => {
    await server.close();
    await brokers?.close();
    await cache.close();
    await database.close();
  };
});
