import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { functionNames } from '../scripts/build.ts';
import { uploaded } from '../scripts/deploy/upload.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { runCommand } from '../scripts/services/run-command.ts';
import { connectBroker } from '../shared/platform/broker/stream.ts';
import { openDatabase } from '../shared/platform/database/db.ts';
import { readSettings } from '../shared/platform/env.ts';
import { openS3Store } from '../shared/platform/object-store/s3-store.ts';
import { apiDatabaseUrl } from './support/api-login.ts';
import { deleteBucket } from './support/bucket.ts';
import { builtCheckout } from './support/built-checkout.ts';
import { createDatabase, emptyDatabase, type TestDatabase } from './support/database.ts';
import { metricComplaints } from './support/metric-complaints.ts';
import { lintMetrics } from './support/promtool.ts';
import { services } from './support/services.ts';
import { adminHeaders, deleteQueues } from './support/system.ts';
import { until } from './support/until.ts';

const names = functionNames();
const knative = names.filter((name) => !['bootstrap', 'consumer'].includes(name));

let checkout: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  checkout = await builtCheckout();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rm(checkout, { recursive: true, force: true }));

/** What func sends to a build: all that its `.funcignore` does not name. git reads it as func does. */
async function uploadOf(folder: string): Promise<string[]> {
  const repository = join(checkout, 'empty.git');
  const git = (...args: string[]) => runCommand('git', args, { cwd: folder, timeoutMs: 30_000 });
  await git('init', '--quiet', '--bare', repository);
  const where = [`--git-dir=${repository}`, `--work-tree=${folder}`];
  const found = await git(...where, 'ls-files', '--others', '--exclude-from=.funcignore');
  return found.split('\n').filter((file) => file !== '');
}

describe.each(names)('what func uploads for %s', (name) => {
  test('is its bundle and what runs it, under 5 MB, and no development file', async () => {
    const folder = join(checkout, 'functions', name);
    const files = await uploadOf(folder);
    expect(files).toEqual(expect.arrayContaining(['dist/index.cjs', 'func.yaml', 'package.json']));
    for (const file of files) {
      expect(file).not.toMatch(/\.(m?ts|map|md)$|test|node_modules|\.env|^\.func$|lock/);
    }
    const sizes = await Promise.all(
      files.map(async (file) => (await stat(join(folder, file))).size),
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(5_000_000);
  });

  test('is what npm run deploy copies for it', async () => {
    const files = await uploadOf(join(checkout, 'functions', name));
    const tops = new Set(files.map((file) => file.split('/')[0]));
    expect([...tops].sort()).toEqual([...uploaded].sort());
  });

  test('stays so beside what a developer leaves there', async () => {
    const folder = join(checkout, 'functions', name);
    const before = await uploadOf(folder);
    const left = ['app.test.ts', 'node_modules/pg/index.js', '.func/built', 'fixtures/rows.ts'];
    for (const file of left) {
      await mkdir(join(folder, file, '..'), { recursive: true });
      await writeFile(join(folder, file), '');
    }
    expect(await uploadOf(folder)).toEqual(before);
  });
});

const funcYaml = z.object({
  run: z.object({ envs: z.array(z.object({ name: z.string().optional(), value: z.string() })) }),
});

const readyAnswer = z.object({
  status: z.string(),
  components: z.record(z.string(), z.string()),
});

/** The environment that a function's func.yaml gives it, and nothing else. */
async function environmentOf(name: string, cluster: Cluster): Promise<Record<string, string>> {
  const text = await readFile(join(checkout, 'functions', name, 'func.yaml'), 'utf8');
  const environment: Record<string, string> = {};
  for (const { name: variable, value } of funcYaml.parse(parse(text)).run.envs) {
    const [, source = ''] = /^\{\{ (?:configMap|secret):(.+) \}\}$/.exec(value) ?? [];
    if (variable === undefined) Object.assign(environment, cluster.configMaps[source]);
    else environment[variable] = cluster.secrets[source] ?? 'none';
  }
  return environment;
}

interface Cluster {
  configMaps: Record<string, Record<string, string>>;
  /** By `name:key`. */
  secrets: Record<string, string>;
}

function bundleOf(name: string): string {
  return join(checkout, 'functions', name, 'dist/index.cjs');
}

interface Ended {
  code: number;
  output: string;
}

function runToEnd(name: string, environment: Record<string, string>): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [bundleOf(name)], { env: environment }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ code, output: stdout + stderr });
    });
  });
}

describe('in production, with what its func.yaml gives and nothing else', () => {
  let database: TestDatabase;
  const gatewaySecret = 'a secret of the gateway';
  const metricsToken = 'a token of Prometheus';
  let cluster: Cluster;

  beforeAll(async () => {
    database = await createDatabase();
    const given = services();
    cluster = {
      configMaps: {
        'analytics-settings': {
          ENVIRONMENT: 'production',
          LOG_LEVEL: 'warn',
          RABBITMQ_STREAM: `test.${randomUUID()}`,
        },
        'analytics-object-store': {
          S3_ENDPOINT: given.S3_ENDPOINT,
          S3_BUCKET: `test-${randomUUID()}`,
          S3_REGION: given.S3_REGION,
        },
      },
      secrets: {
        'analytics-database:url': database.url,
        'analytics-database:api-url': apiDatabaseUrl(database.url),
        'analytics-rabbitmq:url': given.RABBITMQ_URL,
        'analytics-redis:url': given.REDIS_URL,
        'analytics-redis:token': '',
        'analytics-s3:access-key': given.S3_ACCESS_KEY,
        'analytics-s3:secret-key': given.S3_SECRET_KEY,
        'analytics-gateway:secret': gatewaySecret,
        'analytics-metrics:token': metricsToken,
      },
    };
    const job = await runToEnd('bootstrap', await environmentOf('bootstrap', cluster));
    expect(job.code, job.output).toBe(0);
  });
  afterAll(async () => {
    await database.drop();
    const all = readSettings(await environmentOf('bootstrap', cluster), { knowsActors: false });
    await deleteQueues(services().RABBITMQ_URL, all);
    await deleteBucket(all);
  });

  /** Starts a function as the platform does, until it answers its liveness probe. */
  async function started(name: string, more: Record<string, string> = {}): Promise<string> {
    const port = await freePort();
    const environment = await environmentOf(name, cluster);
    const child = spawn(process.execPath, [bundleOf(name)], {
      env: { ...environment, ...more, PORT: String(port) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    children.push(child);
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    const url = `http://127.0.0.1:${port}`;
    await until(`${name} answers`, async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended: ${complaint}`);
      return (await fetch(`${url}/health/liveness`).catch(() => null))?.ok;
    });
    return url;
  }

  test.each(knative)('%s starts as a Knative Service and is ready', async (name) => {
    const url = await started(name, { K_SERVICE: `analytics-${name}` });
    const readiness = await fetch(`${url}/health/readiness`);
    expect(await readiness.text()).toBe('OK');
  });

  test.runIf(inject('hasPrometheus'))(
    'promtool has nothing against the metrics of any function but what is known',
    async () => {
      const known = new Set(metricComplaints.map(({ complaint }) => complaint));
      for (const name of [...knative, 'consumer']) {
        const url = await started(name);
        const headers = { Authorization: `Bearer ${metricsToken}` };
        const asked = await fetch(`${url}/metrics`, name === 'status' ? { headers } : {});
        const complaints = await lintMetrics(await asked.text());
        expect(
          complaints.filter((line) => !known.has(line)),
          name,
        ).toEqual([]);
        for (const child of children.splice(0)) child.kill('SIGKILL');
      }
    },
    60_000,
  );

  test('the consumer starts in a Deployment and is ready', async () => {
    const url = await started('consumer');
    const readiness = await fetch(`${url}/health/readiness`);
    expect(await readiness.text()).toBe('OK');
  });

  test('status finds every server, the object store too', async () => {
    const url = await started('status');
    // Its clients load with the first request, which may take longer than that request waits.
    const answer = await until('status finds every server', async () => {
      const response = await fetch(`${url}/analytics/v1/status/readyz`);
      const found = readyAnswer.parse(await response.json());
      return found.status === 'ready' ? found : undefined;
    });
    expect(answer.components).toEqual({
      database: 'healthy',
      stream: 'healthy',
      cache: 'healthy',
      objectStore: 'healthy',
    });
  });

  test('status tells of orgs to Prometheus alone, and does not start without its token', async () => {
    const url = await started('status');
    const numbers = async (headers: Record<string, string>) =>
      (await (await fetch(`${url}/metrics`, { headers })).text()).match(/^analytics_\w+/gm) ?? [];
    expect(await numbers({})).toEqual([]);
    expect((await numbers({ Authorization: `Bearer ${metricsToken}` })).length).toBeGreaterThan(10);
    const environment = await environmentOf('status', cluster);
    const { code, output } = await runToEnd('status', { ...environment, METRICS_TOKEN: '' });
    expect(code).toBe(1);
    expect(output).toMatch(/^status: wrong settings: METRICS_TOKEN is required.*\n$/);
  });

  test('who does not come through the gateway is nobody', async () => {
    const url = await started('usage');
    const path = '/analytics/v1/orgs?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z';
    const ask = (headers: Record<string, string>) => fetch(`${url}${path}`, { headers });
    expect((await ask(adminHeaders)).status).toBe(401);
    const throughGateway = { ...adminHeaders, 'X-Gateway-Secret': gatewaySecret };
    expect((await ask(throughGateway)).status).toBe(200);
  });
});

describe('func deploy of what is no Knative Service', () => {
  test.each([
    ['consumer', /^consumer: must not run as .*analytics-consumer: .*a stream makes none/],
    ['bootstrap', /^bootstrap: must not run as .*analytics-bootstrap: it does its work once/],
  ])('%s refuses with one line: why, and how to deploy it', async (name, reason) => {
    const { code, output } = await runToEnd(name, {
      K_SERVICE: `analytics-${name}`,
      ENVIRONMENT: 'production',
    });
    expect(code).toBe(1);
    expect(output).toMatch(reason);
    expect(output).toMatch(new RegExp(`npm run deploy -- ${name}\\n$`));
    expect(output.trim().split('\n')).toHaveLength(1);
  });
});

describe('the bootstrap Job', () => {
  test('makes schema, streams, queue and bucket, and nothing more the second time', async () => {
    const { RABBITMQ_URL, S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY } = services();
    const empty = await emptyDatabase();
    const environment = {
      DATABASE_URL: empty.url,
      RABBITMQ_URL,
      RABBITMQ_STREAM: `test.${randomUUID()}`,
      RABBITMQ_STREAM_PARTITIONS: '2',
      S3_ENDPOINT,
      S3_ACCESS_KEY,
      S3_SECRET_KEY,
      S3_BUCKET: `test-${randomUUID()}`,
    };
    const settings = readSettings(environment);
    const { RABBITMQ_STREAM: stream, S3_BUCKET: bucket } = settings;
    const database = openDatabase({ url: empty.url });
    const broker = await connectBroker(RABBITMQ_URL);
    const store = openS3Store(settings);
    const migrations = () => database.query('select name, applied_at from analytics.migrations');
    try {
      const first = await runToEnd('bootstrap', environment);
      expect(first.code, first.output).toBe(0);
      expect(first.output).toMatch(
        /ok DATABASE_URL +schema analytics applied 0001_usage\.sql, 0002_/,
      );
      expect(first.output).toContain(`declared ${stream}-0, ${stream}-1, ${stream}.dlq\n`);
      expect(first.output).toContain(`bucket ${bucket} made; put, get and delete work\n`);
      const applied = await migrations();
      for (const name of [`${stream}-0`, `${stream}-1`, `${stream}.dlq`]) {
        expect(await broker.exists(name), name).toBe(true);
      }
      await store.check();

      const second = await runToEnd('bootstrap', environment);
      expect(second.code, second.output).toBe(0);
      expect(second.output).toContain('schema analytics up to date');
      expect(second.output).toContain(`bucket ${bucket} is there`);
      expect(await migrations()).toEqual(applied);
    } finally {
      await database.close();
      await broker.close();
      store.close();
      await empty.drop();
      await deleteQueues(RABBITMQ_URL, settings);
      await deleteBucket(settings);
    }
  });

  test('names each server that fails on a line of its own, without its password', async () => {
    const { code, output } = await runToEnd('bootstrap', {
      DATABASE_URL: 'postgres://app:the-password@127.0.0.1:1/none',
      API_DATABASE_URL: 'postgres://api:the-password@127.0.0.1:1/none',
      RABBITMQ_URL: 'amqp://app:the-password@127.0.0.1:1',
      S3_ENDPOINT: services().S3_ENDPOINT,
      S3_ACCESS_KEY: 'nobody',
      S3_SECRET_KEY: 'the-password',
    });
    expect(code).toBe(1);
    expect(output.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/FAILED DATABASE_URL .*ECONNREFUSED/),
      expect.stringMatching(/FAILED API_DATABASE_URL .*ECONNREFUSED/),
      expect.stringMatching(/FAILED RABBITMQ_URL .*ECONNREFUSED/),
      expect.stringMatching(/FAILED S3_ENDPOINT .*refuses the credentials/),
    ]);
    expect(output).not.toContain('the-password');
  });

  test.each(['DATABASE_URL', 'RABBITMQ_URL'])('does not end well without %s', async (missing) => {
    const { DATABASE_URL, RABBITMQ_URL } = services();
    const environment = { DATABASE_URL, RABBITMQ_URL, [missing]: '' };
    expect(await runToEnd('bootstrap', environment)).toEqual({
      code: 1,
      output: expect.stringMatching(new RegExp(`^bootstrap: .*${missing} is required.*\\n$`)),
    });
  });
});
