import { cacheAgrees } from '../support/faults/cache.ts';
import { faultTest } from '../support/faults/fault-test.ts';
import { until } from '../support/until.ts';

faultTest('consumer-killed', {}, async ({ rounds, consumer }) => {
  await rounds(async () => {
    await consumer.kill();
  });
});

faultTest('postgres-killed', {}, async ({ rounds, servers }) => {
  await rounds(async () => {
    await servers.postgres.kill();
    await servers.postgres.start();
  });
});

faultTest('rabbitmq-killed', {}, async ({ rounds, servers }) => {
  await rounds(async () => {
    await servers.rabbitmq.kill();
    await servers.rabbitmq.start();
  });
});

faultTest('redis-killed', {}, async (run) => {
  const { rounds, servers, ask, progress } = run;
  // Again and again, for another store may be busy for a moment.
  const isAnswered = async () => (await ask('freshness')).status === 200;
  await rounds(async () => {
    await servers.redis.kill();
    await progress();
    await until('freshness is answered without it', isAnswered);
    await servers.redis.start();
  });
  await until('freshness is answered', isAnswered);
  await cacheAgrees(run);
});
