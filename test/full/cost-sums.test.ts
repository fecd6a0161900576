import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { foldAll } from '../../shared/rollups/rollup.ts';
import { Random } from '../support/random.ts';
import { type System, startSystem } from '../support/system.ts';
import { usageEvent } from '../support/usage-events.ts';
import { askUsage } from '../support/window-answer.ts';
import { batchStore } from '../support/window-property.ts';
import { localBucket, type Question, seriesKey } from '../support/window-recount.ts';

const dayMs = 86_400_000;
const eventsTotal = 1_000_000;
const batchSize = 20_000;
const days = 40;
const startMs = Math.floor(Date.now() / dayMs - days - 1) * dayMs;
const orgId = randomUUID();
const models = [1, 2, 3].map((number) => `00000000-0000-4000-8000-0000000000d${number}`);

let system: System;
let database: Database;

beforeAll(async () => {
  system = await startSystem({ stream: false });
  database = openDatabase({
    url: system.environment.DATABASE_URL ?? '',
    patienceMs: 5_000,
    statementTimeoutMs: 120_000,
  });
});
afterAll(async () => {
  await database.close();
  await system.close();
});

/** A cost as decimal text, and as a whole number of ten-thousandths. */
function randomCost(random: Random): { text: string; units: bigint } {
  const units = random.pick([
    () => 1n,
    () => 999_999_999_999_999_999n,
    () => 3_333n,
    () => BigInt(random.below(10_000)),
    () => BigInt(random.below(2 ** 31)) * 1_000_003n,
  ])();
  const digits = units.toString().padStart(5, '0');
  return { text: `${digits.slice(0, -4)}.${digits.slice(-4)}`, units };
}

/** The sums that the API must give, by series key, kept in whole numbers. */
class Sums {
  total = 0n;
  readonly series = new Map<string, bigint>();

  add(units: bigint, key: string): void {
    this.total += units;
    this.series.set(key, (this.series.get(key) ?? 0n) + units);
  }
}

test('the costs of a million events add up to the last decimal', async () => {
  const random = new Random(41);
  const store = batchStore(database);
  const sums = new Sums();
  for (let start = 0; start < eventsTotal; start += batchSize) {
    const batch = Array.from({ length: batchSize }, () => {
      const { text, units } = randomCost(random);
      const occurredAtMs = startMs + random.below(days * dayMs);
      const modelId = random.pick(models);
      const day = localBucket(Math.floor(occurredAtMs / dayMs) * dayMs, {
        granularity: 'day',
        timeZone: 'UTC',
      });
      sums.add(units, seriesKey(day, modelId, undefined));
      return usageEvent({
        eventId: randomUUID(),
        orgId,
        modelId,
        occurredAtMs,
        costEstimateCents: text,
      });
    });
    await store(batch);
    // Half of it folded step by step, half at once later.
    if (start < eventsTotal / 2) await foldAll(database);
  }
  const question: Question = {
    orgId,
    startMs,
    endMs: startMs + days * dayMs,
    granularity: 'day',
    timeZone: 'UTC',
    groupBy: 'model',
    modelIds: [],
    clientIds: [],
  };
  const expectSums = async () => {
    const { totals, series } = await askUsage(system, question);
    expect(totals).toMatchObject({ invocations: eventsTotal, costEstimateCents: sums.total });
    const costs = series.map(
      ({ bucketStart, modelId, costEstimateCents }) =>
        [seriesKey(bucketStart, modelId, undefined), costEstimateCents] as const,
    );
    expect(new Map(costs)).toEqual(sums.series);
  };
  // Some 2 * 10^23 ten-thousandths: seven digits more than a float could tell apart.
  expect(sums.total).toBeGreaterThan(10n ** 23n);
  await expectSums();
  await foldAll(database);
  await expectSums();
});
