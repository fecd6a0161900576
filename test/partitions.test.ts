import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeEvent, type UsageEvent } from '../shared/events/usage-event.ts';
import { partitionOf } from '../shared/partitions/routing.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { readSettings, type Settings, streamPartitions } from '../shared/platform/env.ts';
import { type ConsumerChild, spawnConsumer } from './support/consumer-child.ts';
import { Random } from './support/random.ts';
import { storageDifferences } from './support/recount.ts';
import { declare, publishTraffic } from './support/stream-traffic.ts';
import { deleteQueues, type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';
import { randomEvent } from './support/usage-events.ts';

const random = new Random(29);

let system: System;
let database: Database;
let url: string;
let children: ConsumerChild[];
let published: UsageEvent[];

beforeEach(async () => {
  system = await startSystem({ consume: false });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '' });
  url = system.settings.RABBITMQ_URL ?? '';
  children = [];
  published = [];
});
afterEach(async () => {
  for (const child of children) child.signal('SIGKILL');
  await Promise.all(children.map(({ ended }) => ended));
  await database.close();
  for (const count of [2, 4]) await deleteQueues(url, settingsOf(count));
  await system.close();
});

const environmentOf = (partitions: number) => ({
  ...system.environment,
  LOG_LEVEL: 'warn',
  RABBITMQ_STREAM_PARTITIONS: String(partitions),
});
const settingsOf = (partitions: number): Settings => readSettings(environmentOf(partitions));

function spawn(partitions: number, leaseMs?: number): ConsumerChild {
  const options = leaseMs === undefined ? {} : { leaseMs };
  const child = spawnConsumer(environmentOf(partitions), options);
  children.push(child);
  return child;
}

/** As a producer does that knows of so many partitions. */
async function publish(partitions: number, count: number): Promise<void> {
  const settings = settingsOf(partitions);
  await declare(url, settings);
  const streams = streamPartitions(settings);
  const byStream = new Map<string, UsageEvent[]>();
  for (let index = 0; index < count; index += 1) {
    const event = randomEvent(random, Date.now(), 3_600_000);
    published.push(event);
    const stream = partitionOf(event.orgId, streams);
    byStream.set(stream, [...(byStream.get(stream) ?? []), event]);
  }
  for (const [stream, events] of byStream) {
    const messages = events.map((event) => ({ content: encodeEvent(event), event }));
    await publishTraffic(url, stream, messages);
  }
}

async function storedCount(): Promise<number> {
  const [row] = await database.query<{ stored: number }>(
    'select coalesce(sum(events_stored), 0)::float8 as stored from analytics.stream_offsets',
  );
  return row?.stored ?? 0;
}

async function allStored(): Promise<void> {
  await until('everything is stored', async () => (await storedCount()) === published.length, {
    timeoutMs: 40_000,
  });
  expect(await storageDifferences(database, published)).toEqual({ missing: [], surplus: [] });
}

/** Streams that a consumer holds. */
async function heldBy(child: ConsumerChild): Promise<number> {
  const rows = await database.query(
    `select from analytics.stream_offsets
     where strpos(owner, '/' || $1 || '/') > 0 and lease_expires_at > clock_timestamp()`,
    [String(child.pid)],
  );
  return rows.length;
}

test('their number goes from 1 to 4, 2 and back, with consumers that die, and nothing is lost', async () => {
  const leaseMs = 1_500;
  let before = 1;
  for (const partitions of [1, 4, 2, 1]) {
    await publish(partitions, 300);
    // Its setting has not reached this producer yet.
    await publish(before, 50);
    const [first] = [spawn(partitions, leaseMs), spawn(partitions, leaseMs)];
    const already = await storedCount();
    await until('they are at work', async () => (await storedCount()) > already);
    await publish(partitions, 300);
    first.signal('SIGKILL');
    await publish(before, 50);
    // Whatever they have not read by now is left to the next.
    for (const child of children) child.signal('SIGKILL');
    before = partitions;
  }
  // Long after its streams were drained, the last producer wakes up with the old setting.
  spawn(1, leaseMs);
  await allStored();
  await until('the old streams count no more', async () => {
    await system.refresh();
    const counting = await database.query<{ stream: string }>(
      'select stream from analytics.stream_offsets where not retired',
    );
    return counting.length === 1;
  });
  await publish(4, 100);
  await system.refresh();
  await allStored();
}, 120_000);

test('are shared evenly, and those of a replica that crashed move within 15 s', async () => {
  await declare(url, settingsOf(4));
  const first = spawn(4);
  await until('one holds all', async () => (await heldBy(first)) === 4);
  const second = spawn(4);
  const areEven = async () => (await heldBy(first)) === 2 && (await heldBy(second)) === 2;
  await until('each holds two', areEven);
  await publish(4, 400);
  await allStored();

  first.signal('SIGKILL');
  const diedAtMs = performance.now();
  await until('the other holds all', async () => (await heldBy(second)) === 4);
  expect(performance.now() - diedAtMs).toBeLessThan(15_000);
  await publish(4, 400);
  await allStored();

  const third = spawn(4);
  await until('each holds two again', async () => (await heldBy(third)) === 2);
  expect(await third.stop()).toBe(0);
  await until('what it gave back is taken', async () => (await heldBy(second)) === 4);
  await publish(4, 400);
  await allStored();
}, 120_000);
