import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { exportWorkerApp } from '../functions/export-worker/app.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { httpApp } from '../shared/http/app.ts';
import { type CloudEvent, readCloudEvent } from '../shared/http/cloud-event.ts';
import type { AppEnv } from '../shared/http/context.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { jsonPost } from './support/event-json.ts';
import { watchStalls } from './support/stall-watch.ts';
import { adminHeaders, type System, type SystemOptions, startSystem } from './support/system.ts';
import { startSilentServer } from './support/tcp-relay.ts';
import { until } from './support/until.ts';

const requestedType = 'ai.analytics.export.requested.v1';
const workerPath = '/internal/export-worker';
const orgId = randomUUID();
const timeRange = {
  start: new Date(Date.now() - 3 * 86_400_000).toISOString(),
  end: new Date(Date.now() - 86_400_000).toISOString(),
};

const cleanups: (() => Promise<unknown>)[] = [];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-announce-'));
  cleanups.push(() => rm(folder, { recursive: true }));
});
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** The service with a folder for its exports; its worker runs only when something sets it off. */
async function start(K_SINK: string, options: SystemOptions = {}): Promise<System> {
  const system = await startSystem({
    stream: false,
    exportsFolder: folder,
    environment: { S3_ENDPOINT: '', K_SINK },
    ...options,
  });
  cleanups.push(() => system.close());
  return system;
}

async function listen(app: Hono<AppEnv>, port = 0): Promise<Server> {
  const server = await serve(app, { HTTP_PORT: port, HTTP_HOST: '127.0.0.1', PORT: undefined });
  cleanups.push(() => server.close());
  return server;
}

interface Sink {
  url: string;
  received: { event: CloudEvent; headers: Record<string, string> }[];
}

/** Takes CloudEvents as any of our functions does. */
async function startSink(status: 202 | 500 = 202): Promise<Sink> {
  const received: Sink['received'] = [];
  const app = new Hono<AppEnv>();
  app.post('/events', async (context) => {
    received.push({ event: await readCloudEvent(context), headers: context.req.header() });
    return context.body(null, status);
  });
  const { port } = await listen(app);
  return { url: `http://127.0.0.1:${port}/events`, received };
}

const homes = [
  ['an org', orgId, `/analytics/v1/orgs/${orgId}/exports`],
  ['all orgs', null, '/analytics/v1/exports'],
] as const;
const [, , home] = homes[0];

async function ask(system: System, path: string = home, headers: Record<string, string> = {}) {
  const stalledMs = watchStalls();
  const startedMs = performance.now();
  const init = jsonPost({ timeRange }, { ...adminHeaders, ...headers });
  const response = await system.app.request(path, init);
  const elapsedMs = performance.now() - startedMs - stalledMs();
  expect(response.status).toBe(202);
  const { jobId } = z.object({ jobId: z.uuid() }).parse(await response.json());
  return { jobId, path: `${path}/${jobId}`, elapsedMs };
}

const statusOf = async (system: System, path: string) =>
  z.object({ status: z.string() }).parse((await system.get(path)).body).status;

describe('with K_SINK', () => {
  test.each(homes)('a new export of %s is one CloudEvent', async (_, org, path) => {
    const sink = await startSink();
    const system = await start(sink.url);
    const { jobId } = await ask(system, path);
    expect(sink.received).toEqual([
      {
        event: {
          id: jobId,
          source: '/analytics/exports',
          type: requestedType,
          subject: org ?? 'all',
          time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
          data: { jobId, orgId: org },
        },
        // Binary mode.
        headers: expect.objectContaining({
          'ce-specversion': '1.0',
          'ce-id': jobId,
          'ce-type': requestedType,
          'content-type': 'application/json',
        }),
      },
    ]);
    const [time = ''] = sink.received.map(({ event }) => event.time);
    expect(Math.abs(Date.now() - Date.parse(time))).toBeLessThan(30_000);
    // Who is told is not who works: the job waits for the worker that the event sets off.
    expect(await statusOf(system, `${path}/${jobId}`)).toBe('pending');
    expect(sink.received).toHaveLength(1);
  });

  test('a request sent again tells of its job under the same id, until that is done', async () => {
    const sink = await startSink();
    const system = await start(sink.url);
    const key = { 'Idempotency-Key': randomUUID() };
    const { jobId } = await ask(system, home, key);
    await ask(system, home, key);
    expect(sink.received.map(({ event }) => event.id)).toEqual([jobId, jobId]);
    await system.exports.drain();
    await ask(system, home, key);
    expect(sink.received).toHaveLength(2);
  });

  test('what is refused or only read is not told of', async () => {
    const sink = await startSink();
    const system = await start(sink.url);
    const wrong = jsonPost({ timeRange: { start: 'yesterday' } }, adminHeaders);
    expect((await system.app.request(home, wrong)).status).toBe(400);
    expect((await system.get(home)).status).toBe(200);
    expect(sink.received).toEqual([]);
  });

  test.each<[string, () => Promise<string>, RegExp]>([
    ['is away', async () => `http://127.0.0.1:${await freePort()}`, /ECONNREFUSED/],
    ['answers 500', async () => (await startSink(500)).url, /the sink answered 500/],
    [
      'never answers',
      async () => {
        const { port, stop } = await startSilentServer();
        cleanups.push(stop);
        return `http://127.0.0.1:${port}`;
      },
      /the sink does not answer/,
    ],
  ])('that %s exports are taken all the same, and left to the schedule', async (_, sink, why) => {
    const lines: Record<string, unknown>[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) });
    const system = await start(await sink(), { logger });
    const { jobId, path, elapsedMs } = await ask(system);
    expect(elapsedMs).toBeLessThan(1_000);
    expect(lines.filter((line) => !('audit' in line))).toEqual([
      expect.objectContaining({
        level: 40,
        msg: 'export left to the schedule',
        jobId,
        reason: expect.stringMatching(why),
      }),
    ]);
    expect(await statusOf(system, path)).toBe('pending');
    expect(await system.exports.sweep()).toMatchObject({ succeeded: 1 });
    expect(await statusOf(system, path)).toBe('succeeded');
  });

  test('that is the worker itself, an export is made by being asked for', async () => {
    const port = await freePort();
    const system = await start(`http://127.0.0.1:${port}${workerPath}`);
    await listen(system.app, port);
    for (const [, , path] of homes) {
      const job = await ask(system, path);
      await until('it is made', async () => (await statusOf(system, job.path)) === 'succeeded');
    }
  });
});

test('without K_SINK the one process works at once on what is asked for', async () => {
  const system = await start('', { exportsEveryMs: 3_600_000 });
  // The sweep at the start is over: it cannot be what makes the export.
  await system.exports.sweep();
  const { path } = await ask(system);
  await until('it is made', async () => (await statusOf(system, path)) === 'succeeded');
});

describe('the worker', () => {
  type Attributes = Record<string, unknown>;
  const event = (over: Attributes): Attributes => ({
    specversion: '1.0',
    id: randomUUID(),
    source: '/apis/v1/namespaces/analytics/pingsources/exports',
    type: 'dev.knative.sources.ping',
    ...over,
  });
  const structured = (attributes: Attributes) =>
    jsonPost(attributes, {}, 'application/cloudevents+json');
  const binary = ({ data, ...attributes }: Attributes): RequestInit => {
    const headers = Object.entries(attributes).map(([name, value]) => [`ce-${name}`, `${value}`]);
    return jsonPost(data, Object.fromEntries(headers));
  };
  const modes = [
    ['binary', binary],
    ['structured', structured],
  ] as const;

  async function send(system: System, init: RequestInit) {
    const response = await system.app.request(workerPath, init);
    const text = await response.text();
    const body: unknown = text === '' ? null : JSON.parse(text);
    return { status: response.status, body };
  }

  test.each(modes)('works on what waits, whatever sets it off, in %s mode', async (_, request) => {
    const system = await start('');
    for (const what of [
      { data: { job: 'exports' } },
      { data: { job: 'monthly-exports' } },
      { type: requestedType, subject: orgId, data: { jobId: randomUUID(), orgId } },
    ]) {
      const jobs = [await ask(system), await ask(system)];
      // A body that is no CloudEvent would be a failure to a broker.
      expect(await send(system, request(event(what)))).toEqual({ status: 204, body: null });
      for (const { path } of jobs) expect(await statusOf(system, path)).toBe('succeeded');
      // Sent twice, as brokers do, it finds nothing left to do.
      expect(await send(system, request(event(what)))).toEqual({ status: 204, body: null });
      for (const { path } of jobs) {
        expect((await system.get(path)).body).toMatchObject({ status: 'succeeded', attempts: 1 });
      }
    }
  });

  test('deployed by itself it takes them at /', async () => {
    const system = await start('');
    const { exports } = system;
    const logger = pino({ level: 'silent' });
    const app = httpApp({ logger, routes: [exportWorkerApp(exports)] });
    const { path } = await ask(system);
    const response = await app.request('/', structured(event({ data: { job: 'exports' } })));
    expect(response.status).toBe(204);
    expect(await statusOf(system, path)).toBe('succeeded');
  });

  test.each(modes)(
    'refuses in %s mode what is not for it, which is not sent again',
    async (_, request) => {
      const system = await start('');
      for (const [over, paths] of [
        [{ data: { job: 'refresh' } }, ['data.job']],
        [{ data: {} }, ['data.job']],
        [{ data: ['exports'] }, ['data']],
        [{ type: 'ai.usage.recorded.v1', data: { job: 'exports' } }, ['type']],
        [{ specversion: '0.3', id: '', data: { job: 'exports' } }, ['specversion', 'id']],
      ] as const) {
        const problem = await send(system, request(event(over)));
        expect(problem).toMatchObject({
          status: 400,
          body: { errors: paths.map((path) => ({ path, message: expect.any(String) })) },
        });
      }
      const { path } = await ask(system);
      expect((await send(system, jsonPost({ job: 'exports' }, {}))).status).toBe(400);
      expect(
        (await send(system, jsonPost([event({})], {}, 'application/cloudevents-batch+json')))
          .status,
      ).toBe(400);
      expect(await statusOf(system, path)).toBe('pending');
    },
  );

  test('is not there for other machines', async () => {
    const system = await start('');
    const init = structured(event({ data: { job: 'exports' } }));
    const statusFrom = async (remoteAddress: string) => {
      const socket = { incoming: { socket: { remoteAddress } } };
      return (await system.app.request(workerPath, init, socket)).status;
    };
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::1', '192.168.0.127']) {
      expect(await statusFrom(address)).toBe(404);
    }
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
      expect(await statusFrom(address)).toBe(204);
    }
  });
});
