import { expect } from 'vitest';
import { cacheAgrees } from '../support/faults/cache.ts';
import { type FaultRun, faultTest } from '../support/faults/fault-test.ts';
import { until } from '../support/until.ts';

/** What is sent while a store is out of reach is stored once it is back, and not before. */
async function away(run: FaultRun, begin: () => void, end: () => void): Promise<void> {
  begin();
  const sent = run.publisher.offered.length;
  await run.hold();
  expect(await run.storedCount()).toBeLessThanOrEqual(sent);
  end();
  const isBack = async () => (await run.storedCount()) > sent;
  await until('what was sent meanwhile is stored', isBack, { timeoutMs: run.extent.settleMaxMs });
}

const lessThanOffered = { latencyMs: 20, bytesPerSecond: 1_000_000 };

const cutOff = (server: 'postgres' | 'rabbitmq') => async (run: FaultRun) => {
  const { cut, freeze, heal } = run.relays[server];
  await run.rounds(async () => {
    await away(run, cut, heal);
    await away(run, freeze, heal);
  });
};

const slowDown = (server: 'postgres' | 'rabbitmq') => async (run: FaultRun) => {
  await run.rounds(async () => {
    run.relays[server].slow(lessThanOffered);
    await run.hold();
    await run.progress();
    run.relays[server].heal();
  });
};

faultTest('postgres-cut', { relayed: ['postgres'] }, cutOff('postgres'));
faultTest('rabbitmq-cut', { relayed: ['rabbitmq'] }, cutOff('rabbitmq'));
faultTest('postgres-slow', { relayed: ['postgres'] }, slowDown('postgres'));
faultTest('rabbitmq-slow', { relayed: ['rabbitmq'] }, slowDown('rabbitmq'));

/** Readers wait for the cache for a moment at most, and ask the table. */
async function withoutCache({ ask, progress, hold }: FaultRun): Promise<void> {
  await progress();
  await hold();
  // Again and again, for another store may be busy for a moment.
  await until('freshness is answered', async () => (await ask('freshness')).status === 200);
}

faultTest('redis-cut', { relayed: ['redis'] }, async (run) => {
  const { cut, freeze, heal } = run.relays.redis;
  await run.rounds(async () => {
    for (const begin of [cut, freeze]) {
      begin();
      await withoutCache(run);
      heal();
    }
  });
  await cacheAgrees(run);
});

faultTest('redis-slow', { relayed: ['redis'] }, async (run) => {
  await run.rounds(async () => {
    run.relays.redis.slow({ latencyMs: 400, bytesPerSecond: 1_000_000 });
    await withoutCache(run);
    run.relays.redis.heal();
  });
  await cacheAgrees(run);
});
