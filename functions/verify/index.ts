import { streamSink } from '../../shared/events/event-sink.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runInternalFunction, serve } from '../../shared/http/serve.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { requireSetting } from '../../shared/platform/env.ts';
import { verifyApp } from './app.ts';

runInternalFunction('verify', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const database = openDatabase({
    url,
    driver: settings.DATABASE_DRIVER,
    name: 'verify',
    connectionsMax: 4,
    patienceMs: 5_000,
    statementTimeoutMs: 240_000,
  });
  const brokers =
    settings.RABBITMQ_URL === undefined
      ? null
      : brokerSource(settings.RABBITMQ_URL, { name: 'verify' });
  const sink = brokers === null ? null : streamSink(brokers, settings);
  const routes = [verifyApp({ database, sink, brokers, settings, logger })];
  const server = await serve(httpApp({ logger, registry, routes }), settings);
  return async () => {
    await server.close();
    await brokers?.close();
    await database.close();
  };
});
