import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { freePort } from '../scripts/services/free-port.ts';
import { readSettings } from '../shared/platform/env.ts';
import { deleteBucket } from './support/bucket.ts';
import { emptyDatabase } from './support/database.ts';
import { startOtlpReceiver } from './support/otlp-receiver.ts';
import { writePrograms } from './support/program-folder.ts';
import { services } from './support/services.ts';
import { deleteQueues } from './support/system.ts';
import { withAdmin } from './support/template-database.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

let folder: string;
/** A PATH with no more than all work takes. */
let fewTools: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-bootstrap-'));
  fewTools = join(folder, 'few-tools');
  await writePrograms(fewTools, { npm: 'echo 11.0.0' }, ['node', 'sh', 'dirname']);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Outcome {
  code: number;
  output: string;
}

/** `scripts/bootstrap` from elsewhere, with nothing of the shell that runs the tests. */
function bootstrap(
  args: readonly string[],
  environment: Record<string, string> = {},
  checkout = root,
): Promise<Outcome> {
  const given = ['--grafana', join(folder, 'grafana'), ...args];
  return new Promise((resolve) => {
    execFile(
      join(checkout, 'scripts/bootstrap'),
      given,
      { cwd: tmpdir(), env: { PATH: fewTools, ...environment } },
      (error, stdout, stderr) => {
        const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
        resolve({ code, output: stdout + stderr });
      },
    );
  });
}

test('prepares every server that is named, and says what is missing without touching it', async () => {
  const empty = await emptyDatabase();
  const { RABBITMQ_URL, REDIS_URL, S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY } = services();
  const api = new URL(empty.url);
  api.username = `api_${randomUUID().slice(0, 8)}`;
  const environment = {
    DATABASE_URL: empty.url,
    API_DATABASE_URL: api.href,
    RABBITMQ_URL,
    RABBITMQ_STREAM: `test.${randomUUID()}`,
    REDIS_URL,
    S3_ENDPOINT,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
    S3_BUCKET: `test-${randomUUID()}`,
  };
  const settings = readSettings(environment);
  const run = (args: string[] = [], more = {}) => bootstrap(args, { ...environment, ...more });
  try {
    const before = await run(['--check-only']);
    expect(before.code).toBe(1);
    expect(before.output).toContain('no schema analytics yet');
    expect(before.output).toMatch(/FAILED API_DATABASE_URL +password authentication failed/);
    expect(before.output).toContain(`not yet declared: ${environment.RABBITMQ_STREAM}`);
    expect(before.output).toMatch(/FAILED S3_ENDPOINT +the bucket .* does not exist/);
    expect(before.output).toMatch(/ok REDIS_URL +Redis answers/);

    const made = await run();
    expect(made.code, made.output).toBe(0);
    expect(made.output).toContain('schema analytics applied 0001_usage.sql');
    expect(made.output).toContain(`user ${api.username} made, without a right of its own`);
    expect(made.output).toContain(`declared ${environment.RABBITMQ_STREAM}`);
    expect(made.output).toContain(`bucket ${environment.S3_BUCKET} made; put, get and delete work`);
    expect((await run(['--check-only'])).output).toMatch(
      /schema analytics is there[\s\S]*logs in and has no right of its own[\s\S]*every stream is there[\s\S]*is there; put, get and delete work/,
    );
    expect((await run([], { S3_SECRET_KEY: 'wrong' })).output).toMatch(
      /FAILED S3_ENDPOINT .*refuses the credentials.*S3_SECRET_KEY/,
    );
  } finally {
    await empty.drop();
    await withAdmin(services().DATABASE_URL, (admin) =>
      admin.query(`drop role if exists ${api.username}`),
    );
    await deleteQueues(RABBITMQ_URL, settings);
    await deleteBucket(settings);
  }
}, 120_000);

test('a cache or a collector that is away is named, and fails', async () => {
  const { code, output } = await bootstrap(['--check-only'], {
    REDIS_URL: 'redis://127.0.0.1:1',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
  });
  expect(code).toBe(1);
  expect(output).toMatch(/FAILED REDIS_URL +the cache does not answer/);
  expect(output).toMatch(
    /FAILED OTEL_EXPORTER_OTLP_ENDPOINT +no collector answers: .*ECONNREFUSED/,
  );
});

test('a collector that takes spans is found', async () => {
  const receiver = await startOtlpReceiver();
  try {
    const { code, output } = await bootstrap(['--check-only'], {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    });
    expect(code, output).toBe(0);
    expect(output).toMatch(/ok OTEL_EXPORTER_OTLP_ENDPOINT +the collector answers 200/);
  } finally {
    await receiver.stop();
  }
});

test('without any server it says how to have them', async () => {
  const { code, output } = await bootstrap(['--check-only']);
  expect(code, output).toBe(0);
  expect(output).toContain('docker compose up --wait');
  expect(output).toContain('npm run services -- up');
});

describe('tools', () => {
  /** Each as it speaks when it is there and new enough. */
  const good = {
    func: 'echo "Version: v1.19.1"',
    git: 'echo "git version 2.39.5"',
    kubectl: `echo '{"clientVersion": {"major": "1", "gitVersion": "v1.32.4"}}'`,
    mc: 'echo "mc version RELEASE.2025-04-16T18-13-26Z (commit-id=x)"',
    npm: 'echo 11.19.1',
    psql: 'echo "psql (PostgreSQL) 17.2"',
    'dpkg-query': 'printf "%s\\t5:99.1-1\\n" "$2"',
  };
  const look = async (changes: Readonly<Record<string, string | null>>, args: string[] = []) => {
    const bin = join(folder, 'bin');
    const stubs = Object.entries({ ...good, ...changes }).flatMap(([name, text]) =>
      text === null ? [] : [[name, text] as const],
    );
    await writePrograms(bin, Object.fromEntries(stubs), ['node', 'sh', 'dirname']);
    return bootstrap(['--check-only', ...args], { PATH: bin });
  };

  test('that are there are named with their versions', async () => {
    const { code, output } = await look({}, ['--strict']);
    expect(code, output).toBe(0);
    const [, list = ''] = /^tools\n([\s\S]*?)servers\n/.exec(output) ?? [];
    expect(list.trimEnd().split('\n')).toEqual([
      `  ok node ${process.versions.node}`,
      '  ok npm 11.19.1',
      '  ok no Docker Compose, but postgresql 99.1, rabbitmq-server 99.1, redis-server 99.1, radosgw 99.1',
      '  ok git 2.39.5',
      '  ok psql 17.2',
      '  ok kubectl 1.32.4',
      '  ok func 1.19.1',
      '  ok mc 2025-04-16',
    ]);
  });

  test.each([
    ['func', { func: null }, /func is missing, for .*: https:\/\/knative/],
    ['kubectl', { kubectl: null }, /kubectl is missing, for deploying: https:/],
    ['psql', { psql: null }, /psql is missing, .*postgresql-client/],
    ['a new func', { func: 'echo v1.9.0' }, /func 1\.9\.0 is too old for .* takes 1\.15: https:/],
    ['mc and aws', { mc: null }, /mc is missing, .*https:.*; or aws is missing, .*https:/],
    ['any but Midnight Commander', { mc: 'echo "GNU Midnight Commander 4.8.29"' }, /mc is missing/],
    [
      'one of the servers',
      { 'dpkg-query': 'test "$2" = radosgw || printf "%s\\t99.1-1\\n" "$2"' },
      /neither an engine with Docker Compose nor radosgw 16\.2, .*https:\/\/docs\.docker\.com/,
    ],
  ])('--strict fails without %s, and says where it is', async (_, changes, words) => {
    const { code, output } = await look(changes, ['--strict']);
    expect(code).toBe(1);
    expect(output).toMatch(new RegExp(`  FAILED .*${words.source}`));
    expect(output.match(/FAILED/g)).toHaveLength(1);
  });

  test('that only some work takes are noted when they are missing', async () => {
    const { code, output } = await look({ func: null, 'dpkg-query': null, mc: null });
    expect(code, output).toBe(0);
    expect(output.match(/^ {2}- {2}(func is|mc is|neither an engine)/gm)).toHaveLength(3);
  });

  test('one of mc and aws is enough, and Docker Compose for all servers', async () => {
    const { code, output } = await look(
      {
        mc: null,
        aws: 'echo "aws-cli/2.15.0 Python/3.11.6"',
        'dpkg-query': null,
        docker: 'echo 2.29.1',
      },
      ['--strict'],
    );
    expect(code, output).toBe(0);
    expect(output).toMatch(/ok Docker Compose 2\.29\.1\n[\s\S]*ok aws 2\.15\.0\n/);
  });

  test('that all work takes fail when they are too old', async () => {
    const { code, output } = await look({ npm: 'echo 9.8.1' });
    expect(code).toBe(1);
    expect(output).toContain('FAILED npm 9.8.1 is too old for everything, which takes 10: https:');
  });

  test('first of all Node: without it there is one line that says so', async () => {
    const bin = join(folder, 'bin');
    await writePrograms(bin, {}, ['sh', 'dirname']);
    expect(await bootstrap([], { PATH: bin })).toEqual({
      code: 1,
      output: 'node is missing, for everything: https://nodejs.org/en/download\n',
    });
  });
});

test('on a bare clone it installs the dependencies first', async () => {
  const clone = join(folder, 'clone');
  for (const part of ['scripts', 'shared', 'dashboards', 'package.json', 'compose.yaml']) {
    await cp(join(root, part), join(clone, part), { recursive: true });
  }
  const bin = join(folder, 'bin');
  // As npm does, in the folder of the package; its version is asked for as well.
  const npm = `case "$1" in ci) ln -s ${join(root, 'node_modules')} node_modules;; *) echo 11.0.0;; esac`;
  await writePrograms(bin, { npm }, ['node', 'sh', 'dirname', 'ln']);
  const { code, output } = await bootstrap(['--check-only'], { PATH: bin }, clone);
  expect(code, output).toBe(0);
  expect(output).toMatch(/^installing dependencies: npm ci\ntools\n/);
});

describe('Grafana', () => {
  const providers = z.strictObject({
    apiVersion: z.literal(1),
    providers: z.array(
      z.strictObject({
        name: z.string(),
        folder: z.string(),
        type: z.literal('file'),
        options: z.strictObject({ path: z.string() }),
      }),
    ),
  });
  const dataSources = z.strictObject({
    apiVersion: z.literal(1),
    datasources: z.array(
      z.strictObject({
        name: z.string(),
        uid: z.string(),
        type: z.string(),
        access: z.literal('proxy'),
        url: z.string(),
        user: z.string().optional(),
        jsonData: z.record(z.string(), z.string()),
        secureJsonData: z.strictObject({ password: z.string() }).optional(),
      }),
    ),
  });
  const dashboard = z.object({
    templating: z.object({
      list: z.array(z.object({ type: z.string(), query: z.string().optional() })),
    }),
  });
  const read = async (path: string) =>
    parse(await readFile(join(folder, 'grafana', path), 'utf8')) as unknown;

  test('is pointed at the dashboards, with a data source for each that they choose', async () => {
    const empty = await emptyDatabase();
    try {
      const args = ['--prometheus', 'http://prometheus.example:9090'];
      const { code, output } = await bootstrap(args, { DATABASE_URL: empty.url });
      expect(code, output).toBe(0);
      expect(output).toContain(`GF_PATHS_PROVISIONING='${join(folder, 'grafana')}'`);

      const [provider] = providers.parse(await read('dashboards/analytics.yaml')).providers;
      const path = provider?.options.path ?? '';
      const wanted = new Set<string>();
      for (const name of await readdir(path)) {
        const text = await readFile(join(path, name), 'utf8');
        for (const { type, query } of dashboard.parse(JSON.parse(text)).templating.list) {
          if (type === 'datasource' && query !== undefined) wanted.add(query);
        }
      }
      const text = await readFile(join(folder, 'grafana/datasources/analytics.yaml'), 'utf8');
      const found = dataSources.parse(parse(text)).datasources;
      expect(new Set(found.map(({ type }) => type))).toEqual(wanted);
      expect(found.find(({ type }) => type === 'prometheus')?.url).toBe(args[1]);
      const { host, pathname, password } = new URL(empty.url);
      expect(found.find(({ type }) => type === 'grafana-postgresql-datasource')).toMatchObject({
        url: host,
        user: 'grafana',
        jsonData: { database: pathname.slice(1), sslmode: 'disable' },
        secureJsonData: { password: '$GRAFANA_DATABASE_PASSWORD' },
      });
      expect(text).not.toContain(password);
    } finally {
      await empty.drop();
    }
  });

  test('has no PostgreSQL while DATABASE_URL is not set, and is left alone by --check-only', async () => {
    const provisioning = join(folder, 'grafana');
    await rm(provisioning, { recursive: true, force: true });
    await bootstrap(['--check-only']);
    await expect(readdir(provisioning)).rejects.toThrow(/ENOENT/);
    expect((await bootstrap([])).output).toContain('for PostgreSQL set DATABASE_URL');
    const { datasources } = dataSources.parse(await read('datasources/analytics.yaml'));
    expect(datasources.map(({ type }) => type)).toEqual(['prometheus']);
  });
});
