/**
 * Offers events to a stream at a steady rate, in a process of its own, and writes a line of JSON for
 * each second and one at its end: `{due, sent, confirmed}`. What is due is told by the clock alone.
 * A broker that is slow to confirm holds back what is sent, never what is due, and at most
 * `inFlightMax` wait for confirms. Reads SOAK_RATE, SOAK_SECONDS, RABBITMQ_URL, RABBITMQ_STREAM.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { encodeEvent } from '../../shared/events/usage-event.ts';
import { connectBroker } from '../../shared/platform/broker/stream.ts';
import { soakEvent } from './event.ts';
import { inFlightMax } from './limits.ts';
import type { Offered } from './offered.ts';

const {
  SOAK_RATE: rate,
  SOAK_SECONDS: seconds,
  RABBITMQ_URL: url,
  RABBITMQ_STREAM: stream,
} = z
  .object({
    SOAK_RATE: z.coerce.number().positive(),
    SOAK_SECONDS: z.coerce.number().positive(),
    RABBITMQ_URL: z.string(),
    RABBITMQ_STREAM: z.string(),
  })
  .parse(process.env);

const tickMs = 10;
const batchMax = 500;
const confirmMs = 60_000;

const broker = await connectBroker(url, { name: 'soak publisher' });
const offered: Offered = { due: 0, sent: 0, confirmed: 0 };
let fault: unknown;
let waiting = 0;

function send(count: number): void {
  const nowMs = Date.now();
  const messages = Array.from({ length: count }, (_, index) => ({
    queue: stream,
    content: encodeEvent(soakEvent(offered.sent + index, nowMs)),
  }));
  offered.sent += count;
  waiting += count;
  broker.publish(messages, confirmMs).then(
    () => {
      waiting -= count;
      offered.confirmed += count;
    },
    (error: unknown) => {
      fault = error;
    },
  );
}

const startedMs = performance.now();
let saidMs = startedMs;
for (;;) {
  const elapsedMs = Math.min(performance.now() - startedMs, seconds * 1_000);
  offered.due = Math.floor((elapsedMs / 1_000) * rate);
  while (offered.sent < offered.due && waiting < inFlightMax) {
    send(Math.min(offered.due - offered.sent, batchMax, inFlightMax - waiting));
  }
  if (performance.now() - saidMs >= 1_000) {
    saidMs += 1_000;
    process.stdout.write(`${JSON.stringify(offered)}\n`);
  }
  if (fault !== undefined || elapsedMs >= seconds * 1_000) break;
  await sleep(tickMs);
}
const deadline = performance.now() + confirmMs;
while (waiting > 0 && fault === undefined && performance.now() < deadline) await sleep(tickMs);
process.stdout.write(`${JSON.stringify(offered)}\n`);
await broker.close();
if (fault !== undefined) throw fault;
