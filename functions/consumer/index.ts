import { eventStorage } from '../../shared/events/event-storage.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runInternalFunction, serve } from '../../shared/http/serve.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { refuseKnativeService, requireSetting } from '../../shared/platform/env.ts';
import { startConsumer } from './consumer.ts';

runInternalFunction('consumer', async (settings, logger, registry) => {
  refuseKnativeService(
    settings,
    'consumer',
    'Knative scales on requests, and a stream makes none, so messages would wait unread',
  );
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const amqp = requireSetting(settings, 'RABBITMQ_URL', 'amqp://user:password@host:5672');
  const database = openDatabase({
    url,
    driver: settings.DATABASE_DRIVER,
    name: 'consumer',
    connectionsMax: settings.RABBITMQ_STREAM_PARTITIONS + 4,
    patienceMs: 5_000,
    statementTimeoutMs: 120_000,
  });
  const cache = openCache(settings, (reason) => logger.warn({ reason }, 'cache fault'));
  const brokers = brokerSource(amqp, { name: 'consumer' });
  const storage = eventStorage(database);
  const consumer = startConsumer({ database, storage, cache, brokers, settings, logger });
  const app = httpApp({ logger, registry, routes: [], ready: () => consumer.check() });
  const server = await serve(app, settings);
  return async () => {
    await consumer.stop();
    await server.close();
    await brokers.close();
    await cache.close();
    await database.close();
  };
});
