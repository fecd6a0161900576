import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deadLetterQueueOf } from '../shared/dead-letters/dead-letters.ts';
import { eventStorage } from '../shared/events/event-storage.ts';
import { ingest } from '../shared/events/ingest.ts';
import { recallIds } from '../shared/events/recall-ids.ts';
import { type RecentIds, recentIds } from '../shared/events/recent-ids.ts';
import { withoutRestamped } from '../shared/events/restamped.ts';
import { encodeEvent, type UsageEvent } from '../shared/events/usage-event.ts';
import { partitionOf } from '../shared/partitions/routing.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { streamPartitions } from '../shared/platform/env.ts';
import { type ConsumerChild, spawnConsumer } from './support/consumer-child.ts';
import { createDatabase } from './support/database.ts';
import { drainDeadLetters } from './support/dead-letters.ts';
import { offsetRow } from './support/offsets.ts';
import { storageDifferences } from './support/recount.ts';
import { declare, publishTraffic } from './support/stream-traffic.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

/** The same event, stamped when it was sent again. */
function restamped(event: UsageEvent, byMs = 1): UsageEvent {
  return { ...event, occurredAtMs: event.occurredAtMs + byMs };
}

function events(count: number, fields: Partial<UsageEvent> = {}): UsageEvent[] {
  return Array.from({ length: count }, () => usageEvent(fields));
}

describe('through a stream and its consumers', () => {
  let system: System;
  let database: Database;
  let url: string;
  let children: ConsumerChild[];

  const start = async (environment: Record<string, string> = {}) => {
    system = await startSystem({ consume: false, environment });
    database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
    url = system.settings.RABBITMQ_URL ?? '';
    children = [];
    await declare(url, system.settings);
  };
  afterEach(async () => {
    for (const child of children) child.signal('SIGKILL');
    await Promise.all(children.map((child) => child.ended));
    await database.close();
    await system.close();
  });

  function consume(options: Parameters<typeof spawnConsumer>[1] = {}): ConsumerChild {
    const environment = { ...system.environment, LOG_LEVEL: 'info' };
    const child = spawnConsumer(environment, { leaseMs: 900, ...options });
    children.push(child);
    return child;
  }

  async function publish(sent: readonly UsageEvent[]): Promise<void> {
    const partitions = streamPartitions(system.settings);
    for (const stream of partitions) {
      const messages = sent
        .filter(({ orgId }) => partitionOf(orgId, partitions) === stream)
        .map((event) => ({ content: encodeEvent(event), event }));
      await publishTraffic(url, stream, messages);
    }
  }

  async function sums() {
    const [row] = await database.query<Record<string, number>>(
      `select coalesce(sum(events_stored), 0)::int as stored,
              coalesce(sum(events_duplicate), 0)::int as duplicates,
              coalesce(sum(events_conflicting), 0)::int as conflicts,
              coalesce(sum(events_rejected), 0)::int as rejected
       from analytics.stream_offsets`,
    );
    return row;
  }

  const readBy = (count: number) =>
    until(`${count} messages are read`, async () => {
      const { stored = 0, duplicates = 0, rejected = 0 } = (await sums()) ?? {};
      return stored + duplicates + rejected === count;
    });
  const letters = () => drainDeadLetters(url, deadLetterQueueOf(system.settings));

  test('a retry with another time is a conflict: not stored, counted, logged, and kept as a dead letter', async () => {
    await start();
    const consumer = consume();
    const sent = events(20);
    await publish(sent);
    await readBy(20);
    const [first = usageEvent()] = sent;
    const retry = restamped(first);
    // A plain duplicate beside it, and the same event id in another org.
    const elsewhere = { ...retry, orgId: randomUUID() };
    await publish([retry, first, elsewhere]);
    await readBy(23);

    expect(await sums()).toEqual({ stored: 21, duplicates: 2, conflicts: 1, rejected: 0 });
    expect(await storageDifferences(database, [...sent, elsewhere])).toEqual({
      missing: [],
      surplus: [],
    });
    const stored = new Date(first.occurredAtMs).toISOString();
    expect(await letters()).toEqual([
      expect.objectContaining({
        content: encodeEvent(retry),
        isConflict: true,
        sourceOffset: 20,
        reasons: [
          `occurredAt: differs from ${stored}, with which this eventId is stored: a retry must repeat it`,
        ],
      }),
    ]);
    const logged = () => consumer.log.join('');
    await until('it is logged', async () => logged().includes('came again with other content'));
    expect(logged()).toContain(first.eventId);
  });

  test('other content of a stored event is kept as a dead letter too, which names the fields', async () => {
    await start();
    consume();
    const event = usageEvent();
    const other = { ...event, costEstimateCents: '99', inputTokens: 5_000 };
    await publish([event, other]);
    await readBy(2);
    expect(await sums()).toEqual({ stored: 1, duplicates: 1, conflicts: 1, rejected: 0 });
    expect(await letters()).toEqual([
      expect.objectContaining({
        content: encodeEvent(other),
        isConflict: true,
        reasons: ['inputTokens', 'costEstimateCents'].map(
          (field) => `${field}: differs from what is stored of this event`,
        ),
      }),
    ]);
  });

  test('within one batch the first is stored', async () => {
    await start();
    const event = usageEvent();
    const others = events(5);
    await publish([event, restamped(event, 5), ...others, event, restamped(event, 9)]);
    consume();
    await readBy(9);
    expect(await sums()).toEqual({ stored: 6, duplicates: 3, conflicts: 2, rejected: 0 });
    expect(await storageDifferences(database, [event, ...others])).toEqual({
      missing: [],
      surplus: [],
    });
  });

  // Before the commit the batch comes again, and its first event is not stored; after it, it is,
  // though the process that stored it never came to remember that.
  test.each(['copy', 'offset', 'commit'] as const)(
    'a consumer that takes over from one killed after %s turns them away as that one would have',
    async (step) => {
      await start();
      const before = events(10);
      await publish(before);
      const first = consume({ batchSize: 10 });
      await readBy(10);
      expect(await first.stop()).toBe(0);
      const sent = events(10);
      await publish(sent);
      const killed = consume({ failpoint: `${step}:1:SIGKILL` });
      expect(await killed.ended).toBe('SIGKILL');
      await publish([...before, ...sent].map((event) => restamped(event)));
      consume();
      await readBy(40);
      expect(await sums()).toEqual({ stored: 20, duplicates: 20, conflicts: 20, rejected: 0 });
      expect(await storageDifferences(database, [...before, ...sent])).toEqual({
        missing: [],
        surplus: [],
      });
    },
  );

  test('a consumer that was away for less than its process lives knows what others stored meanwhile', async () => {
    await start();
    const [one, other] = [events(5), events(5)];
    const frozen = consume();
    await publish(one);
    await readBy(5);
    frozen.signal('SIGSTOP');
    const standIn = consume();
    await publish(other);
    await readBy(10);
    frozen.signal('SIGCONT');
    expect(await standIn.stop()).toBe(0);
    await publish([...one, ...other].map((event) => restamped(event)));
    await readBy(20);
    expect(await sums()).toEqual({ stored: 10, duplicates: 10, conflicts: 10, rejected: 0 });
  });

  test('an event that the database refuses turns no retry of it away', async () => {
    await start();
    // No event that passes validation is refused as things are; this makes some be.
    await database.query(
      `alter table analytics.usage_events add constraint poison check (client_id <> 'poison')`,
    );
    const poison = usageEvent({ clientId: 'poison' });
    const retry = { ...restamped(poison), clientId: 'web' };
    const good = events(6);
    await publish([...good.slice(0, 3), poison, ...good.slice(3), retry, restamped(retry)]);
    consume();
    await readBy(9);
    expect(await sums()).toEqual({ stored: 7, duplicates: 1, conflicts: 1, rejected: 1 });
    expect(await storageDifferences(database, [...good, retry])).toEqual({
      missing: [],
      surplus: [],
    });
    const all = await letters();
    expect(all.map(({ content, isConflict }) => ({ content, isConflict }))).toEqual([
      { content: encodeEvent(poison), isConflict: false },
      { content: encodeEvent(restamped(retry)), isConflict: true },
    ]);
  });

  test('one process remembers for each of its partitions', async () => {
    await start({ RABBITMQ_STREAM_PARTITIONS: '3' });
    const sent = Array.from({ length: 30 }, () => usageEvent({ orgId: randomUUID() }));
    consume();
    await publish(sent);
    await readBy(30);
    await publish(sent.map((event) => restamped(event)));
    await readBy(60);
    expect(await sums()).toEqual({ stored: 30, duplicates: 30, conflicts: 30, rejected: 0 });
    const partitions = streamPartitions(system.settings);
    const rows = await Promise.all(partitions.map((stream) => offsetRow(database, stream)));
    expect(rows.filter((row) => (row?.events_conflicting ?? 0) > 0)).toHaveLength(3);
  });

  test('past its bound the oldest are forgotten, and the process says so', async () => {
    await start();
    const consumer = consume({ idsMax: 10, batchSize: 10 });
    const sent = events(30);
    await publish(sent);
    await readBy(30);
    await publish(sent.slice(0, 5).map((event) => restamped(event)));
    await readBy(35);
    await publish(sent.slice(-3).map((event) => restamped(event)));
    await readBy(38);
    expect(await sums()).toEqual({ stored: 35, duplicates: 3, conflicts: 3, rejected: 0 });
    expect(await consumer.stop()).toBe(0);
    expect(consumer.log.join('')).toContain('no room for the ids of an hour');
  });
});

describe('beside a database', () => {
  let database: Database;
  let drop: () => Promise<void>;
  const stream = 'test';

  beforeEach(async () => {
    const server = await createDatabase();
    drop = server.drop;
    database = openDatabase({ url: server.url });
  });
  afterEach(async () => {
    await database.close();
    await drop();
  });

  async function store(ids: RecentIds, sent: readonly UsageEvent[], nowMs = Date.now()) {
    const storage = eventStorage(database);
    await storage.ensureDays(sent.map(({ occurredAtMs }) => occurredAtMs));
    const {
      kept,
      restamped: turnedAway,
      learn,
    } = await withoutRestamped(database, ids, sent, nowMs);
    const batch = { stream, events: kept, rejected: 0, restamped: turnedAway, position: null };
    const { stored, duplicates, conflicts } = await ingest(database, batch);
    learn(nowMs);
    return { stored, duplicates, conflicts };
  }

  const recalled = async (idsMax = 100) => {
    const ids = recentIds(idsMax);
    return { ids, count: await recallIds(database, ids, stream, Date.now()) };
  };

  test('what is stored is never a conflict, whatever else is stored of its id', async () => {
    // Stored twice before anybody looked.
    const event = usageEvent();
    const twice = [event, restamped(event)];
    for (const one of twice) await store(recentIds(10), [one]);
    const { ids } = await recalled();
    const again = [...twice].reverse();
    expect(await store(ids, again)).toEqual({ stored: 0, duplicates: 2, conflicts: 0 });
    expect(await store(recentIds(10), again)).toEqual({ stored: 0, duplicates: 2, conflicts: 0 });
    const third = restamped(event, 2);
    expect(await store(ids, [third])).toEqual({ stored: 0, duplicates: 1, conflicts: 1 });
  });

  test('no event is turned away for one that is not stored any more', async () => {
    const ids = recentIds(10);
    const event = usageEvent();
    await store(ids, [event]);
    await database.query('delete from analytics.usage_events where event_id = $1', [event.eventId]);
    expect(await store(ids, [restamped(event), restamped(event, 2)])).toEqual({
      stored: 1,
      duplicates: 1,
      conflicts: 1,
    });
  });

  test('after an hour the id is free again', async () => {
    const event = usageEvent();
    const ids = recentIds(10);
    const nowMs = Date.now();
    await store(ids, [event], nowMs);
    const hourMs = 3_600_000;
    const late = restamped(event, 10);
    expect(await store(ids, [late], nowMs + hourMs - 1_000)).toMatchObject({ conflicts: 1 });
    expect(await store(ids, [late], nowMs + hourMs + 1_000)).toMatchObject({ stored: 1 });
    // Read back, it is as old as its batch.
    await database.query(
      `update analytics.ingestion_batches set committed_at = committed_at - interval '61 minutes'`,
    );
    expect((await recalled()).count).toBe(0);
  });

  test('of more than there is room for the newest are read back', async () => {
    const batches = Array.from({ length: 6 }, () => events(10));
    for (const batch of batches) await store(recentIds(100), batch);
    const { ids, count } = await recalled(25);
    // Whole batches are read, and the newest of their ids kept.
    expect([count, ids.size]).toEqual([30, 25]);
    const [first = [], last = []] = [batches[0], batches.at(-1)];
    expect(
      await store(
        ids,
        last.map((event) => restamped(event)),
      ),
    ).toMatchObject({ conflicts: 10 });
    expect(
      await store(
        ids,
        first.map((event) => restamped(event)),
      ),
    ).toMatchObject({ stored: 10 });
  });

  test('only what others stored meanwhile is read back', async () => {
    const mine = recentIds(100);
    await store(mine, events(10));
    expect(await recallIds(database, mine, stream, Date.now())).toBe(10);
    await store(recentIds(100), events(7));
    expect(await recallIds(database, mine, stream, Date.now())).toBe(7);
    expect(await recallIds(database, mine, 'another stream', Date.now())).toBe(0);
    expect(mine.size).toBe(17);
  });

  test('reading back opens four days at most, however late an event of the hour was', async () => {
    const dayMs = 86_400_000;
    const daily = Array.from({ length: 40 }, (_, day) =>
      usageEvent({ occurredAtMs: Date.now() - day * dayMs }),
    );
    await store(recentIds(100), daily);
    const locks = await database.transaction({}, async (transaction) => {
      const ids = recentIds(100);
      expect(await recallIds(transaction, ids, stream, Date.now())).toBeLessThanOrEqual(3);
      expect(ids.size).toBeGreaterThanOrEqual(1);
      return transaction.query<{ relname: string }>(
        `select relname from pg_locks join pg_class on pg_class.oid = relation
         where pid = pg_backend_pid() and relname ~ '^usage_events_[0-9]{8}$'`,
      );
    });
    expect(locks.length).toBeLessThanOrEqual(4);
  });
});
