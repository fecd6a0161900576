import { afterAll, beforeAll, expect } from 'vitest';
import { type FakeClock, fakeClock } from '../support/faults/clock.ts';
import { faultTest } from '../support/faults/fault-test.ts';
import { startPostgres } from '../support/faults/servers.ts';

const hour = 3_600;
const year = 366 * 24 * hour;

faultTest('deployments-overlap', {}, async (run) => {
  const small = { INGESTION_BATCH_SIZE: '37', INGESTION_BATCH_TIMEOUT: '5ms' };
  const partitioned = { RABBITMQ_STREAM_PARTITIONS: '2' };
  const inSteps =
    run.extent.form === 'long' ? [small, partitioned] : [{ ...small, ...partitioned }];
  let current = run.consumer;
  for (const environment of [...inSteps, {}]) {
    const next = run.addConsumer(environment);
    await run.progress();
    await current.stop();
    await run.progress();
    current = next;
  }
});

let consumerClock: FakeClock | undefined;
let databaseClock: FakeClock | undefined;
beforeAll(async () => {
  consumerClock = await fakeClock();
  databaseClock = await fakeClock();
});
afterAll(async () => {
  await consumerClock?.remove();
  await databaseClock?.remove();
});
const noFaketime = () =>
  consumerClock === undefined ? 'libfaketime is not to be had here' : undefined;

faultTest(
  'clock-of-the-consumer',
  { skip: noFaketime, environment: () => consumerClock?.environment ?? {} },
  async (run) => {
    for (const off of [6 * hour, -6 * hour, 2 * year, -2 * year]) {
      await consumerClock?.set(off);
      await run.progress();
      await run.progress();
      expect(run.consumer.log()).not.toBe('');
    }
    // One that starts with a wrong clock.
    await run.consumer.kill();
    await run.progress();
  },
);

faultTest(
  'clock-of-the-database',
  {
    skip: noFaketime,
    databaseServer: async () => {
      // The server takes its environment from this process.
      Object.assign(process.env, databaseClock?.environment);
      try {
        return await startPostgres();
      } finally {
        for (const name of Object.keys(databaseClock?.environment ?? {})) delete process.env[name];
      }
    },
  },
  async (run) => {
    // Ahead, back beyond the truth, and to it; in the short form ahead and back.
    const jumps = run.extent.form === 'long' ? [6 * hour, -6 * hour, 0] : [6 * hour, 0];
    for (const [index, off] of jumps.entries()) {
      // A dead owner's lease is written in the time before the jump.
      if (index > 0) await run.consumer.kill();
      await databaseClock?.set(off);
      await run.progress();
    }
  },
);
