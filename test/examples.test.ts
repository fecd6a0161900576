import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import vectors from '../examples/routing-vectors.json' with { type: 'json' };
import { ensurePika } from '../scripts/services/debian.ts';
import { encodeEvent } from '../shared/events/usage-event.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { services } from './support/services.ts';
import { declare } from './support/stream-traffic.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

const partitions = 4;
const routes = vectors.filter((vector) => vector.partitions === partitions);
const examples = fileURLToPath(new URL('../examples', import.meta.url));
const log = (line: string) => process.stderr.write(`[examples] ${line}\n`);
const go = isProgram('go') && existsSync('/usr/share/gocode/src/github.com/rabbitmq/amqp091-go');

interface Example {
  name: string;
  /** Null where it can be run, else what it lacks. */
  lacks: string | null;
  command: readonly string[];
  environment?: () => Record<string, string>;
}

let folder: string;
const publishers: readonly Example[] = [
  {
    name: 'TypeScript',
    lacks: null,
    command: [process.execPath, '--import', 'tsx', `${examples}/typescript/publisher.ts`],
  },
  {
    name: 'Python',
    lacks: (await ensurePika(log)) ? null : 'python3-pika',
    command: ['/usr/bin/python3', `${examples}/python/publisher.py`],
  },
  {
    name: 'Go',
    lacks: go ? null : 'go and golang-github-rabbitmq-amqp091-go-dev',
    command: ['go', 'run', `${examples}/go/publisher.go`],
    environment: () => ({
      GO111MODULE: 'off',
      GOPATH: '/usr/share/gocode',
      GOCACHE: join(folder, 'go'),
    }),
  },
];
const curl: Example = {
  name: 'curl',
  lacks: isProgram('curl') ? null : 'curl',
  command: ['sh', `${examples}/curl/publish.sh`],
};

let system: System;
let server: Server;
let database: Database;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-examples-'));
  system = await startSystem({ environment: { RABBITMQ_STREAM_PARTITIONS: String(partitions) } });
  server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
  database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
  // A lease may be taken before its stream is there.
  await declare(services().RABBITMQ_URL, system.settings);
  await until(
    'the consumer has every partition',
    async () => (await stored()).length === partitions,
  );
});
afterAll(async () => {
  await database?.close();
  await server?.close();
  await system?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Events stored from each partition, by its number. */
async function stored(): Promise<number[]> {
  const rows = await database.query<{ stored: number }>(
    `select events_stored::float8 as stored from analytics.stream_offsets
     where owner is not null order by stream`,
  );
  return rows.map((row) => row.stored);
}

function run(
  { command: [program = '', ...args], environment = () => ({}) }: Example,
  input: string,
  more: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { PATH = '', HOME = '' } = process.env;
  const env = { PATH, HOME, ...system.environment, ...environment(), ...more };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => {}).end(input);
  });
}

/** An event of each org whose way is known. */
const events = () => routes.map(({ orgId }) => encodeEvent(usageEvent({ orgId })).toString());

async function expectStored(before: readonly number[]): Promise<void> {
  const expected = before.map(
    (count, number) => count + routes.filter(({ partition }) => partition === number).length,
  );
  await until('all are stored', async () => {
    const counts = await stored();
    return counts.reduce((a, b) => a + b, 0) >= expected.reduce((a, b) => a + b, 0);
  });
  expect(await stored()).toEqual(expected);
}

describe.each(publishers)('$name', (example) => {
  const when = test.skipIf(example.lacks !== null);
  const lacking = example.lacks === null ? '' : ` (skipped: it lacks ${example.lacks})`;

  when(`publishes each event to the partition of its org, with a confirm${lacking}`, async () => {
    const before = await stored();
    const lines = events().map((event) => `${event}\n`);
    expect(await run(example, lines.join(''))).toEqual({ code: 0, stdout: '', stderr: '' });
    await expectStored(before);
  });

  when(`fails where there is no such stream, rather than lose events${lacking}`, async () => {
    const RABBITMQ_STREAM = `nowhere.${randomUUID()}`;
    const { code, stderr } = await run(example, `${events()[0]}\n`, { RABBITMQ_STREAM });
    expect(code).toBe(1);
    expect(stderr).toMatch(/no such queue: nowhere|unroutable|UnroutableError/);
  });
});

describe('curl', () => {
  const when = test.skipIf(curl.lacks !== null);
  const url = () => ({ ANALYTICS_URL: `http://127.0.0.1:${server.port}` });

  when('posts a list of events', async () => {
    const before = await stored();
    const { code, stdout } = await run(curl, `[${events().join(',')}]`, url());
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ accepted: routes.length, rejected: 0 });
    await expectStored(before);
  });

  when.each([
    ['one that is refused', '{}', 22, { status: 422, rejected: 1 }],
    ['a list of which none is accepted', '[{},{}]', 22, { status: 422, rejected: 2 }],
    ['a list of which some are', () => `[{},${events()[0]}]`, 1, { accepted: 1, rejected: 1 }],
  ])('does not end with 0 after %s, and says why', async (_, input, exit, answer) => {
    const { code, stdout } = await run(curl, typeof input === 'string' ? input : input(), url());
    expect(code).toBe(exit);
    expect(JSON.parse(stdout)).toMatchObject({
      ...answer,
      results: expect.arrayContaining([
        expect.objectContaining({ status: 'rejected', errors: expect.any(Array) }),
      ]),
    });
  });

  when('ends with 22 and says why where nobody is believed', async () => {
    const { code, stdout } = await run(curl, '[]', { ...url(), ANALYTICS_TOKEN: 'x' });
    expect(code).toBe(22);
    expect(JSON.parse(stdout)).toMatchObject({ status: 401 });
  });
});

function isProgram(name: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
