import { streamSink } from '../../shared/events/event-sink.ts';
import { closeRefusals, streamRefusals } from '../../shared/events/refusals.ts';
import { actorsOf, createAccess } from '../../shared/http/actor.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runFunction, serve } from '../../shared/http/serve.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { requireSetting } from '../../shared/platform/env.ts';
import { eventsApp } from './app.ts';

runFunction('events', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'RABBITMQ_URL', 'amqp://user:password@host:5672');
  const brokers = brokerSource(url, { name: 'events', timeoutMs: 800 });
  const sink = streamSink(brokers, settings);
  const refusals = streamRefusals(brokers, settings);
  const routes = [eventsApp({ sink, refusals, access: createAccess(settings), settings })];
  const actors = actorsOf(settings);
  const app = httpApp({ logger, registry, actors, routes });
  const server = await serve(app, settings);
  return async () => {
    await server.close();
    await closeRefusals(refusals, logger);
    await brokers.close();
  };
});
