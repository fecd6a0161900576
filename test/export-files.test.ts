import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { unguardedCell } from '../shared/exports/formula-guard.ts';
import type { ExportRequest } from '../shared/exports/job.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { type DownloadedExport, downloaded, exported } from './support/export-file.ts';
import { hostileNames } from './support/hostile-names.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { distinctEvents, usageEvent } from './support/usage-events.ts';
import { askUsage } from './support/window-answer.ts';
import { eventLists, questions } from './support/window-arbitraries.ts';
import { batchStore } from './support/window-property.ts';
import {
  exactPercentile,
  type PlainSums,
  plainAnswer,
  type Question,
  seriesKey,
  tenThousandths,
} from './support/window-recount.ts';

const nowMs = Date.now();
const dayMs = 86_400_000;
const todayMs = Math.floor(nowMs / dayMs) * dayMs;

let system: System;
let database: Database;
let store: (events: readonly UsageEvent[]) => Promise<void>;

beforeAll(async () => {
  system = await startSystem({ stream: false });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
  store = batchStore(database);
});
afterAll(async () => {
  await database.close();
  await system.close();
});

function requestOf(question: Question, more: Partial<ExportRequest> = {}): ExportRequest {
  return {
    orgId: question.orgId,
    format: 'csv',
    granularity: question.granularity,
    timezone: question.timeZone,
    models: question.modelIds.length === 0 ? null : question.modelIds,
    range: { startMs: question.startMs, endMs: question.endMs },
    ...more,
  };
}

/** Random events of one org, and a question about all its clients, model by model. */
function randomCases(count: number, seed: number): { events: UsageEvent[]; question: Question }[] {
  return fc
    .sample(
      fc.tuple(
        fc.array(eventLists(nowMs), { minLength: 4, maxLength: 4 }).map((lists) => lists.flat()),
        questions(nowMs),
      ),
      { numRuns: count, seed },
    )
    .map(([drawn, question], index) => {
      const list = distinctEvents(drawn);
      const orgId = randomUUID();
      const asked = { ...question, orgId, clientIds: [], groupBy: 'model,client' as const };
      const times = list.map(({ occurredAtMs }) => occurredAtMs);
      // Random windows hold few events: every other one holds all, from the first to the last.
      const all = { startMs: Math.min(...times), endMs: Math.max(...times) + 1, modelIds: [] };
      return {
        events: list.map((event) => ({ ...event, orgId })),
        question: index % 2 === 0 ? asked : { ...asked, ...all },
      };
    });
}

test('rows are the plain recount, and totals the usage API’s answer, to the last decimal', {
  timeout: 120_000,
}, async () => {
  let rows = 0;
  for (const { events, question } of randomCases(48, 11)) {
    await store(events.slice(0, events.length / 2));
    await foldAll(database);
    await store(events.slice(events.length / 2));
    const plain = plainAnswer(events, question);
    const file = await exported(system, database, requestOf(question));
    expect(sumsByKey(file)).toEqual(
      new Map([...plain.series].map(([key, sums]) => [key, asCells(sums)])),
    );
    for (const row of file.rows) expectPercentiles(row, plain.series.get(keyOf(row)));
    // The API answers hours of such zones for a week at most.
    const { totals } = await askUsage(system, { ...question, granularity: 'month' });
    expect(totalsOf(file)).toEqual(totals);
    rows += file.rows.length;
  }
  expect(rows).toBeGreaterThan(500);
});

function keyOf(row: Record<string, string>): string {
  return seriesKey(row.bucket_start ?? '', row.model_id, row.client_id || null);
}

function sumsByKey({ rows }: DownloadedExport): Map<string, object> {
  const sums = new Map(
    rows.map((row) => [
      keyOf(row),
      {
        invocations: Number(row.invocations),
        errors: Number(row.errors),
        inputTokens: BigInt(row.input_tokens ?? ''),
        outputTokens: BigInt(row.output_tokens ?? ''),
        tokens: BigInt(row.tokens_total ?? ''),
        cost: tenThousandths(row.cost_estimate_cents ?? ''),
        errorRate: row.error_rate,
      },
    ]),
  );
  expect(sums.size).toBe(rows.length);
  return sums;
}

function asCells({ invocations, errors, inputTokens, outputTokens, cost }: PlainSums) {
  const tokens = inputTokens + outputTokens;
  const errorRate = String(Number((errors / invocations).toFixed(6)));
  return { invocations, errors, inputTokens, outputTokens, tokens, cost, errorRate };
}

function expectPercentiles(row: Record<string, string>, plain: PlainSums | undefined): void {
  for (const percent of [50, 95, 99]) {
    const exact = exactPercentile(plain?.latenciesMs ?? [], percent) ?? Number.NaN;
    const found = Number(row[`latency_p${percent}_ms`]);
    expect(Math.abs(found - exact)).toBeLessThanOrEqual(0.02 * exact);
  }
}

function totalsOf({ job: { totals } }: DownloadedExport) {
  return {
    invocations: totals?.invocations,
    errors: totals?.errors,
    inputTokens: BigInt(totals?.inputTokens ?? ''),
    outputTokens: BigInt(totals?.outputTokens ?? ''),
    costEstimateCents: tenThousandths(totals?.costEstimateCents ?? ''),
  };
}

test('hours of a zone with a fractional offset may be exported over months', async () => {
  const orgId = randomUUID();
  const events = [40, 20, 1].map((days) =>
    usageEvent({ orgId, occurredAtMs: nowMs - days * dayMs }),
  );
  await store(events);
  const question: Question = {
    orgId,
    startMs: nowMs - 41 * dayMs,
    endMs: nowMs,
    granularity: 'hour',
    timeZone: 'Asia/Kolkata',
    groupBy: 'model,client',
    modelIds: [],
    clientIds: [],
  };
  const file = await exported(system, database, requestOf(question));
  const plain = plainAnswer(events, question);
  expect([...sumsByKey(file).keys()]).toEqual([...plain.series.keys()]);
});

test('raw events come oldest first with every stored column but metadata', async () => {
  const orgId = randomUUID();
  const events = [3, 1, 2].map((minutes) =>
    usageEvent({
      orgId,
      occurredAtMs: nowMs - minutes * 60_000,
      actorId: minutes === 1 ? null : randomUUID(),
      status: minutes === 2 ? 'timeout' : 'success',
      errorCode: minutes === 2 ? '=HYPERLINK("http://x")' : null,
      inputCostCents: minutes === 3 ? '0.1' : null,
      outputCostCents: minutes === 3 ? '0.0234' : null,
      metadata: { secret: 'not to be exported' },
    }),
  );
  await store(events);
  const request: ExportRequest = {
    orgId,
    format: 'events',
    granularity: 'day',
    timezone: 'UTC',
    models: null,
    range: { startMs: nowMs - dayMs, endMs: nowMs },
  };
  const file = await exported(system, database, request);
  const columns = await database.query<{ column_name: string }>(
    `select column_name from information_schema.columns
     where table_schema = 'analytics' and table_name = 'usage_events' and column_name <> 'metadata'`,
  );
  expect([...file.columns].sort()).toEqual(columns.map((row) => row.column_name).sort());
  expect(file.rows.map(({ batch_id: _, ...row }) => row)).toEqual(
    [...events]
      .sort((a, b) => a.occurredAtMs - b.occurredAtMs)
      .map((event) => ({
        occurred_at: new Date(event.occurredAtMs).toISOString(),
        event_id: event.eventId,
        org_id: orgId,
        model_id: event.modelId,
        actor_id: event.actorId ?? '',
        client_id: event.clientId,
        latency_ms: String(event.latencyMs),
        status: event.status,
        error_code: event.errorCode === null ? '' : `'${event.errorCode}`,
        input_tokens: String(event.inputTokens),
        output_tokens: String(event.outputTokens),
        cost_estimate_cents: event.costEstimateCents,
        input_cost_cents: event.inputCostCents ?? '',
        output_cost_cents: event.outputCostCents ?? '',
      })),
  );
  expect(file.text).not.toContain('secret');
});

test('hostile names are harmless cells and come back whole', async () => {
  const orgId = randomUUID();
  const modelId = randomUUID();
  await database.query('insert into analytics.orgs (org_id, name) values ($1, $2)', [
    orgId,
    '=1+1, "Inc"',
  ]);
  await database.query('insert into analytics.models (model_id, name) values ($1, $2)', [
    modelId,
    '@model',
  ]);
  await store(
    hostileNames.map((clientId) =>
      usageEvent({ orgId, modelId, clientId, occurredAtMs: nowMs - 60_000 }),
    ),
  );
  for (const format of ['csv', 'events', 'focus'] as const) {
    const { rows } = await exported(system, database, {
      orgId,
      format,
      granularity: 'day',
      timezone: 'UTC',
      models: null,
      range: { startMs: nowMs - dayMs, endMs: nowMs },
    });
    const cells = rows.map((row) => (format === 'focus' ? row.SubAccountId : row.client_id) ?? '');
    const parts = cells.flatMap((cell) => [cell, ...cell.split(/[;\t\r\n]/)]);
    expect(parts.filter((part) => /^[ "]*[=+\-@＝]/.test(part))).toEqual([]);
    expect(cells.filter((cell) => /^[\t\r\n]/.test(cell))).toEqual([]);
    expect(new Set(cells).size).toBe(hostileNames.length);
    expect(cells.map(unguardedCell).sort()).toEqual([...hostileNames].sort());
    if (format === 'csv') {
      expect(rows[0]).toMatchObject({ org_name: `'=1+1, "Inc"`, model_name: `'@model` });
    }
  }
});

test('an admin’s export has every org', async () => {
  const orgs = [randomUUID(), randomUUID()].sort();
  const occurredAtMs = todayMs - 30 * dayMs - 3_600_000 * 5;
  await store(orgs.map((orgId) => usageEvent({ orgId, occurredAtMs })));
  const { job, rows } = await exported(system, database, {
    orgId: null,
    format: 'csv',
    granularity: 'hour',
    timezone: 'UTC',
    models: null,
    range: { startMs: occurredAtMs, endMs: occurredAtMs + 1 },
  });
  expect(job.objectKey).toBe(`analytics/exports/all/${job.jobId}.csv`);
  expect(rows.map((row) => row.org_id)).toEqual(orgs);
});

test('all rows are of one moment: what is stored meanwhile is in the next export', async () => {
  const orgId = randomUUID();
  const occurredAtMs = nowMs - 60_000;
  await store([usageEvent({ orgId, occurredAtMs })]);
  const request: ExportRequest = {
    orgId,
    format: 'csv',
    granularity: 'day',
    timezone: 'UTC',
    models: null,
    range: { startMs: nowMs - dayMs, endMs: nowMs },
  };
  let isOpen: (() => void) | undefined;
  // Between the snapshot and the first row: the worker waits for a lock that we hold.
  await database.transaction({}, async (holder) => {
    await holder.query('lock table analytics.models in access exclusive mode');
    const running = exported(system, database, request);
    await expect
      .poll(async () => {
        const waiting = await holder.query(
          `select from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return waiting.length;
      })
      .toBe(1);
    await store([usageEvent({ orgId, occurredAtMs })]);
    await foldAll(database);
    isOpen = async () => {
      const { job, rows } = await running;
      expect(rows.map((row) => row.invocations)).toEqual(['1']);
      expect(job.totals?.invocations).toBe(1);
    };
  });
  await isOpen?.();
  const after = await exported(system, database, request);
  expect(after.rows.map((row) => row.invocations)).toEqual(['2']);
});

test('the manifest tells what the job and the file say', async () => {
  const orgId = randomUUID();
  await store([usageEvent({ orgId, costEstimateCents: '0.1000' })]);
  await database.query('update analytics.stream_offsets set complete_through = $1', [
    new Date(nowMs),
  ]);
  const { job, columns } = await exported(system, database, {
    orgId,
    format: 'csv',
    granularity: 'month',
    timezone: 'Europe/Berlin',
    models: null,
    range: { startMs: todayMs - dayMs, endMs: todayMs + dayMs },
  });
  const { body } = await system.get(`/analytics/v1/orgs/${orgId}/exports/${job.jobId}/manifest`);
  expect(body).toMatchObject({
    jobId: job.jobId,
    orgId,
    format: 'csv',
    granularity: 'monthly',
    timezone: 'Europe/Berlin',
    columns,
    rowCount: 1,
    bytes: job.bytes,
    checksum: { algorithm: 'SHA-256', value: job.checksum },
    totals: {
      invocations: 1,
      errors: 0,
      inputTokens: 10,
      outputTokens: 20,
      costEstimateCents: 0.1,
    },
    completeThrough: new Date(nowMs).toISOString(),
    csv: { formulas: expect.stringContaining("'") },
  });
  expect(job.completeThrough).toEqual(new Date(nowMs));
});

test('an object carries its org, its job and when it was made', async () => {
  const orgId = randomUUID();
  const { job } = await exported(system, database, {
    orgId,
    format: 'csv',
    granularity: 'day',
    timezone: 'UTC',
    models: null,
    range: { startMs: nowMs - dayMs, endMs: nowMs },
  });
  const path = `/analytics/v1/orgs/${orgId}/exports/${job.jobId}/download`;
  const response = await system.app.request(path, { headers: adminHeaders });
  const file = await fetch(response.headers.get('Location') ?? '');
  expect(file.headers.get('x-amz-meta-org-id')).toBe(orgId);
  expect(file.headers.get('x-amz-meta-job-id')).toBe(job.jobId);
  expect(Date.parse(file.headers.get('x-amz-meta-generated-at') ?? '')).toBeGreaterThan(nowMs);
  expect((await downloaded(system, job)).rows).toEqual([]);
});
