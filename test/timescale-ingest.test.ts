import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EventStorage, eventStorage } from '../shared/events/event-storage.ts';
import { type IngestResult, ingest } from '../shared/events/ingest.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { migrate } from '../shared/preparation/migrate.ts';
import { reliabilityQuery } from '../shared/queries/reliability-query.ts';
import { planWindow, type WindowPlan } from '../shared/queries/time-window.ts';
import { usageQuery } from '../shared/queries/usage-query.ts';
import { binOf, binValueMs } from '../shared/rollups/histogram.ts';
import { pendingBatches } from '../shared/rollups/pending-batches.ts';
import { fold, foldAll, recompute } from '../shared/rollups/rollup.ts';
import { Random } from './support/random.ts';
import { rollupDifferences, storageDifferences } from './support/recount.ts';
import type { Timescale } from './support/timescale.ts';
import { timescaleServers } from './support/timescale-servers.ts';
import { distinctEvents, randomEvent, usageEvent } from './support/usage-events.ts';

const dayMs = 86_400_000;
const nowMs = Date.now();
const today = Math.floor(nowMs / dayMs) * dayMs;
const days = 12;
const retention = { rawRetentionDays: 400, compressAfterDays: 7 };
const orgId = '00000000-0000-4000-8000-000000000001';

const kinds = { timescale: 'timescale-community', apache: 'timescale-apache' } as const;

describe.each(timescaleServers)('%s', (_, license, start) => {
  const kind = kinds[license];
  const random = new Random(license.length);
  const sent: UsageEvent[] = [];
  let server: Timescale;
  let database: Database;
  let storage: EventStorage;

  beforeAll(async () => {
    server = await start();
    await migrate(server.url);
    // One engine behind all connections: what waits for a turn is not what is tested here.
    database = openDatabase({ url: server.url, connectionsMax: 1, patienceMs: 30_000 });
    storage = eventStorage(database);
  });
  afterAll(async () => {
    await database?.close();
    await server?.stop();
  });

  async function store(events: readonly UsageEvent[]): Promise<IngestResult> {
    sent.push(...events);
    await storage.ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
    return ingest(database, { stream: 'http', events, rejected: 0, position: null });
  }

  /** Storage, rollups and both queries against what was sent. */
  async function expectExact(): Promise<void> {
    const expected = distinctEvents(sent);
    expect(await storageDifferences(database, expected)).toEqual({ missing: [], surplus: [] });
    await expectAnswers(database, expected);
    await foldAll(database);
    expect(await rollupDifferences(database)).toEqual([]);
    await expectAnswers(database, expected);
  }

  const chunks = () =>
    database.query<{ day: string; compressed: boolean }>(
      `select to_char(range_start, 'YYYY-MM-DD') as day, is_compressed as compressed
       from timescaledb_information.chunks
       where hypertable_schema = 'analytics' and hypertable_name = 'usage_events'
       order by 1`,
    );
  const dayText = (ms: number) => new Date(ms).toISOString().slice(0, 10);

  test('the server says what it is, and no day has to be made for it', async () => {
    expect(await storage.kind()).toBe(kind);
    expect(await storage.ensureDays([nowMs, nowMs - 300 * dayMs])).toEqual([]);
  });

  test('events are stored once, duplicates absorbed and counted', async () => {
    const events = Array.from({ length: 1_500 }, () => randomEvent(random, nowMs, days * dayMs));
    expect(await store(events)).toMatchObject({ stored: 1_500, duplicates: 0 });
    const again = random.shuffled(events).slice(0, 400);
    const more = Array.from({ length: 300 }, () => randomEvent(random, nowMs, days * dayMs));
    const changed = events
      .slice(0, 5)
      .map((event) => ({ ...event, latencyMs: event.latencyMs + 1 }));
    const mixed = await store([...again, ...more, ...more.slice(0, 50), ...changed]);
    expect(mixed).toMatchObject({ stored: 300, duplicates: 455, conflicts: 5 });
  });

  test('usage, reliability and rollups equal a recount, folded and not', expectExact);

  if (license === 'apache') {
    test('nothing is compressed', async () => {
      expect(await storage.upkeep(retention, nowMs)).toEqual({
        created: [],
        compressed: [],
        dropped: [],
      });
      expect((await chunks()).filter(({ compressed }) => compressed)).toEqual([]);
    });
  } else {
    test('chunks of old days are compressed, a few at a time; newer ones are not', async () => {
      const old = (await chunks()).filter(({ day }) => day < dayText(today - 7 * dayMs));
      const compressed: number[] = [];
      for (let run = 0; run <= old.length; run += 1) {
        const report = await storage.upkeep(retention, nowMs);
        expect(report).toMatchObject({ created: [], dropped: [] });
        compressed.push(report.compressed.length);
      }
      expect(Math.max(...compressed)).toBe(2);
      expect(compressed.reduce((a, b) => a + b)).toBe(old.length);
      expect(old.length).toBeGreaterThan(2);
      for (const { day, compressed: is } of await chunks()) {
        expect({ day, is }).toEqual({ day, is: day < dayText(today - 7 * dayMs) });
      }
    });

    test('late events and duplicates into compressed chunks stay exact', async () => {
      const isOld = ({ occurredAtMs }: UsageEvent) => occurredAtMs < today - 8 * dayMs;
      const duplicates = distinctEvents(sent).filter(isOld).slice(0, 200);
      expect(duplicates.length).toBeGreaterThan(100);
      const late = Array.from({ length: 200 }, () =>
        randomEvent(random, today - 8 * dayMs, 3 * dayMs),
      );
      expect(await store([...duplicates, ...late])).toMatchObject({
        stored: 200,
        duplicates: duplicates.length,
        conflicts: 0,
      });
      expect(await store(random.shuffled([...late, ...duplicates]))).toMatchObject({ stored: 0 });
      await expectExact();
    });

    test('further upkeep leaves chunks with late events exact', async () => {
      for (let run = 0; run < days; run += 1) await storage.upkeep(retention, nowMs);
      await expectExact();
    });

    test('rollups are recomputed over compressed chunks', async () => {
      await database.query(
        `update analytics.usage_hourly set success_count = success_count + 7;
         delete from analytics.usage_daily; delete from analytics.error_hourly`,
      );
      expect(await rollupDifferences(database)).not.toEqual([]);
      const report = await recompute(
        database,
        new Date(today - days * dayMs),
        new Date(nowMs),
        400,
      );
      expect(report.days).toBe(days + 1);
      expect(await rollupDifferences(database)).toEqual([]);
      await expectAnswers(database, distinctEvents(sent));
    });
  }

  test('days past retention are dropped, but not while they hold what is not folded', async () => {
    await store([usageEvent({ orgId, occurredAtMs: today - 10 * dayMs + 5 })]);
    const short = { rawRetentionDays: 5, compressAfterDays: 7 };
    const held = await storage.upkeep(short, nowMs);
    expect((await chunks())[0]?.day).toBe(dayText(today - 10 * dayMs));
    await fold(database);
    const freed = await storage.upkeep(short, nowMs);
    expect(held.dropped.length).toBeGreaterThan(0);
    expect(freed.dropped.length).toBeGreaterThan(0);
    // A day of margin: an event may be valid when it is read and stored moments later.
    expect((await chunks())[0]?.day).toBe(dayText(today - 6 * dayMs));
    const kept = distinctEvents(sent).filter((event) => event.occurredAtMs >= today - 6 * dayMs);
    expect(await storageDifferences(database, kept)).toEqual({ missing: [], surplus: [] });
    expect(await storage.upkeep(short, nowMs)).toMatchObject({ dropped: [] });
  });
});

/** Both queries for windows with odd and even edges, against the events themselves. */
async function expectAnswers(database: Database, events: readonly UsageEvent[]): Promise<void> {
  const windows = [
    {
      startMs: today - (days + 1) * dayMs,
      endMs: today + dayMs,
      granularity: 'day',
      timeZone: 'UTC',
    },
    {
      startMs: today - 9 * dayMs + 12_345,
      endMs: today - dayMs - 54_321,
      granularity: 'day',
      timeZone: 'Asia/Kathmandu',
    },
    {
      startMs: today - 9.5 * dayMs,
      endMs: nowMs,
      granularity: 'hour',
      timeZone: 'America/New_York',
    },
  ] as const;
  for (const window of windows) {
    const plan = planWindow(window);
    const mine = events.filter(
      (event) =>
        event.orgId === orgId &&
        event.occurredAtMs >= window.startMs &&
        event.occurredAtMs < window.endMs,
    );
    expect(mine.length).toBeGreaterThan(100);
    const filter = { orgId, modelIds: [], clientIds: [] };
    const { usage, reliability } = await database.transaction(
      { mode: 'snapshot', tenant: orgId },
      async (snapshot) => {
        const pending = await pendingBatches(snapshot);
        return {
          usage: await usageQuery(snapshot, plan, pending, filter, 'model,client'),
          reliability: await reliabilityQuery(snapshot, plan, pending, filter, 'none'),
        };
      },
    );
    expect(usage.totals).toEqual(sumsOf(mine));
    const groups = groupBy(
      mine,
      (event) => `${bucketOf(plan, event)}/${event.modelId}/${event.clientId}`,
    );
    expect(usage.series.length).toBe(groups.size);
    for (const { bucketStart, modelId, clientId, ...sums } of usage.series) {
      const group = groups.get(`${Date.parse(bucketStart)}/${modelId}/${clientId ?? ''}`) ?? [];
      expect(sums).toEqual(sumsOf(group));
    }
    expect(reliability.totals).toMatchObject(reliabilityOf(mine));
    const buckets = groupBy(mine, (event) => bucketOf(plan, event));
    expect(reliability.series.length).toBe(buckets.size);
    for (const { bucketStart, ...sums } of reliability.series) {
      expect(sums).toMatchObject(reliabilityOf(buckets.get(Date.parse(bucketStart)) ?? []));
    }
  }
}

/** Map.groupBy, which Node 20 does not have. */
function groupBy<Key>(
  events: readonly UsageEvent[],
  keyOf: (event: UsageEvent) => Key,
): Map<Key, UsageEvent[]> {
  const groups = new Map<Key, UsageEvent[]>();
  for (const event of events) {
    const key = keyOf(event);
    groups.set(key, [...(groups.get(key) ?? []), event]);
  }
  return groups;
}

function bucketOf(plan: WindowPlan, { occurredAtMs }: UsageEvent): number | undefined {
  return plan.bucketStarts.findLast((startMs) => startMs <= occurredAtMs);
}

/** Decimals begin with NUL, as `decimal-json` marks them. */
function sumsOf(events: readonly UsageEvent[]) {
  const total = (value: (event: UsageEvent) => number) =>
    events.reduce((sum, event) => sum + value(event), 0);
  const cost = total((event) => Math.round(Number(event.costEstimateCents) * 1e4)) / 1e4;
  return {
    invocations: events.length,
    errors: total((event) => (event.status === 'success' ? 0 : 1)),
    inputTokens: `\u0000${total((event) => event.inputTokens)}`,
    outputTokens: `\u0000${total((event) => event.outputTokens)}`,
    costEstimateCents: `\u0000${cost}`,
  };
}

function reliabilityOf(events: readonly UsageEvent[]) {
  const count = (status: string) => events.filter((event) => event.status === status).length;
  const latencies = events.map((event) => event.latencyMs).sort((a, b) => a - b);
  const percentile = (share: number) =>
    binValueMs(binOf(latencies[Math.ceil(share * latencies.length) - 1] ?? 0));
  return {
    invocations: events.length,
    statusCounts: {
      success: count('success'),
      error: count('error'),
      timeout: count('timeout'),
      throttled: count('throttled'),
    },
    latencyMs: { p50: percentile(0.5), p95: percentile(0.95), p99: percentile(0.99) },
  };
}
