import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Broker, connectBroker } from '../shared/platform/broker/stream.ts';
import { services } from './support/services.ts';
import { startTcpRelay, type TcpRelay } from './support/tcp-relay.ts';

let relay: TcpRelay;
let broker: Broker;

beforeAll(async () => {
  const { RABBITMQ_URL } = services();
  relay = await startTcpRelay(RABBITMQ_URL);
  broker = await connectBroker(relay.through(RABBITMQ_URL));
});
afterAll(async () => {
  await relay.stop();
  await broker.close();
});

test('a reader that was closing when the connection broke is closed', async () => {
  const queue = `test.${randomUUID()}`;
  await broker.ensureStream(queue, { maxAge: '1h', maxBytes: 10_000_000 });
  const reader = await broker.read(queue, null, 10, ({ offset }) => offset);
  relay.freeze();
  const closing = reader.close();
  const asking = broker.exists(queue);
  asking.catch(() => {});
  await relay.stop();
  await broker.closed;
  expect(await Promise.race([closing, sleep(5_000, 'never')])).toBeUndefined();
  await expect(Promise.race([asking, sleep(5_000, 'never')])).rejects.toThrow();
  await expect(broker.exists(queue)).rejects.toThrow('the connection to RabbitMQ is closed');
});
