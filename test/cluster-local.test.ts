import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import * as z from 'zod';
import { buildFunctions } from '../scripts/build.ts';
import type { PodEvent } from '../scripts/cluster-local/cluster-event.ts';
import { keptWarm } from '../scripts/cluster-local/kept-warm.ts';
import { readManifests } from '../scripts/cluster-local/manifests.ts';
import { encodeEvent } from '../shared/events/usage-event.ts';
import { eventJson, jsonPost } from './support/event-json.ts';
import { type LocalCluster, startLocalCluster } from './support/local-cluster.ts';
import { renderedOverlays } from './support/manifests.ts';
import { services } from './support/services.ts';
import { publishTraffic } from './support/stream-traffic.ts';
import { lockTable } from './support/table-lock.ts';
import { withAdmin } from './support/template-database.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

// Many processes start in some of these tests, on a machine that may be busy.
vi.setConfig({ testTimeout: 180_000 });

/** A minute of the platform's waits is 1.8 s; work takes its own time. */
const timeScale = 0.03;
const time = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
const window = `start=${time(-6)}&end=${time(1)}`;
const jobForm = z.object({ jobId: z.string(), status: z.string(), attempts: z.number() });

const workerForm = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({ spec: z.looseObject({ containers: z.tuple([z.looseObject({})]) }) }),
  }),
});

const overlays = await renderedOverlays();
const objects = overlays.find(({ overlay }) => overlay === 'development')?.objects ?? [];
const manifests = readManifests(objects);
const hasNoManifests = objects.length === 0;
let cluster: LocalCluster;

beforeAll(async () => {
  await buildFunctions();
});

async function orderExport(orgId: string): Promise<string> {
  const body = { timeRange: { start: time(-6), end: time(0) }, format: 'events' };
  const response = await cluster.ask(`/orgs/${orgId}/exports`, jsonPost(body, {}));
  expect(response.status).toBe(202);
  return jobForm.parse(await response.json()).jobId;
}

async function exportOf(orgId: string, jobId: string) {
  const response = await cluster.ask(`/orgs/${orgId}/exports/${jobId}`);
  return jobForm.parse(await response.json());
}

const succeeded = (orgId: string, jobId: string) =>
  until('the export is made', async () => {
    const job = await exportOf(orgId, jobId);
    return job.status === 'succeeded' ? job : null;
  });

describe.skipIf(hasNoManifests)('an overlay with all its schedules', () => {
  let atFirst: ReturnType<LocalCluster['states']>;

  beforeAll(async () => {
    cluster = await startLocalCluster(objects, timeScale);
    atFirst = cluster.states();
  });
  afterAll(() => cluster.stop());

  const stored = (orgId: string, count: number) =>
    until(`${count} events are stored`, async () => {
      const sql = 'select count(*)::int as count from analytics.usage_events where org_id = $1';
      const [row] = await cluster.query<{ count: number }>(sql, [orgId]);
      // More are as wrong as fewer.
      return row?.count === count;
    });
  const state = (name: string) => cluster.states()[name];
  const org = randomUUID();
  /** A request to each function that takes some. */
  const first = [
    ['analytics-usage', `/orgs/${org}/usage?${window}`, {}, 200],
    ['analytics-reliability', `/orgs/${org}/reliability?${window}`, {}, 200],
    ['analytics-status', `/orgs/${org}/freshness`, {}, 200],
    ['analytics-events', '/events/validate', jsonPost(eventJson(), {}), 204],
    ['analytics-exports', `/orgs/${org}/exports`, {}, 200],
  ] as const;

  test('from zero processes a first request to each function is answered', async () => {
    const names = [...manifests.services, ...manifests.deployments].map((one) => one.metadata.name);
    expect(Object.keys(atFirst).sort()).toEqual(names.sort());
    // A ping may be waiting already.
    expect(Object.values(atFirst).map(({ pods }) => pods)).toEqual(names.map(() => 0));
    const answers = await Promise.all(first.map(([, path, init]) => cluster.ask(path, init)));
    expect(answers.map(({ status }) => status)).toEqual(first.map(([, , , status]) => status));
    for (const [name] of first) expect(state(name)?.pods).toBe(1);
  });

  test('publishing to the stream wakes the consumer, and each event is stored once', async () => {
    // Verify sends events of its own once an hour, perhaps just now.
    await until('the consumer sleeps', async () => {
      return state('analytics-consumer')?.pods === 0 && cluster.happened('scale').length % 2 === 0;
    });
    const orgId = randomUUID();
    const events = Array.from({ length: 3_000 }, () => usageEvent({ orgId }));
    const sent = [...events, ...events.slice(0, 500)];
    const publishedMs = performance.now();
    await publishTraffic(
      services().RABBITMQ_URL,
      cluster.stream,
      sent.map((event) => ({ event, content: encodeEvent(event) })),
    );
    await cluster.seen(
      'it is woken',
      'scale',
      ({ replicas, atMs }) => replicas === 1 && atMs > publishedMs,
    );
    await stored(orgId, events.length);
  });

  test('the functions that no route leads to are asked by their schedules', async () => {
    for (const name of ['analytics-refresh', 'analytics-export-worker', 'analytics-verify']) {
      const delivery = await cluster.seen(
        `${name} has a ping`,
        'delivery',
        ({ to, outcome }) => to === `Service ${name}` && outcome !== 'retrying',
      );
      expect(delivery).toMatchObject({ outcome: 'delivered', attempt: 1 });
    }
  });

  test('numbers are read of pods that run, and of the status function though none did', async () => {
    const read = async (name: string) => {
      const response = await fetch(`${cluster.metricsUrl}/${name}/metrics`);
      return { status: response.status, text: await response.text() };
    };
    expect(await read('analytics-refresh')).toMatchObject({
      status: 200,
      text: expect.stringContaining('http_requests_total'),
    });
    await cluster.evict('analytics-status');
    expect(state('analytics-status')?.pods).toBe(0);
    expect((await read('analytics-status')).text).toMatch(/^analytics_ingestion_events_total/m);
    expect((await read('analytics-nothing')).status).toBe(404);
  });

  describe('a function that is asked to end in the middle of its work', () => {
    /** Evicts the pod that works, and waits until it was told. */
    async function evict(service: string): Promise<string> {
      const pods = cluster.happened('pod').filter(({ workload }) => workload === service);
      const { pod } = pods.findLast(({ phase }) => phase === 'ready') ?? { pod: '' };
      void cluster.evict(service);
      await cluster.seen(`${pod} is told`, 'pod', is(pod, 'stopping'));
      return pod;
    }
    const is = (pod: string, phase: PodEvent['phase']) => (event: PodEvent) =>
      event.pod === pod && event.phase === phase;
    const ended = (pod: string) => cluster.seen(`${pod} has ended`, 'pod', is(pod, 'stopped'));
    const works = (service: string) =>
      until(`${service} works`, async () => {
        const { pods = 0, requests = 0 } = state(service) ?? {};
        return pods === 1 && requests === 1;
      });

    test('still takes 1,000 events of which it has half', async () => {
      const orgId = randomUUID();
      const body = JSON.stringify(Array.from({ length: 1_000 }, () => eventJson({ orgId })));
      const half = Math.floor(body.length / 2);
      let goOn = () => {};
      const held = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      async function* slowly() {
        yield Buffer.from(body.slice(0, half));
        await held;
        yield Buffer.from(body.slice(half));
      }
      const init = { ...jsonPost('', {}), body: slowly(), duplex: 'half' as const };
      const answering = cluster.ask('/events', init);
      await works('analytics-events');
      const pod = await evict('analytics-events');
      goOn();
      const answer = await answering;
      expect(answer.status).toBe(202);
      expect(await answer.json()).toMatchObject({ accepted: 1_000, rejected: 0 });
      expect(await ended(pod)).toMatchObject({ detail: '0' });
      await stored(orgId, 1_000);
    });

    test('still answers what the database is slow to tell', async () => {
      const lock = await lockTable(cluster.databaseUrl, 'analytics.usage_events');
      try {
        const answering = cluster.ask(`/orgs/${randomUUID()}/usage?${window}`);
        await works('analytics-usage');
        await until('it waits', () => lock.isAwaited());
        const pod = await evict('analytics-usage');
        await lock.release();
        expect((await answering).status).toBe(200);
        expect(await ended(pod)).toMatchObject({ detail: '0' });
      } finally {
        await lock.release();
      }
    });

    test('gives its export back, and another makes it', async () => {
      const orgId = randomUUID();
      const lock = await lockTable(cluster.databaseUrl, 'analytics.usage_events');
      try {
        const jobId = await orderExport(orgId);
        await until('it is under way', async () => {
          return (await exportOf(orgId, jobId)).status === 'running';
        });
        await cluster.evict('analytics-export-worker');
        await lock.release();
        await succeeded(orgId, jobId);
        const podsThatSaid = (what: string) =>
          cluster.log
            .filter((line) => line.includes(jobId) && line.includes(what))
            .map((line) => line.split(' ')[0]);
        const [pod, ...others] = podsThatSaid('export given back');
        expect([pod, others]).toEqual([expect.stringMatching('analytics-export-worker'), []]);
        expect(podsThatSaid('export succeeded')).toEqual([expect.not.stringMatching(`${pod}$`)]);
        expect(await ended(pod ?? '')).toMatchObject({ detail: '0' });
      } finally {
        await lock.release();
      }
    });
  });

  test('the smoke command passes', async () => {
    const metricsUrl = `${cluster.metricsUrl}/analytics-status/metrics`;
    const args = [
      'scripts/analytics.mjs',
      'smoke',
      '--url',
      cluster.url,
      '--metrics-url',
      metricsUrl,
    ];
    const environment = { GATEWAY_SHARED_SECRET: cluster.gatewaySecret };
    const { code, output } = await run(process.execPath, args, environment);
    expect(output).toMatch(/^OK: \d+ passed, 0 skipped$/m);
    expect(code).toBe(0);
  });

  test('after their idle time all are gone but those that their pings keep', async () => {
    const warm = keptWarm(manifests);
    expect([...warm].sort()).toEqual(['analytics-export-worker', 'analytics-refresh']);
    const askedMs = performance.now();
    const answers = await Promise.all(first.map(([, path, init]) => cluster.ask(path, init)));
    expect(answers.map(({ ok }) => ok)).toEqual(first.map(() => true));
    for (const [name] of first) {
      const service = manifests.services.find(({ metadata }) => metadata.name === name);
      const { idleMs = 0 } = service?.spec.template.metadata.annotations ?? {};
      const { atMs } = await cluster.seen(
        `${name} is idle`,
        'pod',
        ({ workload, phase, atMs }) => workload === name && phase === 'idle' && atMs > askedMs,
      );
      expect(atMs - askedMs).toBeGreaterThan(idleMs * timeScale);
      expect(state(name)?.pods).toBe(0);
    }
    await cluster.seen(
      'verify is idle',
      'pod',
      ({ workload, phase }) => workload === 'analytics-verify' && phase === 'idle',
    );
    for (const name of warm) expect(state(name)?.pods).toBeGreaterThan(0);
  });

  test('the consumer is let go once nothing came for its cooldown', async () => {
    const up = cluster.happened('scale').findLast(({ replicas }) => replicas === 1);
    const end = await cluster.seen(
      'it ended',
      'pod',
      ({ workload, phase, atMs }) =>
        workload === 'analytics-consumer' && phase === 'stopped' && atMs > (up?.atMs ?? 0),
    );
    expect(end.detail).toBe('0');
    const cooldownMs = (manifests.scaledObjects[0]?.spec.cooldownPeriod ?? 0) * 1_000;
    expect(end.atMs - (up?.atMs ?? 0)).toBeGreaterThan(cooldownMs * timeScale);
    expect(state('analytics-consumer')?.pods).toBe(0);
  });
});

describe.skipIf(hasNoManifests)('an export that is asked for, without any schedule', () => {
  const orgId = randomUUID();
  let folder: string;
  let isHealthy: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'analytics-cluster-'));
    isHealthy = join(folder, 'healthy');
    await writeFile(isHealthy, '');
    const program = `require('node:fs').existsSync('${isHealthy}') ? require('./dist/index.cjs') : process.exit(1)`;
    const kinds = ['PingSource', 'ScaledObject', 'Deployment'];
    const without = structuredClone(objects.filter(({ kind }) => !kinds.includes(kind)));
    const worker = without.find(
      ({ kind, metadata }) => kind === 'Service' && metadata.name === 'analytics-export-worker',
    );
    const { spec } = workerForm.parse(worker);
    Object.assign(spec.template.spec.containers[0], { command: ['node', '-e', program] });
    Object.assign(worker ?? {}, { spec });
    cluster = await startLocalCluster(without, timeScale);
  });
  afterAll(async () => {
    await cluster.stop();
    await rm(folder, { recursive: true });
  });

  const deliveries = (id: string) =>
    cluster
      .happened('delivery')
      .filter((event) => event.id === id && event.from !== 'Broker analytics');

  test('reaches the worker through the broker as its one event, and is made', async () => {
    const jobId = await orderExport(orgId);
    await succeeded(orgId, jobId);
    await cluster.seen('it is delivered', 'delivery', ({ outcome }) => outcome === 'delivered');
    expect(deliveries(jobId)).toMatchObject([
      {
        from: 'Trigger analytics-export-requested',
        to: 'Service analytics-export-worker',
        type: 'ai.analytics.export.requested.v1',
        outcome: 'delivered',
        attempt: 1,
      },
    ]);
  });

  test('whose worker does not start is tried again after the waits of its trigger, then given up', async () => {
    await rm(isHealthy);
    await cluster.evict('analytics-export-worker');
    const jobId = await orderExport(orgId);
    await cluster.seen('it is given up', 'delivery', ({ outcome }) => outcome === 'dead-lettered');
    const [retry] = manifests.triggers.flatMap(({ spec }) => spec.delivery ?? []);
    expect(retry).toMatchObject({ retry: 5, backoffPolicy: 'exponential' });
    const found = deliveries(jobId);
    expect(found.map(({ outcome }) => outcome)).toEqual([
      ...Array.from({ length: 5 }, () => 'retrying'),
      'dead-lettered',
    ]);
    expect(found.at(-1)?.to).toBe('Service analytics-status');
    for (const [index, { atMs }] of found.slice(0, -1).entries()) {
      const waitMs = (retry?.backoffDelay ?? 0) * 2 ** index * timeScale;
      const followingMs = found[index + 1]?.atMs ?? 0;
      expect(followingMs - atMs).toBeGreaterThan(waitMs - 5);
    }
    expect(await exportOf(orgId, jobId)).toMatchObject({ status: 'pending', attempts: 0 });

    await writeFile(isHealthy, '');
    // The next event is as good: the worker takes whatever waits.
    const next = await orderExport(orgId);
    for (const id of [jobId, next]) await succeeded(orgId, id);
  });
});

test.skipIf(hasNoManifests)(
  'the command runs production, its own smoke command passes, and Ctrl-C leaves nothing',
  async () => {
    const { PATH = '', HOME = '' } = process.env;
    const args = [
      '--overlay',
      'production',
      '--port',
      '0',
      '--no-build',
      '--time-scale',
      `${timeScale}`,
    ];
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', 'scripts/cluster-local.ts', ...args],
      {
        env: { PATH, HOME, ...services() },
      },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    try {
      await until(
        'it is running',
        async () => {
          if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
          return output.includes('Ctrl-C stops it.');
        },
        { timeoutMs: 60_000 },
      );
      const [smoke = ''] = /GATEWAY_SHARED_SECRET=.* npm run smoke .*/.exec(output) ?? [];
      const tried = await run('/bin/sh', ['-c', smoke], { PATH, HOME });
      expect(tried.output).toMatch(/^OK: \d+ passed, 0 skipped$/m);
    } finally {
      child.kill('SIGINT');
    }
    expect(await ended).toBe(0);
    expect(output).toContain('SIGINT: stopping');
    const pods = (phase: string) =>
      [...output.matchAll(new RegExp(`(\\S+-\\d+) +${phase}\\b`, 'g'))]
        .map(([, pod]) => pod)
        .sort();
    expect(pods('starting').length).toBeGreaterThan(8);
    expect(pods('stopped')).toEqual(pods('starting'));
    const [, database] = /S3_BUCKET=cluster-(\w+)/.exec(output) ?? [];
    const left = await withAdmin(services().DATABASE_URL, (admin) =>
      admin.query('select from pg_database where datname = $1', [`cluster_${database}`]),
    );
    expect(left.rows).toEqual([]);
  },
);

interface Outcome {
  code: number;
  output: string;
}

function run(
  program: string,
  args: readonly string[],
  environment: Record<string, string>,
): Promise<Outcome> {
  const env = { PATH: process.env.PATH, ...environment };
  return new Promise((resolve) => {
    execFile(program, args, { env }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ code, output: stdout + stderr });
    });
  });
}
