import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readReplayOptions } from '../scripts/replay/options.ts';
import { type ReplayReport, replay } from '../scripts/replay/run.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { type System, startSystem } from './support/system.ts';
import {
  bucketKey,
  bucketsOf,
  makeTrace,
  moved,
  prices,
  readTrace,
  sumsOf,
  type TraceEvent,
} from './support/trace.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const azurePath = resolve(root, '../shared/data/azure-llm-inference-2023-code.csv');
const folder = await mkdtemp(join(tmpdir(), 'replay-'));
const madePath = join(folder, 'made.csv');
await makeTrace(madePath);

const dayMs = 86_400_000;
const zones = [
  'UTC',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'America/St_Johns',
  'America/New_York',
] as const;

let system: System;
let server: Server;
let url: string;

beforeAll(async () => {
  system = await startSystem();
  server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
  url = `http://127.0.0.1:${server.port}`;
});
afterAll(async () => {
  await server.close();
  await system.close();
  await rm(folder, { recursive: true });
});

const sums = {
  invocations: z.number(),
  inputTokens: z.number(),
  outputTokens: z.number(),
  costEstimateCents: z.number(),
};
const usageForm = z.object({
  series: z.array(z.object({ bucketStart: z.string(), ...sums })),
  totals: z.object(sums),
});

async function usage(orgId: string, startMs: number, days: number, more = '') {
  const time = (ms: number) => new Date(ms).toISOString();
  const query = `start=${time(startMs)}&end=${time(startMs + days * dayMs)}&groupBy=none${more}`;
  const { status, body } = await system.get(`/analytics/v1/orgs/${orgId}/usage?${query}`);
  expect(status).toBe(200);
  return usageForm.parse(body);
}

/** The API's answer for a week around the events, by hour and by day, in every zone. */
async function expectUsage(orgId: string, events: readonly TraceEvent[]): Promise<void> {
  const startMs = Math.floor((events[0]?.ms ?? 0) / dayMs - 1) * dayMs;
  for (const zone of zones) {
    for (const granularity of ['hour', 'day'] as const) {
      const more = `&granularity=${granularity}&timezone=${zone}`;
      const { series, totals } = await usage(orgId, startMs, 7, more);
      const answered = Object.fromEntries(
        series.map(({ bucketStart, ...rest }) => [bucketKey(bucketStart, granularity), rest]),
      );
      expect(answered, `${zone} by ${granularity}`).toEqual(bucketsOf(events, zone, granularity));
      expect(series.length).toBe(Object.keys(answered).length);
      expect(totals).toEqual(sumsOf(events));
    }
  }
}

async function replayed(path: string, more: string[], nowMs: number): Promise<ReplayReport> {
  const args = [path, '--input-price', prices.input, '--output-price', prices.output, ...more];
  const options = readReplayOptions([...args, '--url', url], system.settings, nowMs);
  return replay(options, system.settings);
}

function counted(stored: number, duplicate = 0, rejected = 0): object {
  return { counts: { stored, duplicate, rejected }, from: `${url}/metrics`, isComplete: true };
}

/** Keeps batches from being folded, as a folder at work elsewhere does, while `work` runs. */
async function withoutFolding(work: () => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: system.settings.DATABASE_URL });
  await client.connect();
  try {
    await client.query('begin');
    // `foldLock` of shared/rollup.ts. Were it another, nothing would be pending below.
    await client.query('select pg_advisory_xact_lock(7102004002)');
    await work();
    expect(await pendingBatches()).toBeGreaterThan(0);
  } finally {
    await client.end();
  }
}

async function pendingBatches(): Promise<number> {
  const text = await (await system.app.request('/metrics')).text();
  return Number(/^analytics_rollup_pending_batches (\d+)$/m.exec(text)?.[1]);
}

async function expectBeforeAndAfterFolding(
  orgId: string,
  events: readonly TraceEvent[],
  send: () => Promise<void>,
): Promise<void> {
  await withoutFolding(async () => {
    await send();
    await expectUsage(orgId, events);
  });
  await system.refresh();
  expect(await pendingBatches()).toBe(0);
  await expectUsage(orgId, events);
}

/** The last first Sunday of November, New York's change to winter, that three days follow. */
function daylightSavingChange(nowMs: number): number {
  const year = new Date(nowMs).getUTCFullYear();
  const firstSunday = (ofYear: number) => {
    const november = new Date(Date.UTC(ofYear, 10, 1));
    return november.getTime() + ((7 - november.getUTCDay()) % 7) * dayMs;
  };
  return firstSunday(firstSunday(year) + 4 * dayMs < nowMs ? year : year - 1);
}

const traces = [
  { name: 'the Azure trace', path: azurePath },
  { name: 'a trace made here', path: madePath },
];

for (const { name, path } of traces) {
  const isThere = existsSync(path);
  describe.skipIf(!isThere)(isThere ? name : `${name} (skipped: ${path} is absent)`, () => {
    const nowMs = Date.now();
    const trace = isThere ? readTrace(path) : [];
    const yesterdayMs = (Math.floor(nowMs / dayMs) - 1) * dayMs;
    const orgs = { stream: randomUUID(), stretched: randomUUID(), http: randomUUID() };
    const toYesterday = (org: string) => ['--org', org, '--shift-to', 'yesterday'];

    test('moved to yesterday gives its own sums, before folding and after', async () => {
      const events = moved(trace, yesterdayMs);
      await expectBeforeAndAfterFolding(orgs.stream, events, async () => {
        const report = await replayed(path, toYesterday(orgs.stream), nowMs);
        expect(report).toMatchObject({
          target: expect.stringContaining(`stream ${system.settings.RABBITMQ_STREAM}`),
          rows: trace.length,
          sent: trace.length,
          skipped: 0,
          refused: 0,
          counted: counted(trace.length),
        });
      });
      const { totals } = await usage(orgs.stream, yesterdayMs, 1);
      expect(totals).toEqual(sumsOf(trace));
      if (path === azurePath) {
        expect(totals).toMatchObject({
          invocations: 8_819,
          inputTokens: 18_059_974,
          outputTokens: 245_896,
        });
      }
    });

    test('stretched over a daylight-saving change gives its own sums', async () => {
      const changeMs = daylightSavingChange(nowMs);
      const fromMs = changeMs - dayMs;
      const events = moved(trace, fromMs, 76);
      // The trace has to reach both hours that New York calls one o'clock.
      const hours = Object.keys(bucketsOf(events, 'America/New_York', 'hour'));
      const change = new Date(changeMs).toISOString().slice(0, 10);
      expect(hours).toContain(`${change}T01:00:00-04:00`);
      expect(hours).toContain(`${change}T01:00:00-05:00`);

      const date = new Date(fromMs).toISOString().slice(0, 10);
      const more = ['--org', orgs.stretched, '--shift-to', date, '--stretch', '76'];
      await expectBeforeAndAfterFolding(orgs.stretched, events, async () => {
        const report = await replayed(path, more, nowMs);
        expect(report.counted).toEqual(counted(trace.length));
      });
    });

    test('a second time changes nothing', async () => {
      const before = await usage(orgs.stream, yesterdayMs - dayMs, 3);
      expect(before.totals.invocations).toBe(trace.length);
      const report = await replayed(path, toYesterday(orgs.stream), nowMs);
      expect(report).toMatchObject({ sent: trace.length, counted: counted(0, trace.length) });
      expect(await usage(orgs.stream, yesterdayMs - dayMs, 3)).toEqual(before);
    });

    test('over HTTP gives the same', async () => {
      const report = await replayed(path, [...toYesterday(orgs.http), '--to', 'http'], nowMs);
      expect(report).toMatchObject({
        target: `${url}/analytics/v1/events`,
        sent: trace.length,
        refused: 0,
        counted: counted(trace.length),
      });
      await expectUsage(orgs.http, moved(trace, yesterdayMs));
    });
  });
}

describe('npm run replay', () => {
  const run = promisify(execFile);

  async function command(args: string[], environment: Record<string, string> = {}) {
    const env = { PATH: process.env.PATH ?? '', ...system.environment, ...environment };
    try {
      // Not by npx, which may have warnings of its own to print.
      const tsx = join(root, 'node_modules/.bin/tsx');
      const done = await run(tsx, ['scripts/replay.ts', ...args], { cwd: root, env });
      return { code: 0, ...done };
    } catch (error) {
      return z.object({ code: z.int(), stdout: z.string(), stderr: z.string() }).parse(error);
    }
  }

  test('says what was read, sent and stored', async () => {
    const rows = readTrace(madePath).length.toLocaleString('en-US');
    const org = randomUUID();
    const args = [madePath, '--org', org, '--shift-to', 'yesterday', '--url', url];
    const { code, stdout, stderr } = await command(args);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(new RegExp(`^rows read +${rows}$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^sent +${rows}$`, 'm'));
    expect(stdout).toMatch(/^skipped +0$/m);
    expect(stdout).toMatch(new RegExp(`^stored +${rows}$`, 'm'));
    expect(stdout).toMatch(/^duplicate +0$/m);
    expect(stdout).toMatch(/^rejected +0$/m);
  });

  test('names a row that it cannot read, sends the others, and fails', async () => {
    const path = join(folder, 'broken.csv');
    await copyFile(madePath, path);
    const lines = readTrace(madePath).length + 1;
    await appendFile(path, '2024-02-28T19:15:00Z,many,2,x\n"2024-02-28T19:15:01Z,1,2,x\n');
    const args = [path, '--org', randomUUID(), '--shift-to', 'yesterday', '--url', url];
    const { code, stdout, stderr } = await command(args);
    expect(code).toBe(1);
    expect(stderr).toContain(
      `line ${lines + 1} skipped: inputTokens: must be a whole number\n` +
        `line ${lines + 2} skipped: a quote is never closed\n`,
    );
    expect(stdout).toMatch(/^skipped +2 /m);
    expect(stdout).toMatch(new RegExp(`^stored +${(lines - 1).toLocaleString('en-US')}$`, 'm'));
  });

  test('says beforehand what the service will reject for its age', async () => {
    const { code, stdout, stderr } = await command([
      madePath,
      '--shift-to',
      '2020-01-01',
      '--url',
      url,
    ]);
    expect(stderr).toMatch(/^warning: events from 2020-01-01T18:17:03.979Z .*--shift-to yesterday/);
    expect(stdout).toMatch(/^rejected +1,\d{3}$/m);
    expect(code).toBe(1);
  });

  test('without an API says that it does not know what was stored', async () => {
    const nobody = 'http://127.0.0.1:9';
    const { code, stdout } = await command([madePath, '--shift-to', 'yesterday', '--url', nobody]);
    expect(stdout).toMatch(
      /^not known how many were stored: http:\/\/127.0.0.1:9\/metrics cannot/m,
    );
    expect(code).toBe(0);
    const http = await command([madePath, '--to', 'http', '--url', nobody]);
    expect(http).toMatchObject({ code: 1, stdout: '' });
    expect(http.stderr).toContain(`no API answers at ${nobody}/analytics/v1/events`);
  });

  test.each([
    [['nowhere.csv'], 'replay: FILE cannot be read: ENOENT'],
    [[madePath, '--speed', 'fast'], 'replay: --speed must be max or a number above 0\n'],
    [[], "replay: missing required argument 'file'\n"],
  ])('wrong usage is one line and exit code 2: %j', async (args, line) => {
    const { code, stderr } = await command(args);
    expect(code).toBe(2);
    expect(stderr.split('\n').filter(Boolean).length).toBe(1);
    expect(stderr).toContain(line);
  });
});

test('a 503 is tried again once Retry-After is over', async () => {
  // The real API behind something that is overloaded every second time.
  const times: number[] = [];
  const front = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method === 'POST' && times.push(Date.now()) % 2 === 1) {
      response.writeHead(503, { 'Retry-After': '1' }).end();
      return;
    }
    const init = { method: request.method ?? 'GET', headers: { ...actor, ...json } };
    const body = Buffer.concat(chunks);
    const answer = await fetch(
      `${url}${request.url}`,
      request.method === 'POST' ? { ...init, body } : {},
    );
    response.writeHead(answer.status).end(await answer.text());
  });
  const actor = { 'X-Actor-Subject': 'front', 'X-Actor-Roles': 'analytics:events:write,admin' };
  const json = { 'Content-Type': 'application/json' };
  await new Promise<void>((done) => front.listen(0, '127.0.0.1', done));
  try {
    const { port } = front.address() as AddressInfo;
    const org = randomUUID();
    const rows = readTrace(madePath).length;
    const args = [madePath, '--to', 'http', '--org', org, '--shift-to', 'yesterday'];
    const options = readReplayOptions(
      [...args, '--url', `http://127.0.0.1:${port}`],
      system.settings,
      Date.now(),
    );
    const report = await replay(options, system.settings);
    expect(report).toMatchObject({
      sent: rows,
      repeated: rows,
      counted: { counts: { stored: rows }, isComplete: true },
    });
    expect(times.length).toBe(Math.ceil(rows / 1_000) * 2);
    for (let tried = 1; tried < times.length; tried += 2) {
      expect((times[tried] ?? 0) - (times[tried - 1] ?? 0)).toBeGreaterThanOrEqual(990);
    }
  } finally {
    await new Promise((done) => front.close(done));
  }
});
