import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type EventStorage, eventStorage } from '../shared/events/event-storage.ts';
import { ingest } from '../shared/events/ingest.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { fold, foldAll, recompute } from '../shared/rollups/rollup.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { Random } from './support/random.ts';
import { rollupDifferences } from './support/recount.ts';
import { until } from './support/until.ts';
import { randomEvent, usageEvent } from './support/usage-events.ts';

const dayMs = 86_400_000;
const retention = { rawRetentionDays: 30, compressAfterDays: 7 };

let server: TestDatabase;
let database: Database;
let storage: EventStorage;
let random: Random;

beforeEach(async () => {
  server = await createDatabase();
  database = openDatabase({ url: server.url, patienceMs: 5_000 });
  storage = eventStorage(database);
  random = new Random(5);
});
afterEach(async () => {
  await database.close();
  await server.drop();
});

async function store(events: readonly UsageEvent[]): Promise<void> {
  await storage.ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
  await ingest(database, { stream: 'test', events, rejected: 0, position: null });
}

const someEvents = (count: number) =>
  Array.from({ length: count }, () => randomEvent(random, Date.now(), 3 * dayMs));

async function storeBatches(batches: number): Promise<void> {
  for (let batch = 0; batch < batches; batch += 1) await store(someEvents(60));
}

/** Lets nobody write a table while `work` runs. */
async function whileLocked(table: string, work: () => Promise<void>): Promise<void> {
  await database.transaction({}, async (holder) => {
    await holder.query(`lock table ${table} in share mode`);
    await work();
  });
}

async function pendingCount(): Promise<number> {
  const [row] = await database.query<{ pending: number }>(
    `select count(*)::int as pending from analytics.ingestion_batches where folded_at is null`,
  );
  return row?.pending ?? 0;
}

describe('fold', () => {
  test('adds each stored row once, whatever comes late or twice', async () => {
    const events = someEvents(400);
    await store(events.slice(0, 200));
    await fold(database);
    await store(events.slice(100, 300));
    await store(events);
    await fold(database);
    await fold(database);
    expect(await rollupDifferences(database)).toEqual([]);
    expect(await pendingCount()).toBe(0);
    expect(
      await database.query(
        `select org_id, model_id, min(occurred_at), max(occurred_at) from analytics.usage_events
         group by 1, 2
         except select org_id, model_id, first_event_at, last_event_at
         from analytics.freshness_status`,
      ),
    ).toEqual([]);
  });

  test('of two folders one does the work and the other goes away', async () => {
    await storeBatches(5);
    let first: ReturnType<typeof fold> | undefined;
    await whileLocked('analytics.usage_hourly', async () => {
      first = fold(database);
      await until('the first waits for the rollups', async () => {
        const waiting = await database.query(
          `select from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return waiting.length > 0;
      });
      expect(await fold(database)).toBeNull();
    });
    expect(await first).toMatchObject({ batches: 5 });
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('leaves nothing behind when its session dies halfway', async () => {
    await storeBatches(3);
    await whileLocked('analytics.error_daily', async () => {
      const folding = fold(database).catch((error: unknown) => error);
      await until('it has written the hourly rollups and waits for the last', async () => {
        const ended = await database.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'
             and query like '%analytics.error_daily%'`,
        );
        return ended.length > 0;
      });
      expect(await folding).toMatchObject({ code: 'unavailable' });
    });
    expect(await database.query('select from analytics.usage_hourly')).toEqual([]);
    expect(await pendingCount()).toBe(3);
    await foldAll(database);
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('folders and ingesters at work together lose and double nothing', async () => {
    let isIngesting = true;
    const folder = async () => {
      while (isIngesting) if ((await fold(database)) === null) await sleep(1);
    };
    const folders = [folder(), folder()];
    await Promise.all([storeBatches(25), storeBatches(25), storeBatches(25)]);
    isIngesting = false;
    await Promise.all(folders);
    await foldAll(database);
    expect(await pendingCount()).toBe(0);
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('takes more batches than fit in one transaction', async () => {
    for (let batch = 0; batch < 201; batch += 1) await store([randomEvent(random, Date.now(), 1)]);
    expect(await fold(database)).toMatchObject({ batches: 200 });
    expect(await pendingCount()).toBe(1);
    await storeBatches(1);
    expect(await foldAll(database)).toMatchObject({ batches: 2 });
    expect(await rollupDifferences(database)).toEqual([]);
  });
});

describe('recompute', () => {
  const range = () => [new Date(Date.now() - 4 * dayMs), new Date(), 400] as const;

  test.each([
    ['a wrong sum', 'update analytics.usage_hourly set cost_estimate_cents = 0, error_count = 7'],
    ['a missing row', 'delete from analytics.usage_daily'],
    [
      'a row of nothing',
      `insert into analytics.error_hourly
       select org_id, bucket_start, model_id, client_id, 'invented', 3
       from analytics.usage_hourly limit 1`,
    ],
    ['a broken histogram', `update analytics.usage_daily set latency_histogram = '{513}'`],
  ])('repairs %s', async (_, damage) => {
    await store(someEvents(300));
    await fold(database);
    await database.query(damage);
    expect(await rollupDifferences(database)).not.toEqual([]);
    expect(await recompute(database, ...range())).toMatchObject({ days: 5 });
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('refuses days whose raw rows may be gone, and leaves their rollups alone', async () => {
    await store([usageEvent({ occurredAtMs: Date.now() - 20 * dayMs })]);
    await foldAll(database);
    const from = new Date(Date.now() - 21 * dayMs);
    await expect(recompute(database, from, new Date(), 10)).rejects.toThrow(/must not be before/);
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('refuses a day whose raw rows went by a shorter retention elsewhere', async () => {
    await store([usageEvent({ occurredAtMs: Date.now() - 20 * dayMs })]);
    await foldAll(database);
    const rollups = () => database.query('select * from analytics.usage_daily order by 1, 2');
    const before = await rollups();
    await database.query('truncate analytics.usage_events');
    const from = new Date(Date.now() - 21 * dayMs);
    await expect(recompute(database, from, new Date(), 400)).rejects.toThrow(/no longer kept/);
    expect(await rollups()).toEqual(before);
  });

  test('leaves batches not yet folded to their fold', async () => {
    await storeBatches(2);
    await fold(database);
    await storeBatches(3);
    await recompute(database, ...range());
    expect(await pendingCount()).toBe(3);
    await foldAll(database);
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('is right beside ingesters and folders', async () => {
    let isIngesting = true;
    const repeat = async (work: () => Promise<unknown>) => {
      let rounds = 0;
      for (; isIngesting || rounds === 0; rounds += 1) await work();
    };
    const others = [repeat(() => fold(database)), repeat(() => recompute(database, ...range()))];
    await Promise.all([storeBatches(20), storeBatches(20)]);
    isIngesting = false;
    await Promise.all(others);
    await foldAll(database);
    expect(await rollupDifferences(database)).toEqual([]);
  });
});

describe('retention', () => {
  // One moment for all, or a midnight between two readings would move a day's edge.
  const nowMs = Date.now();
  const dayName = (ms: number) =>
    `usage_events_${new Date(ms).toISOString().slice(0, 10).replaceAll('-', '')}`;
  const at = (daysAgo: number) => usageEvent({ occurredAtMs: nowMs - daysAgo * dayMs });
  const days = async () =>
    (
      await database.query<{ name: string }>(
        `select inhrelid::regclass::text as name from pg_inherits
         where inhparent = 'analytics.usage_events'::regclass order by 1`,
      )
    ).map(({ name }) => name.replace('analytics.', ''));

  test('drops whole days past it, a day late, and keeps the rest', async () => {
    const events = [29, 30, 31, 32, 40].map(at);
    await store(events);
    await foldAll(database);
    const { dropped } = await storage.upkeep(retention, nowMs);
    expect(dropped).toEqual([40, 32].map((daysAgo) => dayName(nowMs - daysAgo * dayMs)));
    expect(await days()).toEqual(
      [31, 30, 29, 0, -1, -2].map((daysAgo) => dayName(nowMs - daysAgo * dayMs)),
    );
    const [left] = await database.query('select count(*)::int as n from analytics.usage_events');
    expect(left).toEqual({ n: 3 });
  });

  test('never drops a day with events that are not in the rollups yet, nor a later one', async () => {
    await store([at(50)]);
    await foldAll(database);
    await store([at(45)]);
    await store([at(40)]);
    expect((await storage.upkeep(retention, nowMs)).dropped).toEqual([dayName(nowMs - 50 * dayMs)]);
    await foldAll(database);
    expect((await storage.upkeep(retention, nowMs)).dropped).toHaveLength(2);
    const [hours] = await database.query(
      `select sum(success_count)::int as events from analytics.usage_hourly`,
    );
    expect(hours).toEqual({ events: 3 });
  });

  test('finishes a removal that was interrupted', async () => {
    await store([40, 41].map(at));
    await foldAll(database);
    const [detached, pending] = [40, 41].map((daysAgo) => dayName(nowMs - daysAgo * dayMs));
    await database.query(
      `alter table analytics.usage_events detach partition analytics.${detached}`,
    );
    // A reader that stays makes the second step of a concurrent detach wait; then it is cancelled.
    await database.transaction({ mode: 'snapshot' }, async (reader) => {
      await reader.query('select count(*) from analytics.usage_events');
      const removal = database
        .query(
          `alter table analytics.usage_events detach partition analytics.${pending} concurrently`,
        )
        .catch(() => {});
      await until('the detach waits for the reader', async () => {
        const cancelled = await database.query(
          `select pg_cancel_backend(pid) from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'
             and query like 'alter table%concurrently%'`,
        );
        return cancelled.length > 0;
      });
      await removal;
    });
    expect((await storage.upkeep(retention, nowMs)).dropped).toEqual([pending, detached]);
    expect((await storage.upkeep(retention, nowMs)).dropped).toEqual([]);
  });

  test('makes the next days ahead, so that midnight waits for nobody', async () => {
    const { created } = await storage.upkeep(retention, nowMs);
    expect(created).toEqual([0, 1, 2].map((ahead) => dayName(nowMs + ahead * dayMs)));
  });
});
