import { faultTest } from '../support/faults/fault-test.ts';

faultTest('consumer-killed', {}, async ({ rounds, consumer }) => {
  await rounds(async () => {
    await consumer.kill();
  });
});
