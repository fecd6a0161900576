import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { connectBroker } from '../shared/platform/broker/stream.ts';
import { readSettings } from '../shared/platform/env.ts';
import { services } from './support/services.ts';
import { deleteQueues } from './support/system.ts';

test('the largest batch that can be set is read, though AMQP cannot say so much credit', async () => {
  const { RABBITMQ_URL } = services();
  const RABBITMQ_STREAM = `test.${randomUUID()}`;
  const settings = readSettings({ RABBITMQ_STREAM, INGESTION_BATCH_SIZE: '50000' });
  const broker = await connectBroker(RABBITMQ_URL);
  try {
    await broker.ensureStream(RABBITMQ_STREAM, { maxAge: '1h', maxBytes: 10_000_000 });
    await broker.publish([{ queue: RABBITMQ_STREAM, content: Buffer.from('a') }], 20_000);
    const credit = settings.INGESTION_BATCH_SIZE * 2;
    const reader = await broker.read(RABBITMQ_STREAM, null, credit, ({ offset }) => offset);
    expect(await reader.take(1, 0, 20_000)).toEqual([0]);
    await reader.close();
  } finally {
    await broker.close();
    await deleteQueues(RABBITMQ_URL, settings);
  }
});
