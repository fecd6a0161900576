import { randomUUID } from 'node:crypto';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { connectBroker } from '../shared/platform/broker/stream.ts';
import { services } from './support/services.ts';
import { withChannel } from './support/stream-traffic.ts';

const stream = `test.${randomUUID()}`;

test('a channel on which nothing is confirmed is given up for another', async () => {
  const { RABBITMQ_URL } = services();
  const broker = await connectBroker(await withoutFirstConfirms(RABBITMQ_URL));
  onTestFinished(() => broker.close());
  await broker.ensureStream(stream, { maxAge: '1h', maxBytes: 10_000_000 });
  onTestFinished(() =>
    withChannel(RABBITMQ_URL, async (channel) => {
      await channel.deleteQueue(stream);
    }),
  );

  const message = { queue: stream, content: Buffer.from('1') };
  await expect(broker.publish([message], 300)).rejects.toThrow('did not confirm within 300 ms');
  await broker.publish([message], 5_000);
});

/**
 * The address of a RabbitMQ whose confirms never arrive on the first channel that gets one, as where
 * it sent to a stream's leader of before.
 */
async function withoutFirstConfirms(url: string): Promise<string> {
  const { port, hostname } = new URL(url);
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    near.pipe(far);
    const pass = framesBut(isConfirmOfFirst());
    far.on('data', (bytes: Buffer) => near.write(pass(bytes))).on('end', () => near.end());
    for (const socket of [near, far]) socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = new URL(url);
  address.port = String((server.address() as AddressInfo).port);
  return address.href;
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
function isConfirmOfFirst(): (frame: Buffer) => boolean {
  let first: number | undefined;
  return (frame) => {
    const isAck = frame[0] === 1 && frame.readUInt16BE(7) === 60 && frame.readUInt16BE(9) === 80;
    if (!isAck) return false;
    const channel = frame.readUInt16BE(1);
    first ??= channel;
    return channel === first;
  };
}
