import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Database, openDatabase } from '../shared/db.ts';
import { type EventStorage, eventStorage } from '../shared/event-storage.ts';
import { pipelineMetrics } from '../shared/pipeline-metrics.ts';
import { failuresOf, reconcile } from '../shared/reconcile.ts';
import { foldAll } from '../shared/rollup.ts';
import { storeBatch } from '../shared/store-batch.ts';
import type { UsageEvent } from '../shared/usage-event.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { usageEvent } from './support/usage-events.ts';

const dayMs = 86_400_000;
const orgs = [
  '00000000-0000-4000-8000-00000000000a',
  '00000000-0000-4000-8000-00000000000b',
] as const;

let server: TestDatabase;
let database: Database;
let storage: EventStorage;

beforeAll(async () => {
  server = await createDatabase();
  database = openDatabase({ url: server.url });
  storage = eventStorage(database);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});
beforeEach(async () => {
  await database.query(
    `truncate analytics.usage_events, analytics.ingestion_batches, analytics.stream_offsets,
              analytics.usage_hourly, analytics.usage_daily`,
  );
  await store(orgs.flatMap((orgId) => Array.from({ length: 100 }, () => usageEvent({ orgId }))));
  await foldAll(database);
  await database.query(
    `update analytics.stream_offsets set complete_through = clock_timestamp() where true`,
  );
});

async function store(events: readonly UsageEvent[]) {
  return storeBatch(database, storage, { stream: 'test', events, rejected: 0, position: null });
}

async function verify() {
  const tomorrow = (Math.floor(Date.now() / dayMs) + 1) * dayMs;
  return reconcile(database, new Date(tomorrow - 3 * dayMs), new Date(tomorrow));
}

test('numbers that agree pass, batches not yet folded included', async () => {
  await store([usageEvent()]);
  const result = await verify();
  expect(result.buckets.hourly).toBeGreaterThanOrEqual(2);
  expect(failuresOf(result)).toEqual([]);
});

test('errors of opposite sign in two orgs both show, with org, bucket and both numbers', async () => {
  for (const [index, orgId] of orgs.entries()) {
    await database.query(
      `update analytics.usage_daily set success_count = success_count + $1 where org_id = $2`,
      [index === 0 ? 1 : -1, orgId],
    );
  }
  const result = await verify();
  expect(failuresOf(result)).toEqual(['2 buckets drift more than 0.5%']);
  expect(result.drifts).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ orgId: orgs[0], grain: 'daily', raw: '100', rollup: '101' }),
      expect.objectContaining({ orgId: orgs[1], grain: 'daily', raw: '100', rollup: '99' }),
    ]),
  );
});

test('a rollup that is missing, or of nothing, is drift', async () => {
  await database.query('delete from analytics.usage_hourly where org_id = $1', [orgs[0]]);
  expect((await verify()).drifts).toMatchObject([{ grain: 'hourly', orgId: orgs[0], ratio: 1 }]);
});

test('one event id under two identities fails above 1% of the events', async () => {
  const events = Array.from({ length: 4 }, () => usageEvent());
  const again = events.map((event) => ({ ...event, occurredAtMs: event.occurredAtMs - 1 }));
  await store([...events, ...again]);
  await foldAll(database);
  const result = await verify();
  expect(result.doubledEventIds).toBe(4);
  expect(failuresOf(result)).toEqual([expect.stringContaining('two identities')]);
});

test('a stream that was never complete lags since it is known, here and in the metrics', async () => {
  await database.query(
    `insert into analytics.stream_offsets (stream, head_offset, committed_offset, created_at)
     values ('never-probed', 1000, 5, clock_timestamp() - interval '10 minutes')`,
  );
  expect(failuresOf(await verify())).toEqual([expect.stringContaining('freshness lag is 60')]);
  const metrics = await pipelineMetrics(database);
  expect(metrics).toMatch(/analytics_ingestion_lag_seconds\{stream="never-probed"\} 60\d/);
  expect(metrics).toMatch(/analytics_freshness_lag_seconds_max 60\d/);
  expect(metrics).toContain('analytics_ingestion_lag_messages{stream="never-probed"} 995');
});
