import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventStorage } from '../shared/events/event-storage.ts';
import { ingest, LeaseLostError } from '../shared/events/ingest.ts';
import { startOver } from '../shared/partitions/identity.ts';
import { claimLease, releaseLease, renewLease } from '../shared/partitions/lease.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { type ConsumerChild, spawnConsumer } from './support/consumer-child.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { offsetRow } from './support/offsets.ts';
import { Random } from './support/random.ts';
import { storageDifferences } from './support/recount.ts';
import {
  declare,
  expectedEvents,
  publishTraffic,
  type TrafficMessage,
  traffic,
} from './support/stream-traffic.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

const mix = { duplicates: 100, conflicts: 0, invalid: 0 };

describe('consumers in two processes', () => {
  let system: System;
  let database: Database;
  let url: string;
  let stream: string;
  let children: ConsumerChild[];
  let published: TrafficMessage[];
  const random = new Random(11);

  beforeEach(async () => {
    system = await startSystem({ consume: false });
    database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
    url = system.settings.RABBITMQ_URL ?? '';
    stream = system.settings.RABBITMQ_STREAM;
    children = [];
    published = [];
    await declare(url, system.settings);
  });
  afterEach(async () => {
    for (const child of children) child.signal('SIGKILL');
    await Promise.all(children.map((child) => child.ended));
    await database.close();
    await system.close();
  });

  function spawn(options: Parameters<typeof spawnConsumer>[1] = {}): ConsumerChild {
    const child = spawnConsumer({ ...system.environment, LOG_LEVEL: 'warn' }, options);
    children.push(child);
    return child;
  }

  async function publish(count: number): Promise<void> {
    const messages = traffic(random, count, mix);
    published.push(...messages);
    await publishTraffic(url, stream, messages);
  }

  const holds = async (child: ConsumerChild) =>
    (await offsetRow(database, stream))?.owner?.includes(`/${child.pid}/`) === true;

  /** Everything published is read, each message by one committed batch alone. */
  async function expectAllOnce(): Promise<void> {
    const expected = expectedEvents(published);
    await until('everything is stored', async () => {
      const row = await offsetRow(database, stream);
      return (row?.events_stored ?? 0) + (row?.events_duplicate ?? 0) >= published.length;
    });
    expect(await storageDifferences(database, expected)).toEqual({ missing: [], surplus: [] });
    expect(await offsetRow(database, stream)).toMatchObject({
      events_stored: expected.length,
      events_duplicate: published.length - expected.length,
    });
  }

  test('one works while the other waits, and takes over within 15 s of its death', async () => {
    const first = spawn();
    await until('the first holds the lease', () => holds(first));
    const second = spawn();
    await until('the second asked for the lease', async () => {
      const asked = await database.query(
        `select from pg_stat_activity
         where application_name = $1 and query like '%owner = $1 or %lease_expires_at%'`,
        [`consumer ${second.pid}`],
      );
      return asked.length > 0;
    });
    const before = await offsetRow(database, stream);
    await publish(500);
    await expectAllOnce();
    expect(await offsetRow(database, stream)).toMatchObject({
      owner: before?.owner,
      epoch: before?.epoch,
    });

    first.signal('SIGKILL');
    const diedAtMs = performance.now();
    await publish(500);
    await expectAllOnce();
    expect(performance.now() - diedAtMs).toBeLessThan(15_000);
    expect(await holds(second)).toBe(true);
  });

  test('one that stops in order gives the lease back at once', async () => {
    const first = spawn({ leaseMs: 60_000 });
    await until('the first holds the lease', () => holds(first));
    await publish(100);
    await expectAllOnce();
    expect(await first.stop()).toBe(0);
    expect(await offsetRow(database, stream)).toMatchObject({ owner: null });
  });

  // After `copy` it wakes up with its transaction alive and meets the new epoch. After `offset` it
  // sleeps on the locks that the other needs, and the database has to end its transaction.
  test.each([
    { step: 'copy', refusal: /went to another consumer/ },
    { step: 'offset', refusal: /the database (is not available|went away)/ },
  ] as const)(
    'one frozen after $step cannot commit once the lease has moved',
    async ({ step, refusal }) => {
      await publish(1_000);
      const options = { leaseMs: 1_500, batchSize: 200 };
      const frozen = spawn({ ...options, failpoint: `${step}:2:SIGSTOP` });
      await until('the first has committed a batch', async () => {
        const row = await offsetRow(database, stream);
        return (row?.committed_offset ?? -1) >= 0;
      });
      const second = spawn(options);
      await until('the lease has moved', () => holds(second));
      await expectAllOnce();

      frozen.signal('SIGCONT');
      await until('the first was refused', async () =>
        frozen.log.some((line) => refusal.test(line)),
      );
      await publish(500);
      await expectAllOnce();
      expect(await holds(second)).toBe(true);

      // The one that was refused is as good as new.
      second.signal('SIGKILL');
      await publish(500);
      await expectAllOnce();
      expect(await holds(frozen)).toBe(true);
    },
  );
});

describe('the lease', () => {
  let server: TestDatabase;
  let database: Database;
  const stream = 'test.lease';

  beforeEach(async () => {
    server = await createDatabase();
    database = openDatabase({ url: server.url });
  });
  afterEach(async () => {
    await database.close();
    await server.drop();
  });

  async function claim(owner: string, leaseMs = 60_000) {
    const lease = await claimLease(database, stream, owner, leaseMs);
    if (lease === null) throw new Error(`${owner} did not get the lease`);
    return lease;
  }

  test('is not given to a second owner before it expires', async () => {
    await claim('first');
    expect(await claimLease(database, stream, 'second', 60_000)).toBeNull();
  });

  test('goes to exactly one of many who ask at once', async () => {
    const owners = Array.from({ length: 8 }, (_, index) => `owner ${index}`);
    const leases = await Promise.all(
      owners.map((owner) => claimLease(database, stream, owner, 60_000)),
    );
    expect(leases.filter((lease) => lease !== null)).toHaveLength(1);
  });

  test('moves once it expired, and the first can no longer renew or commit', async () => {
    const old = await claim('first', 1);
    const current = await until('the lease expires', () =>
      claimLease(database, stream, 'second', 60_000),
    );
    expect(current.epoch).toBeGreaterThan(old.epoch);
    expect(await renewLease(database, old, 60_000)).toBe(false);

    const event = usageEvent();
    await eventStorage(database).ensureDays([event.occurredAtMs]);
    const batch = { stream, events: [event], rejected: 1 };
    const position = { firstOffset: 0, lastOffset: 9 };
    await expect(
      ingest(database, { ...batch, position: { ...position, epoch: old.epoch } }),
    ).rejects.toBeInstanceOf(LeaseLostError);
    expect(await database.query('select from analytics.usage_events')).toEqual([]);
    expect(await database.query('select from analytics.ingestion_batches')).toEqual([]);
    expect(await offsetRow(database, stream)).toMatchObject({
      committed_offset: null,
      events_stored: 0,
      events_rejected: 0,
    });

    await ingest(database, { ...batch, position: { ...position, epoch: current.epoch } });
    expect(await offsetRow(database, stream)).toMatchObject({
      committed_offset: 9,
      events_stored: 1,
      events_rejected: 1,
    });
  });

  test('that ends hours from now, since the clock was set back, keeps nobody out', async () => {
    await claim('dead');
    await database.query(
      `update analytics.stream_offsets set lease_expires_at = lease_expires_at + interval '6 hours'`,
    );
    expect(await claimLease(database, stream, 'second', 60_000)).not.toBeNull();
  });

  test('is neither released nor started over by one who lost it', async () => {
    const old = await claim('first', 1);
    const current = await until('the lease expires', () =>
      claimLease(database, stream, 'second', 60_000),
    );
    const position = { firstOffset: 0, lastOffset: 9, epoch: current.epoch };
    await ingest(database, { stream, events: [], rejected: 10, position });
    await releaseLease(database, old);
    expect(await startOver(database, stream, 9, old.epoch)).toBeNull();
    expect(await offsetRow(database, stream)).toMatchObject({
      owner: 'second',
      committed_offset: 9,
    });
  });

  test('continues where the last owner committed', async () => {
    const first = await claim('first');
    expect(first.committedOffset).toBeNull();
    const position = { firstOffset: 0, lastOffset: 41, epoch: first.epoch };
    await ingest(database, { stream, events: [], rejected: 42, position });
    await releaseLease(database, first);
    expect((await claim('second')).committedOffset).toBe(41);
  });
});
