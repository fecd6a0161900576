import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { freePort } from '../scripts/services/free-port.ts';
import { openDatabase } from '../shared/platform/database/db.ts';
import { eventJson, jsonPost } from './support/event-json.ts';
import { services } from './support/services.ts';
import { watchStalls } from './support/stall-watch.ts';
import { adminHeaders, type System, type SystemOptions, startSystem } from './support/system.ts';
import { startSilentServer, startTcpRelay, type TcpRelay } from './support/tcp-relay.ts';
import { until } from './support/until.ts';

/** The contract's second for an answer that a store is away. */
const answerMaxMs = 1_000;
const orgId = randomUUID();
const daysAgo = (days: number) =>
  `${new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;
const window = `start=${daysAgo(2)}&end=${daysAgo(1)}`;
const reads = [
  `/analytics/v1/orgs/${orgId}/usage?${window}`,
  `/analytics/v1/orgs/${orgId}/reliability?${window}`,
  `/analytics/v1/orgs/${orgId}/freshness`,
  `/analytics/v1/orgs/${orgId}/models`,
  `/analytics/v1/orgs?${window}`,
  `/analytics/v1/orgs/${orgId}/exports`,
  '/analytics/v1/exports',
];
const exportRequest = jsonPost({ timeRange: { start: daysAgo(2), end: daysAgo(1) } }, adminHeaders);

interface Timed {
  status: number;
  contentType: string | null;
  retryAfter: string | null;
  body: unknown;
  elapsedMs: number;
}

async function ask(system: System, path: string, init: RequestInit = {}): Promise<Timed> {
  const stalledMs = watchStalls();
  const startedMs = performance.now();
  const response = await system.app.request(path, { headers: adminHeaders, ...init });
  const text = await response.text();
  const elapsedMs = performance.now() - startedMs - stalledMs();
  return {
    status: response.status,
    contentType: response.headers.get('Content-Type'),
    retryAfter: response.headers.get('Retry-After'),
    body: text.startsWith('{') ? JSON.parse(text) : text,
    elapsedMs,
  };
}

function expectUnavailable(answer: Timed, path: string): void {
  expect(answer).toMatchObject({ status: 503, contentType: 'application/problem+json' });
  expect(answer.retryAfter).toMatch(/^[1-9]\d*$/);
  expect(answer.body).toMatchObject({
    type: 'urn:analytics:problem:unavailable',
    status: 503,
    // Whose address, which port and what the driver said is for the log.
    detail: expect.stringMatching(/^(?!.*(127\.0|E[A-Z]{4,}|connect|answer|\d{4})).+$/),
    instance: path.split('?')[0],
  });
  expect(answer.elapsedMs).toBeLessThan(answerMaxMs);
}

const readyBody = z.object({ status: z.string(), components: z.record(z.string(), z.string()) });

async function ready(system: System) {
  const answer = await ask(system, '/analytics/v1/status/readyz');
  expect(answer.elapsedMs).toBeLessThan(answerMaxMs);
  return { code: answer.status, ...readyBody.parse(answer.body) };
}

/** A store at a closed port, or one that takes connections and never answers. */
type Away = 'closed' | 'silent';
const ways: Away[] = ['closed', 'silent'];

async function away(how: Away): Promise<{ port: number; stop(): Promise<void> }> {
  return how === 'silent' ? startSilentServer() : { port: await freePort(), stop: async () => {} };
}

const addresses = {
  DATABASE_URL: (port: number) => `postgres://nobody:secret@127.0.0.1:${port}/none`,
  RABBITMQ_URL: (port: number) => `amqp://guest:guest@127.0.0.1:${port}`,
  REDIS_URL: (port: number) => `redis://127.0.0.1:${port}`,
  S3_ENDPOINT: (port: number) => `http://127.0.0.1:${port}`,
};

/** The service with one of its stores away from the beginning. */
async function startWithout(
  store: keyof typeof addresses,
  how: Away,
  options: SystemOptions = {},
): Promise<System> {
  const { port, stop } = await away(how);
  const system = await startSystem({
    stream: false,
    ...options,
    environment: { [store]: addresses[store](port) },
  });
  return {
    ...system,
    close: async () => {
      await stop();
      await system.close();
    },
  };
}

describe.each(ways)('with the database %s', (how) => {
  let system: System;

  beforeAll(async () => {
    system = await startWithout('DATABASE_URL', how);
  });
  afterAll(() => system?.close());

  test('every read is a 503 within a second', async () => {
    await Promise.all(reads.map(async (path) => expectUnavailable(await ask(system, path), path)));
  });

  test('asking for an export, following and downloading one is a 503 within a second', async () => {
    const home = `/analytics/v1/orgs/${orgId}/exports`;
    const paths = ['', '/manifest', '/download'].map((what) => `${home}/${randomUUID()}${what}`);
    await Promise.all([
      ask(system, home, exportRequest).then((answer) => expectUnavailable(answer, home)),
      ...paths.map(async (path) => expectUnavailable(await ask(system, path), path)),
    ]);
  });

  test('many reads at once are answered as fast', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => ask(system, reads[0] ?? '')),
    );
    for (const answer of answers) expectUnavailable(answer, reads[0] ?? '');
  });

  test('readyz and the readiness probe say so, liveness goes on', async () => {
    expect(await ready(system)).toMatchObject({
      code: 503,
      status: 'degraded',
      components: { database: 'unhealthy' },
    });
    expectUnavailable(await ask(system, '/health/readiness'), '/health/readiness');
    expect(await ask(system, '/health/liveness')).toMatchObject({ status: 200, body: 'OK' });
    expect(await ask(system, '/analytics/v1/status/healthz')).toMatchObject({ status: 200 });
  });

  test('what is wrong with a request is still told apart', async () => {
    const path = `/analytics/v1/orgs/${orgId}/usage`;
    expect(await ask(system, path)).toMatchObject({ status: 400 });
    expect(await ask(system, path, { headers: {} })).toMatchObject({ status: 401 });
  });
});

describe('with a database that falls silent while connections are open', () => {
  let system: System;
  let relay: TcpRelay;

  beforeAll(async () => {
    relay = await startTcpRelay(services().DATABASE_URL);
    const inner = await startSystem({ stream: false });
    const url = relay.through(inner.settings.DATABASE_URL ?? '');
    const outer = await startSystem({ stream: false, environment: { DATABASE_URL: url } });
    system = {
      ...outer,
      close: async () => {
        await relay.stop();
        await outer.close();
        await inner.close();
      },
    };
  });
  afterAll(() => system?.close());

  test('reads turn from 200 to 503 within a second, and keep to it', async () => {
    for (const path of reads) expect(await ask(system, path)).toMatchObject({ status: 200 });
    relay.freeze();
    await Promise.all(reads.map(async (path) => expectUnavailable(await ask(system, path), path)));
    expectUnavailable(await ask(system, reads[0] ?? ''), reads[0] ?? '');
    expect(await ready(system)).toMatchObject({ code: 503 });
  });
});

describe.each(ways)('with RabbitMQ %s', (how) => {
  let system: System;

  beforeAll(async () => {
    system = await startWithout('RABBITMQ_URL', how, { stream: true, consume: false });
  });
  afterAll(() => system?.close());

  test('sending events is a 503 within a second, reads go on', async () => {
    const path = '/analytics/v1/events';
    for (let round = 0; round < 2; round += 1) {
      expectUnavailable(await ask(system, path, jsonPost(eventJson(), adminHeaders)), path);
    }
    for (const read of reads) expect(await ask(system, read)).toMatchObject({ status: 200 });
  });

  test('readyz is degraded, not away', async () => {
    expect(await ready(system)).toMatchObject({
      code: 200,
      status: 'degraded',
      components: { stream: 'unhealthy', database: 'healthy' },
    });
  });

  test('an invalid event is told so all the same', async () => {
    const { body } = await ask(
      system,
      '/analytics/v1/events',
      jsonPost(eventJson({ latencyMs: -1 }), adminHeaders),
    );
    expect(body).toMatchObject({ accepted: 0, rejected: 1 });
  });
});

describe('with a RabbitMQ that falls silent', () => {
  const path = '/analytics/v1/events';
  const send = (system: System) => ask(system, path, jsonPost(eventJson(), adminHeaders));

  async function behindRelay() {
    const url = services().RABBITMQ_URL;
    const relay = await startTcpRelay(url);
    const system = await startSystem({
      consume: false,
      environment: { RABBITMQ_URL: relay.through(url) },
    });
    const stop = async () => {
      await relay.stop();
      await system.close();
    };
    return { relay, system, stop };
  }

  test('after the connection and before the first event, sending is a 503 within a second', async () => {
    const { relay, system, stop } = await behindRelay();
    try {
      await until('a connection', async () => (await ready(system)).status === 'ready');
      relay.freeze();
      expectUnavailable(await send(system), path);
      expectUnavailable(await send(system), path);
    } finally {
      await stop();
    }
  });

  test('after events were taken, sending is a 503 within a second', async () => {
    const { relay, system, stop } = await behindRelay();
    const consumer = await startSystem({ environment: system.environment });
    try {
      await until('an event taken', async () => (await send(system)).status === 202);
      relay.freeze();
      expectUnavailable(await send(system), path);
      expectUnavailable(await send(system), path);
    } finally {
      await stop();
      await consumer.close();
    }
  });
});

describe.each(ways)('with Redis %s', (how) => {
  let system: System;

  beforeAll(async () => {
    system = await startWithout('REDIS_URL', how);
    const event = eventJson({ orgId });
    expect(await ask(system, '/analytics/v1/events', jsonPost(event, adminHeaders))).toMatchObject({
      status: 202,
    });
  });
  afterAll(() => system?.close());

  test('freshness is answered rightly, in bounded time, and so is the rest', async () => {
    for (let round = 0; round < 2; round += 1) {
      for (const answer of await Promise.all(reads.map((path) => ask(system, path)))) {
        expect(answer).toMatchObject({ status: 200 });
        expect(answer.elapsedMs).toBeLessThan(answerMaxMs);
      }
    }
    const path = `/analytics/v1/orgs/${orgId}/freshness`;
    expect((await ask(system, path)).body).toMatchObject({
      orgId,
      entries: [{ status: 'delayed' }],
    });
    await system.refresh();
    expect((await ask(system, path)).body).toMatchObject({ orgId, entries: [{ status: 'fresh' }] });
  });

  test('readyz is degraded, not away', async () => {
    expect(await ready(system)).toMatchObject({
      code: 200,
      status: 'degraded',
      components: { cache: 'unhealthy', database: 'healthy' },
    });
  });
});

describe('with a Redis that falls silent', () => {
  test('freshness is answered from the database', async () => {
    const relay = await startTcpRelay(services().REDIS_URL);
    const system = await startSystem({
      stream: false,
      environment: { REDIS_URL: relay.through(services().REDIS_URL) },
    });
    try {
      await ask(system, '/analytics/v1/events', jsonPost(eventJson({ orgId }), adminHeaders));
      await system.refresh();
      const path = `/analytics/v1/orgs/${orgId}/freshness`;
      const before = await ask(system, path);
      expect(before.body).toMatchObject({ entries: [{ status: 'fresh' }] });
      relay.freeze();
      const after = await ask(system, path);
      expect(after.body).toMatchObject({ entries: [{ status: 'fresh' }] });
      expect(after.elapsedMs).toBeLessThan(answerMaxMs);
    } finally {
      await relay.stop();
      await system.close();
    }
  });
});

describe.each(ways)('with the object store %s', (how) => {
  const lines: Record<string, unknown>[] = [];
  const home = `/analytics/v1/orgs/${orgId}/exports`;
  const jobId = randomUUID();
  let system: System;

  beforeAll(async () => {
    lines.length = 0;
    const logger = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) });
    system = await startWithout('S3_ENDPOINT', how, { logger });
    const database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
    await database.query(
      `insert into analytics.export_jobs
         (job_id, org_id, status, format, granularity, timezone, range_start, range_end,
          initiated_by, completed_at, expires_at, object_key, object_etag)
       values ($1, $2, 'succeeded', 'csv', 'day', 'UTC', $3, $4, 'a test', now(),
               now() + interval '1 day', 'analytics/exports/x.csv', 'x')`,
      [jobId, orgId, daysAgo(2), daysAgo(1)],
    );
    await database.close();
  });
  afterAll(() => system?.close());

  test('files and manifests are a 503 within a second, and the log says what is wrong', async () => {
    const [download, manifest] = [`${home}/${jobId}/download`, `${home}/${jobId}/manifest`];
    for (const round of [[download], [download, manifest]]) {
      await Promise.all(
        round.map(async (path) => {
          const answer = await ask(system, path);
          expectUnavailable(answer, path);
          expect(answer.body).toMatchObject({ detail: 'the object store is not available' });
        }),
      );
    }
    const reasons = lines.filter(({ msg }) => msg === 'unavailable').map(({ reason }) => reason);
    expect(reasons).toHaveLength(3);
    for (const reason of reasons) expect(reason).toMatch(/cannot be reached .*S3_ENDPOINT/);
  });

  test('exports can be asked for and followed all the same', async () => {
    expect(await ask(system, home, exportRequest)).toMatchObject({ status: 202 });
    expect(await ask(system, home)).toMatchObject({ status: 200 });
    expect(await ask(system, `${home}/${jobId}`)).toMatchObject({
      status: 200,
      body: { jobId, status: 'succeeded' },
    });
  });

  test('readyz is degraded within a second', async () => {
    expect(await ready(system)).toMatchObject({
      code: 200,
      status: 'degraded',
      components: { objectStore: 'unhealthy', database: 'healthy' },
    });
  });
});
