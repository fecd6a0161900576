import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { reliabilityQuery } from '../shared/queries/reliability-query.ts';
import { planWindow } from '../shared/queries/time-window.ts';
import { groupings } from '../shared/queries/usage-query.ts';
import {
  binOf,
  binSql,
  binValueMs,
  packedPercentiles,
  slotCount,
} from '../shared/rollups/histogram.ts';
import { pendingBatches } from '../shared/rollups/pending-batches.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { Random } from './support/random.ts';
import { type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';
import { askReliability } from './support/window-answer.ts';
import { batchStore } from './support/window-property.ts';
import type { Question } from './support/window-recount.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const latencyMaxMs = dayMs;
const months = 3;
/** The first hour of a UTC day that is a hundred days back: whole months follow it. */
const startMs = Math.floor(Date.now() / dayMs - 100) * dayMs;

/** Milliseconds, as the services that people run have them. */
const distributions: Record<string, (random: Random) => number> = {
  lognormal: (random) => 400 * Math.exp(0.8 * random.normal()),
  'bimodal (cache hits and misses)': (random) =>
    random.unit() < 0.7 ? 8 + 3 * random.unit() : 2_500 + 400 * random.normal(),
  constant: () => 777,
  'heavy tail up to 24 h': (random) => 20 * (1 - random.unit()) ** -1.8,
  'a few milliseconds': (random) => 6 * random.unit(),
  'half exactly here, half exactly there': (random) => (random.unit() < 0.5 ? 10 : 86_400_000),
};
const names = Object.keys(distributions);
const modelOf = (name: string) =>
  `00000000-0000-4000-8000-0000000000${(16 + names.indexOf(name)).toString(16)}`;

const orgId = randomUUID();
let system: System;
let database: Database;

/** Half of each distribution in the first hour, half spread over the months after it. */
function events(perDistribution: number): UsageEvent[] {
  const random = new Random(23);
  return names.flatMap((name) =>
    Array.from({ length: perDistribution }, (_, index) =>
      usageEvent({
        eventId: random.uuid(),
        orgId,
        modelId: modelOf(name),
        occurredAtMs: startMs + random.below(index % 2 === 0 ? hourMs : months * 30 * dayMs),
        latencyMs: Math.round(
          Math.min(Math.max(distributions[name]?.(random) ?? 0, 0), latencyMaxMs),
        ),
      }),
    ),
  );
}

beforeAll(async () => {
  system = await startSystem({ stream: false });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
  const store = batchStore(database);
  const all = events(10_000);
  for (let start = 0; start < all.length; start += 10_000) {
    await store(all.slice(start, start + 10_000));
    // Most of it in the rollups, in several folds, so that histograms are merged; the end pending.
    if (start < all.length / 2) await foldAll(database);
  }
});
afterAll(async () => {
  await database.close();
  await system.close();
});

const windows: [string, number, number][] = [
  ['one hour', startMs, startMs + hourMs],
  ['part of an hour, from raw rows', startMs + 60_001, startMs + hourMs - 59_999],
  ['three merged months', startMs, startMs + months * 30 * dayMs],
  ['months between odd edges', startMs + 1_234_567, startMs + 80 * dayMs + 7_654_321],
];

/** What PostgreSQL itself says of the raw rows. */
async function exact(name: string | null, fromMs: number, toMs: number): Promise<number[]> {
  const [row] = await database.query<{ values: number[] }>(
    `select percentile_disc(array[0.5, 0.95, 0.99]) within group (order by latency_ms) as values
     from analytics.usage_events
     where org_id = $1 and ($2::uuid is null or model_id = $2)
       and occurred_at >= $3 and occurred_at < $4`,
    [orgId, name === null ? null : modelOf(name), new Date(fromMs), new Date(toMs)],
  );
  if (row === undefined) throw new Error('no percentiles');
  return row.values;
}

function question(name: string | null, fromMs: number, toMs: number): Question {
  return {
    orgId,
    startMs: fromMs,
    endMs: toMs,
    granularity: 'month',
    timeZone: 'UTC',
    groupBy: 'none',
    modelIds: name === null ? [] : [modelOf(name)],
    clientIds: [],
  };
}

async function expectWithin2Percent(name: string | null, fromMs: number, toMs: number) {
  const { totals } = await askReliability(system, question(name, fromMs, toMs));
  const values = await exact(name, fromMs, toMs);
  const { p50, p95, p99 } = totals.latencyMs;
  for (const [index, answered] of [p50, p95, p99].entries()) {
    const value = values[index] ?? Number.NaN;
    expect(Math.abs((answered ?? Number.NaN) - value)).toBeLessThanOrEqual(0.02 * value);
  }
}

describe.each(windows)(
  'over %s, p50, p95 and p99 are within 2 percent of the exact values',
  (_, from, to) => {
    test.each(names)('%s', async (name) => {
      await expectWithin2Percent(name, from, to);
    });

    test('all of them together', async () => {
      await expectWithin2Percent(null, from, to);
    });
  },
);

test.each(['usage_hourly', 'usage_daily'])(
  'merged from %s, they are within 2 percent',
  async (table) => {
    await foldAll(database);
    const toMs = startMs + months * 30 * dayMs;
    for (const name of names) {
      const bins = await database.query<{ bin: number; events: number }>(
        `select ((packed & 511) - 1)::int as bin, sum(packed >> 9)::float8 as events
       from analytics.${table}, unnest(latency_histogram) as packed
       where org_id = $1 and model_id = $2 group by 1 order by 1`,
        [orgId, modelOf(name)],
      );
      const total = bins.reduce((sum, { events: count }) => sum + count, 0);
      expect(total).toBe(10_000);
      const values = await exact(name, startMs, toMs);
      for (const [index, percent] of [50, 95, 99].entries()) {
        let upto = 0;
        const found = bins.find(({ events: count }) => {
          upto += count;
          return upto * 100 >= percent * total;
        });
        const value = values[index] ?? Number.NaN;
        const estimate = binValueMs(found?.bin ?? Number.NaN);
        expect(Math.abs(estimate - value)).toBeLessThanOrEqual(0.02 * value);
      }
    }
  },
);

test.each(groupings)(
  'grouped by %s, histograms merge to the same read at once or some at a time',
  async (grouping) => {
    const endMs = startMs + months * 30 * dayMs;
    // Part of it from raw rows, whose histograms have one bin each.
    const plan = planWindow({
      startMs: startMs + 90_001,
      endMs,
      granularity: 'day',
      timeZone: 'Asia/Kathmandu',
    });
    const filter = { orgId, modelIds: [], clientIds: [] };
    const [atOnce, inParts] = await database.transaction({ mode: 'snapshot' }, async (snapshot) => {
      const pending = await pendingBatches(snapshot);
      const ask = (binsAtOnceMax?: number) =>
        reliabilityQuery(snapshot, plan, pending, filter, grouping, binsAtOnceMax);
      return [await ask(), await ask(0)];
    });
    expect(atOnce.totals.invocations).toBeGreaterThan(50_000);
    expect(atOnce).toEqual(inParts);
  },
);

test('every bin from 0 to 24 h, as the database fills it, is within 2% of all that it holds', async () => {
  // All small values, and 200,000 over the whole range.
  const bins = await database.query<{ bin: number; low: number; high: number }>(
    `select ${binSql('ms')} as bin, min(ms) as low, max(ms) as high
     from (
       select generate_series(0, 20000) as ms
       union all select generate_series(20000, $1::integer, 432)
       union all select $1
     ) as latencies
     group by 1`,
    [latencyMaxMs],
  );
  expect(bins).toHaveLength(402);
  for (const { bin, low, high } of bins) {
    for (const ms of [low, high]) {
      expect(Math.abs(binValueMs(bin) - ms)).toBeLessThanOrEqual(0.02 * ms);
      expect(binOf(ms)).toBe(bin);
    }
  }
});

test('the database answers every bin as the API does', async () => {
  const bins = Array.from({ length: slotCount }, (_, slot) => slot - 1);
  const rows = await database.query<{ alone: string; percentile: string }>(
    `select analytics.latency_bin_ms(bin)::text as alone,
            analytics.latency_percentile(array[512 + bin + 1], 0.5)::text as percentile
     from unnest($1::int[]) with ordinality as bins (bin, place)
     order by place`,
    [bins],
  );
  const values = bins.map((bin) => String(binValueMs(bin)));
  expect(rows).toEqual(values.map((value) => ({ alone: value, percentile: value })));
  expect(packedPercentiles('512')).toEqual(['0', '0', '0']);
});

test('a service whose every answer takes the same time is told so, within 2% below 150 ms too', async () => {
  const alike = randomUUID();
  const latencies = Array.from({ length: 150 }, (_, ms) => ms);
  await batchStore(database)(
    latencies.map((ms) =>
      usageEvent({
        orgId: alike,
        clientId: `${ms} ms`,
        occurredAtMs: startMs + 1_000,
        latencyMs: ms,
      }),
    ),
  );
  const { series } = await askReliability(system, {
    ...question(null, startMs, startMs + hourMs),
    orgId: alike,
    groupBy: 'client',
  });
  expect(series).toHaveLength(latencies.length);
  for (const { clientId, latencyMs } of series) {
    const exactMs = Number.parseInt(clientId ?? '', 10);
    for (const found of Object.values(latencyMs)) {
      expect(Math.abs((found ?? Number.NaN) - exactMs), clientId ?? '').toBeLessThanOrEqual(
        0.02 * exactMs,
      );
    }
  }
});
