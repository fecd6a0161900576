import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { encodeEvent } from '../../shared/events/usage-event.ts';
import { connectBroker } from '../../shared/platform/broker/stream.ts';
import { openApi } from './api.ts';
import { benchDatabase } from './database.ts';
import { benchEvent, benchStream } from './events.ts';
import { alone, type Bench, quantile } from './figure.ts';
import { bundleOf, startProgram } from './program.ts';
import { busyOrg } from './usage-rows.ts';

const dayMs = 86_400_000;
const eventsPerSecond = 3_000;
const tickMs = 10;
const perTick = (eventsPerSecond * tickMs) / 1_000;
/** The client whose events are looked for: one in each tick. */
const probe = 'bench-probe';
const answer = z.object({ totals: z.object({ invocations: z.number() }) });

/**
 * From the moment an event was to be published until the usage API counts it, under load: stream,
 * consumer and API are each their own process.
 */
export const freshnessBench: Bench = {
  name: 'freshness',
  needs: ['postgres', 'rabbitmq'],
  run: async ({ env, scale, rounds, say }) => {
    const seconds = { tiny: 2, small: 10, full: 60 }[scale];
    say(`freshness: ${rounds} times ${seconds} s at ${eventsPerSecond} events/s`);
    const stream = await benchStream(env.RABBITMQ_URL);
    const server = await benchDatabase(env.DATABASE_URL);
    const settings = { ...stream.settings, DATABASE_URL: server.url };
    const consumer = await startProgram(bundleOf('consumer'), settings);
    const usage = await startProgram(bundleOf('usage'), settings);
    const api = openApi(usage.url);
    const broker = await connectBroker(env.RABBITMQ_URL, { name: 'bench' });
    try {
      const dueMs: number[] = [];
      const seenMs: number[] = [];
      let isOver = false;
      const publish = async (ticks: number) => {
        const startMs = performance.now();
        const confirms: Promise<void>[] = [];
        for (let tick = 0; tick < ticks; tick += 1) {
          const due = startMs + tick * tickMs;
          const waitMs = due - performance.now();
          if (waitMs > 0) await sleep(waitMs);
          const events = Array.from({ length: perTick }, (_, number) =>
            benchEvent(number, Date.now()),
          );
          const [first] = events;
          if (first !== undefined) {
            Object.assign(first, { orgId: busyOrg, clientId: probe });
          }
          // What comes late for its turn was due all the same.
          dueMs.push(due);
          const messages = events.map((event) => ({
            queue: stream.settings.RABBITMQ_STREAM,
            content: encodeEvent(event),
          }));
          const confirmed = broker.publish(messages, 30_000);
          confirmed.catch(() => {});
          confirms.push(confirmed);
        }
        const tookSeconds = (performance.now() - startMs) / 1_000;
        await Promise.all(confirms);
        return (ticks * perTick) / tookSeconds;
      };
      const look = async () => {
        const range = `start=${iso(Date.now() - dayMs)}&end=${iso(Date.now() + dayMs)}`;
        const path = `/analytics/v1/orgs/${busyOrg}/usage?${range}&groupBy=none&clientId=${probe}`;
        while (!isOver || seenMs.length < dueMs.length) {
          const { totals } = answer.parse(JSON.parse(await api.send(path)));
          const nowMs = performance.now();
          while (seenMs.length < totals.invocations) seenMs.push(nowMs);
          await sleep(5);
        }
      };
      const ticks = (seconds * 1_000) / tickMs;
      const looking = look();
      const reached: number[] = [];
      for (let round = 0; round <= rounds; round += 1) reached.push(await publish(ticks));
      isOver = true;
      await within60s(looking);
      // One turn only warms up.
      const delays = Array.from({ length: rounds }, (_, round) =>
        dueMs
          .slice((round + 1) * ticks, (round + 2) * ticks)
          .map((due, index) => (seenMs[(round + 1) * ticks + index] ?? Number.NaN) - due),
      );
      const common = {
        unit: 'ms',
        higherIsBetter: false,
        peakMb: await consumer.peakMb(),
      };
      const rate = Math.round(Math.min(...reached));
      return [
        {
          name: 'freshness',
          ...common,
          ...alone(delays.map((ms) => quantile(ms, 0.99))),
          goal: 2_000,
          what:
            `p99 from when an event was to be published until the usage API counts it, at ` +
            `${eventsPerSecond.toLocaleString('en-US')} events/s (${rate.toLocaleString('en-US')} ` +
            'reached) through stream, consumer and API',
        },
        {
          name: 'freshness-p50',
          ...common,
          ...alone(delays.map((ms) => quantile(ms, 0.5))),
          goal: null,
          what: 'the same, p50',
        },
      ];
    } finally {
      api.close();
      await usage.stop();
      await consumer.stop();
      await broker.close();
      await server.drop();
      await stream.delete();
    }
  },
};

async function within60s(work: Promise<void>): Promise<void> {
  const late = sleep(60_000, undefined, { ref: false }).then(() => {
    throw new Error('60 s after the last was published not all events are counted');
  });
  await Promise.race([work, late]);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
