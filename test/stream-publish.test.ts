import { randomUUID } from 'node:crypto';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { brokerSource } from '../shared/platform/broker/stream.ts';
import { services } from './support/services.ts';
import { withChannel } from './support/stream-traffic.ts';
import { until } from './support/until.ts';

const stream = `test.${randomUUID()}`;

test('a connection on which nothing is confirmed is given up for another', async () => {
  const { RABBITMQ_URL } = services();
  const relay = await withoutFirstConfirms(RABBITMQ_URL);
  const brokers = brokerSource(relay.url, {});
  onTestFinished(() => brokers.close());
  const first = await brokers.get();
  await first.ensureStream(stream, { maxAge: '1h', maxBytes: 10_000_000 });
  onTestFinished(() =>
    withChannel(RABBITMQ_URL, async (channel) => {
      await channel.deleteQueue(stream);
    }),
  );

  const message = { queue: stream, content: Buffer.from('1') };
  await expect(first.publish([message], 300)).rejects.toThrow('did not confirm within 300 ms');
  await expect(first.publish([message], 5_000)).rejects.toThrow('is closed');
  const second = await brokers.get();
  await second.publish([message], 5_000);
  // The broker would not hear of its close.
  await until('the first is cut', async () => relay.connections() === 1);
  await second.publish([message], 5_000);
});

test('a connection is made, though this process is held up meanwhile', async () => {
  const timeoutMs = 400;
  const brokers = brokerSource(services().RABBITMQ_URL, { timeoutMs });
  onTestFinished(() => brokers.close());
  // Loaded before, so that connecting is what is held up.
  await import('amqplib');
  const opened = brokers.get();
  for (let step = 0; step < 3; step += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    const endMs = performance.now() + timeoutMs + 100;
    while (performance.now() < endMs);
  }
  await (await opened).ping();
});

/**
 * A RabbitMQ that confirms nothing of what comes on the first connection, and reads no more of it:
 * as where that one sent to a stream's leader of before.
 */
async function withoutFirstConfirms(url: string): Promise<{ url: string; connections(): number }> {
  const { port, hostname } = new URL(url);
  let isFirst = true;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    open.add(near);
    near.on('close', () => {
      open.delete(near);
      far.destroy();
    });
    near.pipe(far);
    const isConfirmLost = isFirst;
    isFirst = false;
    const pass = framesBut((frame) => {
      const isLost = isConfirmLost && isConfirm(frame);
      if (isLost) near.unpipe(far);
      return isLost;
    });
    far.on('data', (bytes: Buffer) => near.write(pass(bytes))).on('end', () => near.end());
    for (const socket of [near, far]) socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = new URL(url);
  address.port = String((server.address() as AddressInfo).port);
  return { url: address.href, connections: () => open.size };
}

/** AMQP 0-9-1, 2.3.5: type (1), channel (2), size (4), payload, end (1). */
function framesBut(isDropped: (frame: Buffer) => boolean): (bytes: Buffer) => Buffer {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    const passed: Buffer[] = [];
    while (rest.length >= 7 && rest.length >= rest.readUInt32BE(3) + 8) {
      const frame = rest.subarray(0, rest.readUInt32BE(3) + 8);
      rest = rest.subarray(frame.length);
      if (!isDropped(frame)) passed.push(frame);
    }
    return Buffer.concat(passed);
  };
}

/** Basic.Ack is method 80 of class 60, in a frame of type 1. */
function isConfirm(frame: Buffer): boolean {
  return frame[0] === 1 && frame.readUInt16BE(7) === 60 && frame.readUInt16BE(9) === 80;
}
