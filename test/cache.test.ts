import { randomUUID } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createClient } from '@redis/client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runRedis } from '../scripts/services/redis.ts';
import { createSupervisor } from '../scripts/services/supervisor.ts';
import { type Cache, openCache } from '../shared/platform/cache.ts';
import { services } from './support/services.ts';
import { startSilentServer, startTcpRelay } from './support/tcp-relay.ts';
import { until } from './support/until.ts';
import { startUpstashRelay, type UpstashRelay } from './support/upstash-relay.ts';

/** Each call waits 250 ms at most; the rest is for a busy machine. */
const callMaxMs = 1_000;
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function open(
  [url, token]: [string, string?],
  patienceMs?: number,
): { cache: Cache; faults: string[] } {
  const faults: string[] = [];
  const settings = { REDIS_URL: url, REDIS_TOKEN: token };
  const cache = openCache(settings, (fault) => faults.push(fault), patienceMs);
  cleanups.push(() => cache.close());
  return { cache, faults };
}

/** A call's answer, which must come in bounded time whatever happened to the server. */
async function bounded<T>(call: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const answer = await call();
  expect(performance.now() - startedMs).toBeLessThan(callMaxMs);
  return answer;
}

/** All that a lost server may cost. */
async function expectMisses(cache: Cache): Promise<void> {
  expect(await bounded(() => cache.get('x'))).toBeNull();
  await bounded(() => cache.set('x', '1', 60_000));
  await bounded(() => cache.delete(['x']));
  await bounded(() => expect(cache.check()).rejects.toThrow());
}

let upstash: UpstashRelay;

beforeAll(async () => {
  upstash = await startUpstashRelay(services().REDIS_URL);
});
afterAll(() => upstash?.stop());

const kinds: [Cache['name'], () => [string, string?]][] = [
  ['redis', () => [services().REDIS_URL]],
  ['upstash', () => [upstash.url, upstash.token]],
];

describe.each(kinds)('the cache on %s', (name, address) => {
  const key = () => `test:${randomUUID()}`;

  test('gives back what was set, whatever text it is', async () => {
    const { cache, faults } = open(address(), 10_000);
    expect(cache.name).toBe(name);
    for (const value of ['1', '{"a":[1,2]}', '', 'ümläut 😀', 'OK', 'null', 'x'.repeat(100_000)]) {
      const at = key();
      expect(await cache.get(at)).toBeNull();
      await cache.set(at, value, 60_000);
      expect(await cache.get(at)).toBe(value);
    }
    expect(faults).toEqual([]);
  });

  test('sets the time to live in milliseconds, and a value is gone after it', async () => {
    const { cache } = open(address(), 10_000);
    const [long, short] = [key(), key()];
    await cache.set(long, 'v', 60_000);
    await cache.set(short, 'v', 80);
    const redis = await createClient({ url: services().REDIS_URL }).connect();
    cleanups.push(async () => redis.destroy());
    const leftMs = await redis.pTTL(long);
    expect(leftMs).toBeGreaterThan(50_000);
    expect(leftMs).toBeLessThanOrEqual(60_000);
    await until('the value is gone', async () => (await cache.get(short)) === null);
  });

  test('deletes several keys at once, and none', async () => {
    const { cache, faults } = open(address(), 10_000);
    const keys = [key(), key(), key()];
    for (const one of keys) await cache.set(one, 'v', 60_000);
    await cache.delete(keys.slice(0, 2));
    await cache.delete([]);
    expect(await Promise.all(keys.map((one) => cache.get(one)))).toEqual([null, null, 'v']);
    expect(faults).toEqual([]);
  });

  test('its check passes', async () => {
    await expect(open(address(), 10_000).cache.check()).resolves.toBeUndefined();
  });

  test('many calls at once get each its own answer', async () => {
    const { cache } = open(address(), 10_000);
    const keys = Array.from({ length: 50 }, key);
    await Promise.all(keys.map((one) => cache.set(one, one, 60_000)));
    expect(await Promise.all(keys.map((one) => cache.get(one)))).toEqual(keys);
  });
});

describe('a lost server costs misses in bounded time', () => {
  test.each([
    ['Redis at a closed port', 'redis://127.0.0.1:1'],
    ['Upstash at a closed port', 'http://127.0.0.1:1'],
  ])('%s', async (_, url) => {
    const { cache, faults } = open([url, 'token']);
    await expectMisses(cache);
    expect(faults).toHaveLength(3);
    for (const fault of faults) expect(fault).not.toBe('');
  });

  test.each(['redis', 'http'])('a server behind %s:// that never answers', async (scheme) => {
    const silent = await startSilentServer();
    cleanups.push(() => silent.stop());
    const { cache, faults } = open([`${scheme}://127.0.0.1:${silent.port}`, 'token']);
    await expectMisses(cache);
    expect(faults).toHaveLength(3);
    for (const fault of faults) expect(fault).toMatch(/does not answer within 250 ms/);
  });

  test('closing while a connection is being made leaves none behind', async () => {
    const sockets = new Set<Socket>();
    let connections = 0;
    const silent = createServer((socket) => {
      connections += 1;
      sockets.add(socket.on('close', () => sockets.delete(socket)).resume());
    });
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
    cleanups.push(() => new Promise((done) => silent.close(done)));
    const { port } = silent.address() as AddressInfo;
    const settings = { REDIS_URL: `redis://127.0.0.1:${port}`, REDIS_TOKEN: undefined };
    const cache = openCache(settings, () => {}, 1);
    await expect(cache.check()).rejects.toThrow('does not answer');
    await cache.close();
    await until(
      'it was connected, and is no more',
      async () => connections > 0 && sockets.size === 0,
    );
  });

  test('a Redis that falls silent', async () => {
    const relay = await startTcpRelay(services().REDIS_URL);
    const { cache } = open([relay.through(services().REDIS_URL)]);
    cleanups.push(() => relay.stop());
    await cache.set('x', '1', 60_000);
    expect(await cache.get('x')).toBe('1');
    relay.freeze();
    await expectMisses(cache);
  });

  test('a wrong password, a wrong token', async () => {
    const wrong = new URL(services().REDIS_URL);
    wrong.password = 'wrong';
    await expectMisses(open([wrong.href]).cache);
    const { cache, faults } = open([upstash.url, 'wrong']);
    await expectMisses(cache);
    expect(faults[0]).toContain('WRONGPASS');
  });

  test('a Redis that was killed is found again when it is back', async () => {
    const folders = createSupervisor();
    cleanups.push(() => folders.stop());
    const folder = await folders.temporaryFolder('redis');
    const first = createSupervisor();
    cleanups.push(() => first.stop());
    // The port is kept in the folder, so that the second one listens where the first did.
    const { REDIS_URL } = await runRedis({ folder, supervisor: first, keep: false });
    const { cache } = open([REDIS_URL]);
    await cache.set('x', '1', 60_000);
    expect(await cache.get('x')).toBe('1');
    await first.stop();
    await expectMisses(cache);
    const second = createSupervisor();
    cleanups.push(() => second.stop());
    await runRedis({ folder, supervisor: second, keep: false });
    await until('the cache works again', async () => {
      await cache.set('x', '2', 60_000);
      return (await cache.get('x')) === '2';
    });
  });
});
