import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { freePort } from '../scripts/services/free-port.ts';
import { readSettings } from '../shared/platform/env.ts';
import { openS3Store } from '../shared/platform/object-store/s3-store.ts';
import { rawBytes } from './support/raw-http.ts';
import { services } from './support/services.ts';
import { until } from './support/until.ts';

const run = promisify(execFile);
const answerForm = z.object({ totals: z.object({ invocations: z.number() }) });

let folder: string;
let port: number;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics start-'));
  // As root, PostgreSQL runs as another user, who must get there.
  await chmod(folder, 0o755);
  port = await freePort();
});
afterEach(async () => {
  for (const child of children.splice(0)) await stop(child);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Run {
  child: ChildProcess;
  output(): string;
}

/** `npm start` without any setting of the shell that runs the tests. */
function start(environment: Record<string, string> = {}, args: string[] = []): Run {
  const child = spawn(process.execPath, ['scripts/start.mjs', '--data', folder, ...args], {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      HTTP_PORT: String(port),
      ...environment,
    },
  });
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  return { child, output: () => text };
}

async function running(started: Run): Promise<void> {
  await until(
    'it is running',
    async () => {
      if (started.child.exitCode !== null) throw new Error(`it ended: ${started.output()}`);
      return started.output().includes('Ctrl-C stops it.');
    },
    { timeoutMs: 60_000 },
  );
}

async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  return ended;
}

/** The commands it printed, run as a person would paste them. */
async function pasted(output: string): Promise<unknown[]> {
  const commands = output.split('\n').filter((line) => line.trim().startsWith('curl '));
  expect(commands).toHaveLength(3);
  return Promise.all(
    commands.map(async (command) => {
      const { stdout } = await run('/bin/sh', ['-c', command]);
      const answer: unknown = JSON.parse(stdout);
      return answer;
    }),
  );
}

test('on nothing but Node it starts, seeds, answers what it suggests, and finds its data again', async () => {
  const first = start();
  await running(first);
  expect(first.output()).toContain('seeded');
  const [usage, reliability, freshness] = await pasted(first.output());
  const { invocations } = answerForm.parse(usage).totals;
  expect(invocations).toBeGreaterThan(1_000);
  expect(answerForm.parse(reliability).totals.invocations).toBe(invocations);
  expect(freshness).toMatchObject({ status: 'fresh' });
  // Fails with its lines when the exit code is not 0.
  const smoke = ['scripts/analytics.mjs', 'smoke', '--url', `http://127.0.0.1:${port}`];
  const { PATH = '', HOME = '' } = process.env;
  const { stdout } = await run(process.execPath, smoke, { env: { PATH, HOME } });
  expect(stdout).toMatch(/\nOK: \d+ passed, 0 skipped\n$/);

  // A page whose name points here reads nothing, not even its metrics.
  for (const path of ['/analytics/v1/orgs', '/metrics', '/internal/status', '/health/liveness']) {
    const ask = (host: string) =>
      rawBytes(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect(await ask(`evil.example:${port}`)).toMatchObject({ status: 421 });
    expect(await ask(`localhost:${port}`)).not.toMatchObject({ status: 421 });
  }

  // Beside it, neither the same port nor the same data can be had: one line says which.
  const samePort = start();
  await until('it gives up', async () => samePort.child.exitCode !== null);
  expect(samePort.output().trim()).toMatch(/^cannot start: port \d+ is taken .*HTTP_PORT.*$/);
  const sameData = start({ HTTP_PORT: String(await freePort()) });
  await until('it gives up', async () => sameData.child.exitCode !== null);
  expect(sameData.output()).toMatch(
    /cannot start: PostgreSQL runs on .* already .*--data FOLDER\)\n$/,
  );

  expect(await stop(first.child)).toBe(0);
  const second = start();
  await running(second);
  expect(second.output()).not.toContain('seeded');
  const [again] = await pasted(second.output());
  expect(answerForm.parse(again).totals.invocations).toBe(invocations);
});

/**
 * "Trigger Export Flow" of the quickstart, word for word but for the port and the dates, which
 * would leave retention.
 */
const quickstart = {
  create: `
curl -X POST http://localhost:8084/analytics/v1/orgs/00000000-0000-0000-0000-000000000001/exports \\
  -H "X-Actor-Subject: user-123" \\
  -H "X-Actor-Roles: analytics:exports:create,admin" \\
  -H "Content-Type: application/json" \\
  -d '{"timeRange":{"start":"2025-11-01T00:00:00Z","end":"2025-11-07T23:59:59Z"},"granularity":"daily"}'
`,
  poll: `
curl "http://localhost:8084/analytics/v1/orgs/00000000-0000-0000-0000-000000000001/exports/$JOB_ID" \\
  -H "X-Actor-Subject: user-123" \\
  -H "X-Actor-Roles: analytics:exports:read,admin"
`,
  download: `
curl "http://localhost:8084/analytics/v1/orgs/00000000-0000-0000-0000-000000000001/exports/$JOB_ID/download" \\
  -H "X-Actor-Subject: user-123" \\
  -H "X-Actor-Roles: analytics:exports:download,admin" \\
  -L -o export.csv
`,
};
const jobForm = z.object({
  jobId: z.string(),
  status: z.string(),
  rowCount: z.number().nullable(),
  bytes: z.number().nullable(),
  checksum: z.string().nullable(),
});

const daysAgo = (days: number) =>
  new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
const [firstDay, lastDay] = [daysAgo(7), daysAgo(1)];

/** Runs the flow as a person would, and gives the job and the file. */
async function exportFlow() {
  const shell = async (command: string, JOB_ID = '') => {
    const shifted = command
      .replaceAll('localhost:8084', `localhost:${port}`)
      .replace('2025-11-01', firstDay)
      .replace('2025-11-07', lastDay);
    const options = { cwd: folder, env: { ...process.env, JOB_ID } };
    return (await run('/bin/sh', ['-c', shifted], options)).stdout;
  };
  const { jobId } = jobForm.parse(JSON.parse(await shell(quickstart.create)));
  const job = await until('the export succeeds', async () => {
    const polled = jobForm.parse(JSON.parse(await shell(quickstart.poll, jobId)));
    expect(polled.status).toMatch(/^(pending|running|succeeded)$/);
    return polled.status === 'succeeded' && polled;
  });
  await shell(quickstart.download, jobId);
  const file = await readFile(join(folder, 'export.csv'));
  await rm(join(folder, 'export.csv'));
  return { job, file };
}

function expectWholeFile({ job, file }: Awaited<ReturnType<typeof exportFlow>>): void {
  expect(createHash('sha256').update(file).digest('hex')).toBe(job.checksum);
  expect(file.length).toBe(job.bytes);
  const [header, ...rows] = file.toString('utf8').trimEnd().split('\r\n');
  expect(header).toMatch(/^bucket_start,org_id,org_name,model_id,/);
  expect(rows).toHaveLength(job.rowCount ?? -1);
  // A week of three models and several clients.
  expect(rows.length).toBeGreaterThan(7 * 3);
}

test('the quickstart’s export is made at once and downloaded, from a folder or a bucket', async () => {
  const bare = start();
  await running(bare);
  const fromFolder = await exportFlow();
  expectWholeFile(fromFolder);
  expect(await stop(bare.child)).toBe(0);

  const { S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET, S3_REGION } = services();
  const s3 = { S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET, S3_REGION };
  const store = openS3Store(readSettings(s3));
  const withBucket = start(s3);
  await running(withBucket);
  const fromBucket = await exportFlow();
  try {
    expectWholeFile(fromBucket);
    expect(fromBucket.job.checksum).toBe(fromFolder.job.checksum);
  } finally {
    const stem = `analytics/exports/00000000-0000-0000-0000-000000000001/${fromBucket.job.jobId}`;
    await store.delete([`${stem}.csv`, `${stem}.manifest.json`]);
    store.close();
  }
});

test.each([
  ['DATABASE_URL', (closed: number) => `postgres://a:b@127.0.0.1:${closed}/x`],
  ['RABBITMQ_URL', (closed: number) => `amqp://127.0.0.1:${closed}`],
  ['REDIS_URL', (closed: number) => `redis://127.0.0.1:${closed}`],
])('a dead server behind %s is one clear line', async (name, url) => {
  const started = start({ [name]: url(await closedPort()) });
  await until('it gives up', async () => started.child.exitCode !== null, { timeoutMs: 30_000 });
  const lines = started.output().trim().split('\n');
  expect(lines.at(-1)).toMatch(new RegExp(`^cannot start: ${name}: `));
  expect(lines.filter((line) => line.startsWith('{"level":"error"'))).toEqual([]);
  expect(started.child.exitCode).toBe(1);
});

test('wrong settings and options are named', async () => {
  const settings = start({ HTTP_PORT: 'x', LOG_LEVEL: 'loud' });
  await until('it gives up', async () => settings.child.exitCode !== null);
  expect(settings.output()).toMatch(/cannot start: wrong settings: HTTP_PORT .*; LOG_LEVEL /);
  const option = start({}, ['--sed']);
  await until('it gives up', async () => option.child.exitCode !== null);
  expect(option.output()).toContain("Unknown option '--sed'");
  expect(option.child.exitCode).toBe(2);
});

/** A port that was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
