import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { freePort } from '../scripts/services/free-port.ts';
import { encodeEvent } from '../shared/events/usage-event.ts';
import { actorHeaders, eventJson, jsonPost } from './support/event-json.ts';
import { logLines } from './support/log-lines.ts';
import { services } from './support/services.ts';
import { declare, publishTraffic } from './support/stream-traffic.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { withAdmin } from './support/template-database.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

const anyLine = z.object({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error']),
  time: z.iso.datetime(),
  service: z.literal('analytics-service'),
  function: z.string(),
  msg: z.string(),
});
const day = (daysAgo: number) =>
  `${new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;

test('with every store away the log says why, and holds no secret and no payload', async () => {
  const port = await freePort();
  const secrets = {
    database: 'database-pässword/1',
    broker: 'broker+password',
    redis: 'redis-password',
    store: 'a-secret-key-of-the-store',
    gateway: 'a-secret-of-the-gateway',
  };
  const enc = encodeURIComponent;
  const environment = {
    DATABASE_URL: `postgres://someone:${enc(secrets.database)}@127.0.0.1:${port}/none`,
    RABBITMQ_URL: `amqp://someone:${enc(secrets.broker)}@127.0.0.1:${port}`,
    REDIS_URL: `redis://someone:${secrets.redis}@127.0.0.1:${port}`,
    S3_ENDPOINT: `http://127.0.0.1:${port}`,
    S3_ACCESS_KEY: 'an-access-key',
    S3_SECRET_KEY: secrets.store,
    GATEWAY_SHARED_SECRET: secrets.gateway,
  };
  const lines = logLines(environment);
  const system = await startSystem({ environment, logger: lines.logger, refreshEveryMs: 50 });
  const given = { authorization: 'Bearer a-token-of-somebody', cookie: 'session=a-session' };
  const headers = { ...adminHeaders, ...given, 'X-Gateway-Secret': secrets.gateway };
  const payload = { marker: 'what-the-customer-wrote' };
  const orgPath = `/analytics/v1/orgs/${randomUUID()}`;
  try {
    const window = `start=${day(2)}&end=${day(1)}`;
    for (const path of [
      `${orgPath}/usage?${window}`,
      `${orgPath}/freshness`,
      '/analytics/v1/status/readyz',
      '/health/readiness',
      '/metrics',
      `${orgPath}/exports/${randomUUID()}/download`,
    ]) {
      await system.app.request(path, { headers });
    }
    const wrong = { ...headers, 'X-Gateway-Secret': `${secrets.gateway}x` };
    await system.app.request(`${orgPath}/models`, { headers: wrong });
    const event = eventJson({ metadata: payload });
    for (const body of [event, { ...event, status: payload.marker }, `{"${payload.marker}`]) {
      await system.app.request('/analytics/v1/events', jsonPost(body, headers));
    }
    await system.app.request(
      `${orgPath}/exports`,
      jsonPost({ timeRange: { start: day(2), end: day(1) } }, headers),
    );
    // The consumer, the schedules and the worker have met their faults too.
    await until('the background says so', async () => lines.saying('refresh failed').length > 1);
    await until(
      'the consumer says so',
      async () => lines.saying('the share of streams is not known').length > 0,
    );
    await system.exports.sweep().catch(() => {});
  } finally {
    await system.close().catch(() => {});
  }
  const text = lines.text();
  expect(lines.all().length).toBeGreaterThan(15);
  for (const line of lines.all()) anyLine.parse(line);
  const all = Object.values(secrets);
  const hidden = [...all, ...all.map(enc), 'a-token-of-somebody', 'a-session', payload.marker];
  for (const secret of hidden) expect(text).not.toContain(secret);
  // What callers are not told.
  expect(text).toMatch(/the database is not available: .*ECONNREFUSED/);
  // The wrong one begins like the right one: neither may be there.
  expect(text).toContain('X-Gateway-Secret is missing or wrong');
});

test('what an error says of a URL is logged without its password', async () => {
  const environment = { K_SINK: 'http://someone:pw7@127.0.0.1:1/events' };
  const lines = logLines(environment);
  const system = await startSystem({ environment, logger: lines.logger, stream: false });
  try {
    const body = { timeRange: { start: day(2), end: day(1) } };
    await system.app.request('/analytics/v1/exports', jsonPost(body, adminHeaders));
  } finally {
    await system.close();
  }
  // fetch quotes the whole address.
  const [line] = lines.saying('export left to the schedule');
  expect(line?.reason).toContain('http://someone:[redacted]@127.0.0.1:1/events');
  expect(lines.text()).not.toContain('pw7');
});

test('a probe is logged when its answer changes, with the reason, and not each time', async () => {
  const lines = logLines();
  const system = await startSystem({ stream: false, logger: lines.logger });
  const name = new URL(system.settings.DATABASE_URL ?? '').pathname.slice(1);
  const allow = (allowed: boolean) =>
    withAdmin(services().DATABASE_URL, async (admin) => {
      await admin.query(`alter database ${name} allow_connections ${allowed}`);
      await admin.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
        [name],
      );
    });
  const probe = async () => {
    const paths = ['/health/readiness', '/analytics/v1/status/readyz'];
    const answers = await Promise.all(paths.map((path) => system.app.request(path)));
    return answers.map(({ status }) => status).join();
  };
  const probeUntil = (statuses: string) =>
    until(`the probes say ${statuses}`, async () => (await probe()) === statuses);
  const thrice = async () => [await probe(), await probe(), await probe()];
  const told = () =>
    [...lines.saying('not all is well'), ...lines.saying('all is well again')].map((line) => [
      line.level,
      line.probe,
      line.faults,
    ]);
  try {
    await thrice();
    expect(told()).toEqual([]);
    await allow(false);
    await probeUntil('503,503');
    await thrice();
    const reason = expect.stringMatching(/database/);
    const down = [
      ['warn', 'readiness', { ready: reason }],
      ['warn', 'readyz', { database: reason }],
    ];
    expect(told().sort()).toEqual(down);
    await allow(true);
    await probeUntil('200,200');
    await thrice();
    expect(told().slice(2).sort()).toEqual([
      ['info', 'readiness', undefined],
      ['info', 'readyz', undefined],
    ]);
  } finally {
    await allow(true);
    await system.close();
  }
});

test('ingestion is told in sums, and batches that had something wrong by their id', async () => {
  const lines = logLines({ LOG_LEVEL: 'info' });
  const system = await startSystem({ logger: lines.logger });
  const queue = system.settings.RABBITMQ_STREAM;
  const { RABBITMQ_URL: url } = services();
  try {
    const first = usageEvent();
    await declare(url, system.settings);
    await publishTraffic(url, queue, [
      ...[first, usageEvent(), first].map((event) => ({ content: encodeEvent(event), event })),
      { content: Buffer.from('no event'), event: null },
    ]);
    const [batch] = await until('the batch is told', async () => {
      const told = lines.saying('batch stored');
      return told.length > 0 && told;
    });
    expect(batch).toMatchObject({
      level: 'info',
      stream: queue,
      batchId: expect.any(Number),
      stored: 2,
      duplicates: 1,
      rejected: 1,
    });
  } finally {
    await system.close();
  }
  // What came since the last interval is told at the end.
  const sums = lines.saying('ingested');
  const sum = (name: string) => sums.reduce((total, line) => total + Number(line[name]), 0);
  expect([sum('stored'), sum('duplicates'), sum('rejected')]).toEqual([2, 1, 1]);
  for (const line of sums) expect(line.lagMessages).toEqual(expect.any(Number));
});

test('every line of a request has its id', async () => {
  const lines = logLines();
  const system = await startSystem({ stream: false, logger: lines.logger });
  const requestId = randomUUID();
  try {
    await system.get('/analytics/v1/orgs?start=nonsense', {
      ...adminHeaders,
      'X-Request-Id': requestId,
    });
  } finally {
    await system.close();
  }
  expect(lines.saying('access decision')).toEqual([
    expect.objectContaining({ requestId, level: 'info' }),
  ]);
});

describe('what callers write into a line', () => {
  const lines = logLines({ LOG_LEVEL: 'info' });
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ stream: false, logger: lines.logger });
  });
  afterAll(async () => {
    await system?.close();
  });

  test('is cut: an org that is no id, in the audit line and in the reason', async () => {
    const org = 'a-'.repeat(7_500);
    const path = `/analytics/v1/orgs/${org}/usage`;
    const actor = actorHeaders(['analytics:usage:read']);
    for (const headers of [{}, actor]) {
      const requestId = randomUUID();
      const asked = { headers: { ...headers, 'X-Request-Id': requestId } };
      const response = await system.app.request(path, asked);
      expect(response.status).toBe(headers === actor ? 403 : 401);
      const told = lines.all().filter((line) => line.requestId === requestId);
      expect(told).toEqual([
        expect.objectContaining({
          audit: expect.objectContaining({ orgId: `${org.slice(0, 64)}… (15000 characters)` }),
        }),
      ]);
      expect(JSON.stringify(told).length).toBeLessThan(1_500);
    }
  });

  test('is cut: every attribute of an event that nobody took', async () => {
    const megabyte = 'a-'.repeat(500_000);
    const event = {
      specversion: '1.0',
      id: megabyte,
      type: megabyte,
      source: megabyte,
      subject: megabyte,
      knativeerrordest: megabyte,
      knativeerrorcode: megabyte,
    };
    const request = jsonPost(event, {}, 'application/cloudevents+json');
    const response = await system.app.request('/internal/status', request);
    expect(response.status).toBe(204);
    const [line] = lines.saying('a dead letter about no export');
    expect(line?.id).toBe(`${megabyte.slice(0, 1_024)}… (1000000 characters)`);
    expect(JSON.stringify(line).length).toBeLessThan(8_192);
  });

  test('moves no cursor and turns no text around', async () => {
    const org = 'x%C2%9B2J%C2%9D0;title%C2%9C%7F%E2%80%AE%E2%80%A8%0A%1B';
    await system.app.request(`/analytics/v1/orgs/${org}/usage`);
    expect(lines.text()).toContain(
      'x\\u009b2j\\u009d0;title\\u009c\\u007f\\u202e\\u2028\\n\\u001b',
    );
    // Our own words are plain, but for the mark where a text was cut.
    expect(lines.text().replaceAll('…', '')).toMatch(/^[\n\x20-\x7e]*$/);
  });
});
