import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { deadLetterQueueOf } from '../shared/dead-letters/dead-letters.ts';
import { encodeEvent, type UsageEvent } from '../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { type ConsumerChild, spawnConsumer } from './support/consumer-child.ts';
import { drainDeadLetters } from './support/dead-letters.ts';
import { offsetRow } from './support/offsets.ts';
import { storageDifferences } from './support/recount.ts';
import { declare, publishTraffic, withChannel } from './support/stream-traffic.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

const freshnessForm = z.object({
  status: z.string(),
  lagSeconds: z.number().nullable(),
  lastEventAt: z.string().nullable(),
  lastRollupAt: z.string().nullable(),
  completeThrough: z.string().nullable(),
});

let system: System;
let database: Database;
let url: string;
let stream: string;
let child: ConsumerChild | undefined;

beforeEach(async () => {
  // A page that lay in the cache would not show what the test has just changed.
  system = await startSystem({ consume: false, environment: { FRESHNESS_CACHE_TTL: '1ms' } });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '' });
  url = system.settings.RABBITMQ_URL ?? '';
  stream = system.settings.RABBITMQ_STREAM;
  child = undefined;
  await declare(url, system.settings);
});
afterEach(async () => {
  child?.signal('SIGKILL');
  await child?.ended;
  await database.close();
  await system.close();
});

function startConsumer(): void {
  child = spawnConsumer(system.environment, { leaseMs: 1_500 });
}

async function stopConsumer(): Promise<void> {
  expect(await child?.stop()).toBe(0);
}

async function publish(events: readonly UsageEvent[]): Promise<void> {
  await publishTraffic(
    url,
    stream,
    events.map((event) => ({ content: encodeEvent(event), event })),
  );
}

const events = (count: number, fields: Partial<UsageEvent> = {}) =>
  Array.from({ length: count }, () => usageEvent(fields));

async function storedCount(): Promise<number> {
  return (await offsetRow(database, stream))?.events_stored ?? 0;
}

async function freshnessOf(orgId: string): Promise<z.infer<typeof freshnessForm>> {
  const day = 86_400_000;
  const [start, end] = [Date.now() - day, Date.now() + day].map((ms) => new Date(ms).toISOString());
  const answer = await system.get(`/analytics/v1/orgs/${orgId}/usage?start=${start}&end=${end}`);
  return z.object({ freshness: freshnessForm }).parse(answer.body).freshness;
}

/** The time up to which everything is stored, after a probe of the stream, by the server's clock. */
async function probedThrough(): Promise<number> {
  const { probeFault } = await system.refresh();
  expect(probeFault).toBeNull();
  return (await offsetRow(database, stream))?.complete_through?.getTime() ?? 0;
}

async function serverTime(): Promise<number> {
  const [row] = await database.query<{ now: Date }>('select clock_timestamp() as now');
  return row?.now.getTime() ?? 0;
}

describe('freshness', () => {
  test('an org of which nothing ever arrived is empty, without invented times', async () => {
    startConsumer();
    await publish(events(1));
    await until('the event is stored', async () => (await storedCount()) === 1);
    await system.refresh();
    const orgId = randomUUID();
    const empty = { status: 'empty', lagSeconds: null, completeThrough: null };
    const noTimes = { lastEventAt: null, lastRollupAt: null };
    expect(await freshnessOf(orgId)).toEqual({ ...empty, ...noTimes });
    const { status, body } = await system.get(`/analytics/v1/orgs/${orgId}/freshness`);
    expect({ status, body }).toEqual({ status: 200, body: { orgId, ...empty, entries: [] } });
  });

  test('an org whose last event is hours ago is fresh while the stream is read', async () => {
    const [event] = events(1, { occurredAtMs: Date.now() - 5 * 3_600_000 });
    if (event === undefined) throw new Error('no event');
    startConsumer();
    await publish([event]);
    await until('the event is stored', async () => (await storedCount()) === 1);
    const through = await probedThrough();
    const freshness = await freshnessOf(event.orgId);
    expect(freshness).toMatchObject({
      status: 'fresh',
      lastEventAt: new Date(event.occurredAtMs).toISOString(),
    });
    expect(Date.parse(freshness.completeThrough ?? '')).toBeGreaterThanOrEqual(through);
    expect(freshness.lagSeconds).toBeLessThan(30);
  });

  test.each([
    [299, 'fresh'],
    [301, 'stale'],
    [599, 'stale'],
    [601, 'delayed'],
  ])('%i s behind is %s', async (seconds, status) => {
    const orgId = randomUUID();
    startConsumer();
    await publish(events(1, { orgId }));
    await until('the event is stored', async () => (await storedCount()) === 1);
    await stopConsumer();
    const behind = () =>
      database.query(
        `update analytics.stream_offsets
         set complete_through = clock_timestamp() - make_interval(secs => $1)`,
        [seconds],
      );
    await behind();
    const freshness = await freshnessOf(orgId);
    expect(freshness.status).toBe(status);
    expect(Math.abs((freshness.lagSeconds ?? 0) - seconds)).toBeLessThanOrEqual(1);
  });
});

describe('completeThrough', () => {
  test('moves while nothing arrives, stands still without a consumer, and moves again', async () => {
    startConsumer();
    const before = events(20);
    await publish(before);
    await until('they are stored', async () => (await storedCount()) === 20);
    await stopConsumer();
    // All that was received is stored: true without a consumer too.
    const idleSince = await serverTime();
    expect(await probedThrough()).toBeGreaterThanOrEqual(idleSince);

    const stopped = await probedThrough();
    const after = events(20);
    await publish(after);
    const published = await serverTime();
    for (let probe = 0; probe < 3; probe += 1) expect(await probedThrough()).toBe(stopped);

    startConsumer();
    await until('they are stored', async () => (await storedCount()) === 40);
    // The first probe after they were published has been waited for, and is reached.
    const reached = await until('it moves', async () => {
      const through = (await offsetRow(database, stream))?.complete_through?.getTime() ?? 0;
      return through > stopped && through;
    });
    expect(reached).toBeGreaterThanOrEqual(published);
    expect(await probedThrough()).toBeGreaterThan(reached);
  });

  test('is not known before the stream was read for the first time', async () => {
    await publish(events(5));
    await system.refresh();
    expect((await offsetRow(database, stream))?.complete_through).toBeNull();
  });
});

test('a stream that was deleted and made anew is read from its first message', async () => {
  startConsumer();
  const before = events(30);
  await publish(before);
  await until('they are stored', async () => (await storedCount()) === 30);
  await stopConsumer();
  await system.refresh();
  expect(await offsetRow(database, stream)).toMatchObject({ committed_offset: 29 });

  await withChannel(url, (channel) => channel.deleteQueue(stream));
  await declare(url, system.settings);
  const after = events(10);
  await publish(after);
  const published = await serverTime();
  // Ten messages in a stream of which thirty were read: nothing of them is stored.
  expect(await probedThrough()).toBeLessThan(published);
  expect(await probedThrough()).toBeLessThan(published);
  // What the scaler reads must not be zero, or nobody would start a consumer.
  expect(await offsetRow(database, stream)).toMatchObject({
    committed_offset: null,
    head_offset: 9,
  });

  startConsumer();
  await until('they are stored', async () => (await storedCount()) === 40);
  expect(await storageDifferences(database, [...before, ...after])).toEqual({
    missing: [],
    surplus: [],
  });
  expect(await offsetRow(database, stream)).toMatchObject({ committed_offset: 9 });
  expect(await probedThrough()).toBeGreaterThanOrEqual(published);
});

test('a valid event that the database refuses goes to the dead-letter queue, alone', async () => {
  // No event that passes validation is refused as things are; this makes some be.
  await database.query(
    `alter table analytics.usage_events add constraint poison check (client_id <> 'poison')`,
  );
  const good = events(98);
  const poison = events(2, { clientId: 'poison' });
  const published = [...good.slice(0, 40), ...poison.slice(0, 1), ...good.slice(40)];
  await publish([...published, ...poison.slice(1)]);
  startConsumer();
  await until('all of the stream is read', async () => {
    const row = await offsetRow(database, stream);
    return (row?.events_stored ?? 0) + (row?.events_rejected ?? 0) === 100;
  });
  expect(await storageDifferences(database, good)).toEqual({ missing: [], surplus: [] });
  expect(await offsetRow(database, stream)).toMatchObject({
    committed_offset: 99,
    events_stored: 98,
    events_rejected: 2,
  });
  const letters = await drainDeadLetters(url, deadLetterQueueOf(system.settings));
  expect(letters).toMatchObject(
    [40, 99].map((offset, index) => ({
      content: encodeEvent(poison[index] ?? usageEvent()),
      sourceOffset: offset,
      sourceStream: stream,
      reasons: [expect.stringMatching(/^the database refused it: .*poison/)],
    })),
  );
});

test('a stream no longer configured holds completeness back until it is drained', async () => {
  const old = `test.${randomUUID()}`;
  const settings = { ...system.settings, RABBITMQ_STREAM: old };
  await declare(url, settings);
  try {
    const event = usageEvent();
    await publishTraffic(url, old, [{ content: encodeEvent(event), event }]);
    await database.query(
      `insert into analytics.stream_offsets (stream, complete_through)
       select unnest($1::text[]), clock_timestamp() - interval '1 hour'`,
      [[old, 'http']],
    );
    const counting = () =>
      database.query<{ stream: string }>(
        'select stream from analytics.stream_offsets where not retired order by 1',
      );
    await system.refresh();
    expect(await counting()).toEqual([{ stream: old }, { stream }].sort(byStream));

    await database.query(
      'update analytics.stream_offsets set committed_offset = 0 where stream = $1',
      [old],
    );
    await system.refresh();
    expect(await counting()).toEqual([{ stream }]);
  } finally {
    await withChannel(url, async (channel) => {
      for (const queue of [old, deadLetterQueueOf(settings)]) await channel.deleteQueue(queue);
    });
  }
});

function byStream(a: { stream: string }, b: { stream: string }): number {
  return a.stream < b.stream ? -1 : 1;
}
