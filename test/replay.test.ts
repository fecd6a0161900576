import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
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
    // `foldLock` of shared/rollups/rollup.ts. Were it another, nothing would be pending below.
    await client.query('select pg_advisory_xact_lock(7102004002)');
    await work();
    expect(await pendingBatches()).toBeGreaterThan(0);
  } finally {
    // A connection that merely ends gives its locks back when the server gets round to it.
    await client.query('rollback');
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
  // A refresh leaves the folding to the consumer when that is at it.
  await expect
    .poll(async () => {
      await system.refresh();
      return pendingBatches();
    })
    .toBe(0);
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
