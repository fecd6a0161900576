import { randomUUID } from 'node:crypto';
import { createClient } from '@redis/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventStorage } from '../shared/events/event-storage.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import { cachedOrgTimes, forgetFreshness } from '../shared/freshness/freshness.ts';
import { openCache } from '../shared/platform/cache.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { analyticsHere } from './support/analytics-here.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { services } from './support/services.ts';
import { startUpstashRelay, type UpstashRelay } from './support/upstash-relay.ts';
import { usageEvent } from './support/usage-events.ts';

const minuteMs = 60_000;
const { modelId } = usageEvent();

let server: TestDatabase;
let database: Database;
let upstash: UpstashRelay;
/** The servers are shared with other test files: each test has orgs of its own, and names them. */
let orgId: string;
let otherOrgId: string;

beforeAll(async () => {
  server = await createDatabase();
  database = openDatabase({ url: server.url });
  upstash = await startUpstashRelay(services().REDIS_URL);
});
afterAll(async () => {
  await upstash?.stop();
  await database?.close();
  await server?.drop();
});

const kinds: ['redis' | 'upstash', () => { REDIS_URL: string; REDIS_TOKEN?: string }][] = [
  ['redis', () => ({ REDIS_URL: services().REDIS_URL })],
  ['upstash', () => ({ REDIS_URL: upstash.url, REDIS_TOKEN: upstash.token })],
];

interface Outcome {
  code: number | string;
  output: string;
}

async function freshness(args: string[], environment: Record<string, string>): Promise<Outcome> {
  const { code, stdout, stderr } = await analyticsHere(['freshness', ...args], {
    DATABASE_URL: server.url,
    ...environment,
  });
  return { code, output: stdout + stderr };
}

async function store(org: string, agoMs: number): Promise<void> {
  const events = [usageEvent({ orgId: org, occurredAtMs: Date.now() - agoMs })];
  const batch = { stream: 'http', events, rejected: 0, position: null };
  await storeBatch(database, eventStorage(database), batch);
}

describe.each(kinds)('on %s', (name, settings) => {
  const open = () => {
    const { REDIS_URL, REDIS_TOKEN } = settings();
    return openCache({ REDIS_URL, REDIS_TOKEN });
  };
  const command = (...args: string[]) => freshness(args, settings());

  beforeEach(async () => {
    [orgId, otherOrgId] = [randomUUID(), randomUUID()];
    const cache = open();
    for (const org of [orgId, otherOrgId]) {
      await store(org, 2 * minuteMs);
      await foldAll(database);
      for (const model of [null, modelId]) {
        await cachedOrgTimes(database, cache, 10 * minuteMs, org, model);
      }
    }
    await cache.close();
  });
  afterEach(async () => {
    const cache = open();
    await forgetFreshness(cache, [
      { orgId, modelId },
      { orgId: otherOrgId, modelId },
    ]);
    await cache.close();
  });

  test('finds nothing where the cache has what the table has', async () => {
    expect(await command('--compare', '--org', orgId)).toEqual({
      code: 0,
      output: `2 keys in ${name}, 0 differences\n`,
    });
  });

  test('an event that waits to be folded is no difference', async () => {
    await store(orgId, minuteMs);
    expect((await command('--compare', '--org', orgId)).code).toBe(0);
    const cache = open();
    await forgetFreshness(cache, [{ orgId, modelId }]);
    await cachedOrgTimes(database, cache, 10 * minuteMs, orgId, null);
    await cache.close();
    expect(await command('--compare', '--org', orgId)).toMatchObject({
      code: 0,
      output: `1 keys in ${name}, 0 differences\n`,
    });
  });

  test('tells what it has otherwise than the table, key by key, and clears it', async () => {
    const [before] = await database.query<{ at: Date }>(
      'select last_event_at as at from analytics.freshness_status where org_id = $1',
      [orgId],
    );
    await store(orgId, minuteMs);
    // Folded behind the cache's back, as when Redis could not be reached to drop the keys.
    await foldAll(database);
    const [after] = await database.query<{ at: Date }>(
      'select last_event_at as at from analytics.freshness_status where org_id = $1',
      [orgId],
    );
    const { code, output } = await command('--compare', '--org', orgId);
    expect(code).toBe(1);
    expect(output).toContain(`2 keys in ${name}, 4 differences`);
    for (const key of ['all', modelId]) {
      const line = output
        .split('\n')
        .find((one) => one.includes(`analytics:freshness:${orgId}:${key} `));
      expect(line).toContain('lastEventAt');
      expect(line).toContain(before?.at.toISOString());
      expect(line).toContain(after?.at.toISOString());
    }
    expect(output).toContain('lastRollupAt');
    expect((await command('--compare', '--org', otherOrgId)).code).toBe(0);

    expect(await command('--clear', '--org', orgId)).toEqual({
      code: 0,
      output: `2 keys dropped from ${name}\n`,
    });
    expect(await command('--compare', '--org', orgId)).toMatchObject({
      output: `0 keys in ${name}, 0 differences\n`,
    });
    expect(await command('--compare', '--org', otherOrgId)).toMatchObject({
      output: `2 keys in ${name}, 0 differences\n`,
    });
  });

  test('a model that the table does not know, a time ahead, and what is no value of ours', async () => {
    const stranger = randomUUID();
    const redis = await createClient({ url: services().REDIS_URL }).connect();
    const key = (scope: string) => `analytics:freshness:${orgId}:${scope}`;
    const later = new Date(Date.now() + minuteMs).toISOString();
    const value = {
      completeThrough: later,
      models: [{ modelId: stranger, lastEventAt: later, lastRollupAt: null }],
    };
    await redis.set(key('all'), JSON.stringify(value), { expiration: { type: 'EX', value: 60 } });
    await redis.set(key(modelId), 'not JSON', { expiration: { type: 'EX', value: 60 } });
    redis.destroy();
    const { code, output } = await command('--compare', '--org', orgId);
    expect(code).toBe(1);
    expect(output).toContain('not JSON');
    expect(output).toContain(stranger);
    expect(output).toContain('completeThrough');
    expect(output).toContain(`2 keys in ${name}, 4 differences`);
  });

  test('looks at every org without --org', async () => {
    const { output } = await command('--compare');
    expect(Number(/^(\d+) keys/m.exec(output)?.[1])).toBeGreaterThanOrEqual(4);
  });
});

describe('the cache', () => {
  test.each(kinds)(
    'lists keys by prefix on %s, special characters and all',
    async (_, settings) => {
      const { REDIS_URL, REDIS_TOKEN } = settings();
      const cache = openCache({ REDIS_URL, REDIS_TOKEN });
      const prefix = `test:${randomUUID()}:`;
      const keys = ['a*', 'a[b]', 'a?', 'a\\', 'ab'].map((name) => prefix + name);
      for (const key of keys) await cache.set(key, '1', minuteMs);
      expect(await cache.keys(prefix)).toEqual([...keys].sort());
      for (const key of keys.slice(0, 4)) expect(await cache.keys(key)).toEqual([key]);
      expect(await cache.keys(`${prefix}x`)).toEqual([]);
      await cache.delete(keys);
      await cache.close();
    },
  );

  test('that is away is said to be, never to agree', async () => {
    for (const args of [['--compare'], ['--clear']]) {
      const { code, output } = await freshness(args, { REDIS_URL: 'redis://127.0.0.1:1' });
      expect(code).toBe(3);
      expect(output).not.toContain('0 differences');
      expect(output).not.toBe('');
    }
  });

  test('in the memory of the service cannot be looked into', async () => {
    const { code, output } = await freshness(['--compare'], {});
    expect(code).toBe(2);
    expect(output).toMatch(/^freshness: REDIS_URL is not set/);
  });

  test.each([
    ['neither', []],
    ['both', ['--compare', '--clear']],
    ['no uuid', ['--clear', '--org', 'acme']],
  ])('%s: the command line is refused', async (_, args) => {
    const { code, output } = await freshness(args, { REDIS_URL: services().REDIS_URL });
    expect(code).toBe(2);
    expect(output).toMatch(/^freshness: .*--.*\n$/);
  });
});
