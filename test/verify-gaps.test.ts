import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findGaps, gapFailure, isExplained, judgeGaps } from '../shared/data-quality/gaps.ts';
import { type Broker, connectBroker } from '../shared/platform/broker/stream.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { offsetRow } from './support/offsets.ts';
import { Random } from './support/random.ts';
import { services } from './support/services.ts';
import { declare, publishTraffic, traffic } from './support/stream-traffic.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';

const since = new Date(Date.now() - 3_600_000);

describe('batches of a stream', () => {
  let server: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    server = await createDatabase();
    database = openDatabase({ url: server.url });
  });
  afterAll(async () => {
    await database?.close();
    await server?.drop();
  });
  beforeEach(async () => {
    await database.query('truncate analytics.ingestion_batches, analytics.stream_offsets');
  });

  type Range = [first: number, last: number];

  async function stored(stream: string, ranges: Range[], committed?: number, lost = 0) {
    for (const [first, last] of ranges) {
      await database.query(
        `insert into analytics.ingestion_batches
           (stream, first_offset, last_offset, received, stored, duplicates, conflicts, rejected)
         select $1, first, last, last - first + 1, 0, last - first, 0, 1
         from (select $2::bigint as first, $3::bigint as last) as range`,
        [stream, first, last],
      );
    }
    await database.query(
      `insert into analytics.stream_offsets (stream, committed_offset, messages_lost)
       values ($1, $2, $3)`,
      [stream, committed ?? ranges.at(-1)?.[1] ?? null, lost],
    );
  }

  const gaps = async () =>
    (await findGaps(database, since)).map(({ stream, first, last }) => [stream, first, last]);

  test.each<[string, Range[], number | undefined, Range[]]>([
    [
      'one after another',
      [
        [0, 99],
        [100, 199],
        [200, 200],
      ],
      undefined,
      [],
    ],
    [
      'with a hole',
      [
        [0, 99],
        [200, 299],
      ],
      undefined,
      [[100, 199]],
    ],
    [
      'with two holes, the larger first',
      [
        [0, 9],
        [20, 29],
        [50, 59],
      ],
      undefined,
      [
        [30, 49],
        [10, 19],
      ],
    ],
    [
      'with a hole that was read later',
      [
        [0, 99],
        [200, 299],
        [100, 199],
      ],
      undefined,
      [],
    ],
    [
      'with a hole half of which was read later',
      [
        [0, 99],
        [200, 299],
        [120, 149],
      ],
      undefined,
      [
        [150, 199],
        [100, 119],
      ],
    ],
    [
      'begun anew, because the stream was',
      [
        [0, 99],
        [100, 199],
        [0, 49],
        [50, 60],
      ],
      undefined,
      [],
    ],
    [
      'begun anew, with a hole that was no hole before',
      [
        [0, 199],
        [0, 49],
        [100, 149],
      ],
      undefined,
      [[50, 99]],
    ],
    [
      'read again from before',
      [
        [0, 99],
        [50, 149],
      ],
      undefined,
      [],
    ],
    ['beyond which the offset was moved by hand', [[0, 99]], 149, [[100, 149]]],
    ['none at all', [], 500, []],
  ])('%s', async (_, ranges, committed, expected) => {
    await stored('s', ranges, committed);
    expect(await gaps()).toEqual(expected.map((range) => ['s', ...range]));
  });

  test('each stream for itself, and events without a stream have no offsets', async () => {
    await stored('a', [
      [0, 9],
      [20, 29],
    ]);
    await stored('b', [
      [10, 19],
      [20, 29],
    ]);
    await database.query(
      `insert into analytics.ingestion_batches
         (stream, received, stored, duplicates, conflicts, rejected)
       values ('http', 1, 1, 0, 0, 0)`,
    );
    expect(await gaps()).toEqual([['a', 10, 19]]);
  });

  test('batches of long ago are not looked at', async () => {
    await stored('s', [
      [0, 99],
      [200, 299],
    ]);
    await database.query(
      `update analytics.ingestion_batches set committed_at = committed_at - interval '2 days'`,
    );
    expect(await gaps()).toEqual([]);
  });

  test.each([
    ['explains a gap of its size', 100, 'counted'],
    ['does not explain a larger one', 99, 'unknown'],
  ])('a counted loss %s', async (_, lost, kind) => {
    await stored(
      's',
      [
        [0, 99],
        [200, 299],
      ],
      undefined,
      lost,
    );
    expect(await judgeGaps(await findGaps(database, since), null)).toEqual([
      { stream: 's', first: 100, last: 199, kind },
    ]);
  });

  test('a loss explains one gap, not two', async () => {
    await stored(
      's',
      [
        [0, 99],
        [200, 299],
        [400, 499],
      ],
      undefined,
      150,
    );
    const kinds = (await judgeGaps(await findGaps(database, since), null)).map(({ kind }) => kind);
    expect(kinds).toEqual(['counted', 'unknown']);
  });

  test('single offsets may be the broker’s own, where nobody can be asked', async () => {
    await stored('s', [
      [0, 99],
      [101, 199],
    ]);
    expect((await judgeGaps(await findGaps(database, since), null)).every(isExplained)).toBe(true);
  });
});

describe('the stream itself', () => {
  let broker: Broker;
  const queues: string[] = [];

  beforeAll(async () => {
    broker = await connectBroker(services().RABBITMQ_URL);
  });
  afterEach(async () => {
    const { connect } = await import('amqplib');
    const connection = await connect(services().RABBITMQ_URL);
    const channel = await connection.createChannel();
    for (const queue of queues.splice(0)) await channel.deleteQueue(queue);
    await connection.close();
  });
  afterAll(() => broker?.close());

  async function streamOf(messages: number): Promise<string> {
    const stream = `test.${randomUUID()}`;
    queues.push(stream);
    await broker.ensureStream(stream, { maxAge: '1h', maxBytes: 10_000_000 });
    const content = Buffer.from('x');
    await broker.publish(
      Array.from({ length: messages }, () => ({ queue: stream, content })),
      5_000,
    );
    return stream;
  }

  const kindOf = async (stream: string, first: number, last: number) =>
    (await judgeGaps([{ stream, first, last, counted: 0 }], broker))[0]?.kind;

  test('tells one skipped message from an offset that holds nothing', async () => {
    const stream = await streamOf(10);
    expect(await kindOf(stream, 4, 4)).toBe('skipped');
    expect(await kindOf(stream, 0, 9)).toBe('skipped');
    const head = await broker.head(stream);
    expect(await kindOf(stream, (head ?? 0) + 1, (head ?? 0) + 500)).toBe('empty');
  });

  test('tells what it no longer holds, and cannot tell what it never was', async () => {
    expect(await kindOf(await streamOf(0), 0, 99)).toBe('lost');
    expect(await kindOf('test.no-such-stream', 0, 99)).toBe('unknown');
  });
});

describe('a consumer at work', () => {
  let system: System;
  let database: Database;

  beforeAll(async () => {
    system = await startSystem({
      environment: { INGESTION_BATCH_SIZE: '100', INGESTION_BATCH_TIMEOUT: '1ms' },
    });
    database = openDatabase({ url: system.environment.DATABASE_URL ?? '' });
    await declare(system.settings.RABBITMQ_URL ?? '', system.settings);
  });
  afterAll(async () => {
    await database?.close();
    await system?.close();
  });

  const random = new Random(7);

  async function publish(count: number): Promise<void> {
    const { RABBITMQ_URL = '', RABBITMQ_STREAM } = system.settings;
    const mix = { duplicates: 100, conflicts: 20, invalid: 50 };
    await publishTraffic(RABBITMQ_URL, RABBITMQ_STREAM, traffic(random, count, mix));
    const head = await until('a head', async () => {
      await system.refresh();
      return (await offsetRow(database, RABBITMQ_STREAM))?.head_offset;
    });
    await until('everything is stored', async () => {
      const row = await offsetRow(database, RABBITMQ_STREAM);
      return (row?.committed_offset ?? -1) >= head;
    });
  }

  test('leaves no gap, with duplicates and rejects; a batch that vanished is one', async () => {
    for (let round = 0; round < 5; round += 1) await publish(400);
    const whole = await system.verify();
    expect(whole?.run.failures).toEqual([]);
    expect(whole?.run.offsetGaps).toBe(0);

    const [gone] = await database.query<{ first: number; last: number }>(
      `delete from analytics.ingestion_batches
       where batch_id = (select batch_id from analytics.ingestion_batches
                         order by batch_id offset 2 limit 1)
       returning first_offset as first, last_offset as last`,
    );
    if (gone === undefined) throw new Error('there were fewer than three batches');
    const report = await system.verify();
    const gap = { stream: system.settings.RABBITMQ_STREAM, ...gone, kind: 'skipped' } as const;
    expect(report?.run).toMatchObject({ passed: false, offsetGaps: 1, details: { gaps: [gap] } });
    expect(report?.run.failures).toContain(gapFailure(gap));
  });
});
