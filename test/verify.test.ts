import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { missingPartitions } from '../shared/data-quality/partitions.ts';
import { type EventStorage, eventStorage } from '../shared/events/event-storage.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import {
  dedupeFailureRatio,
  failuresOf,
  reconcile,
  warningsOf,
} from '../shared/rollups/reconcile.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { usageEvent } from './support/usage-events.ts';

const dayMs = 86_400_000;
const orgs = [
  '00000000-0000-4000-8000-00000000000a',
  '00000000-0000-4000-8000-00000000000b',
] as const;

const hourAgo = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 1_800_000;
const day = new Date(hourAgo).toISOString().slice(0, 10);

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
  // Of one hour, so that the hour and the day of an org have the same numbers.
  await store(
    orgs.flatMap((orgId) =>
      Array.from({ length: 100 }, () => usageEvent({ orgId, occurredAtMs: hourAgo })),
    ),
  );
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
  return database.transaction({ mode: 'snapshot' }, (snapshot) =>
    reconcile(snapshot, new Date(tomorrow - 3 * dayMs), new Date(tomorrow)),
  );
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
  const words = (orgId: string, rollup: number) =>
    `daily ${day} of org ${orgId} has success_count ${rollup} where raw events have 100`;
  expect(failuresOf(result)).toEqual([
    // -1 of 100 is more than +1 of 101.
    `2 buckets drift more than 0.5%: ${words(orgs[1], 99)}; ${words(orgs[0], 101)}`,
  ]);
  expect(result.drifts).toMatchObject([
    { orgId: orgs[1], grain: 'daily', raw: '100', rollup: '99', ratio: 0.01 },
    { orgId: orgs[0], grain: 'daily', raw: '100', rollup: '101' },
  ]);
  expect(result).toMatchObject({
    driftedBuckets: { hourly: 0, daily: 2 },
    driftedDays: [new Date(`${day}T00:00:00Z`)],
    maxRatio: { hourly: 0, daily: 0.01 },
  });
  expect(dedupeFailureRatio(result)).toBe(2 / 4);
});

test('what drifts no more than 0.5% passes, and is still told', async () => {
  await database.query(
    `update analytics.usage_hourly set input_tokens = input_tokens + 5 where org_id = $1`,
    [orgs[0]],
  );
  const result = await verify();
  expect(failuresOf(result)).toEqual([]);
  expect(result.maxRatio).toEqual({ hourly: 5 / 1005, daily: 0 });
});

test('a rollup that is missing, or of nothing, is drift', async () => {
  await database.query('delete from analytics.usage_hourly where org_id = $1', [orgs[0]]);
  expect((await verify()).drifts).toMatchObject([{ grain: 'hourly', orgId: orgs[0], ratio: 1 }]);
  await database.query(
    'update analytics.usage_daily set bucket_start = bucket_start - $1::interval',
    ['1 day'],
  );
  const result = await verify();
  expect(result.driftedBuckets).toEqual({ hourly: 1, daily: 4 });
  expect(result.driftedDays).toHaveLength(2);
});

test('of many drifting buckets all are counted, and the furthest are shown', async () => {
  const many = Array.from({ length: 120 }, (_, index) =>
    usageEvent({
      orgId: `00000000-0000-4000-8000-000000001${String(index).padStart(3, '0')}`,
      occurredAtMs: hourAgo,
    }),
  );
  await store(many);
  await foldAll(database);
  await database.query(
    `update analytics.usage_daily set output_tokens = output_tokens * 2 where org_id <> all($1)`,
    [orgs],
  );
  const result = await verify();
  expect(result.driftedBuckets).toEqual({ hourly: 0, daily: 120 });
  expect(result.drifts).toHaveLength(100);
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

test('conflicts that were turned away are a warning, and no failure', async () => {
  const event = usageEvent({ occurredAtMs: hourAgo });
  await store([event]);
  expect(warningsOf(await verify())).toEqual([]);
  await store([{ ...event, costEstimateCents: '99' }]);
  await store([event]);
  await foldAll(database);
  const result = await verify();
  expect(result).toMatchObject({ conflicts24h: 1, doubledEventIds: 0 });
  expect([dedupeFailureRatio(result), failuresOf(result)]).toEqual([0, []]);
  expect(warningsOf(result)).toEqual([
    expect.stringMatching(/^1 events of the last 24 hours came/),
  ]);
  await database.query(
    `update analytics.ingestion_batches set committed_at = committed_at - interval '25 hours'`,
  );
  expect((await verify()).conflicts24h).toBe(0);
});

test('a stream that was never complete lags since it is known', async () => {
  await database.query(
    `insert into analytics.stream_offsets (stream, head_offset, committed_offset, created_at)
     values ('never-probed', 1000, 5, clock_timestamp() - interval '10 minutes')`,
  );
  expect(failuresOf(await verify())).toEqual([expect.stringContaining('freshness lag is 60')]);
});

test('a day without a partition is found, today or tomorrow', async () => {
  const now = new Date();
  const retention = { rawRetentionDays: 400, compressAfterDays: 7 };
  await storage.upkeep(retention, now.getTime());
  expect(await missingPartitions(database, now)).toEqual([]);
  const tomorrow = new Date(now.getTime() + dayMs).toISOString().slice(0, 10);
  const name = `analytics.usage_events_${tomorrow.replaceAll('-', '')}`;
  await database.query(`alter table analytics.usage_events detach partition ${name}`);
  expect(await missingPartitions(database, now)).toEqual([tomorrow]);
  await database.query(`drop table ${name}`);
  storage.forgetDays();
  await storage.upkeep(retention, now.getTime());
  expect(await missingPartitions(database, now)).toEqual([]);
});
