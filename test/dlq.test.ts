import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { listLetters } from '../scripts/dlq/list.ts';
import { deadLetterQueueOf, sendRejects } from '../shared/dead-letters/dead-letters.ts';
import { encodeEvent, type UsageEvent } from '../shared/events/usage-event.ts';
import { declareStreams } from '../shared/partitions/topology.ts';
import type { QueuedMessage } from '../shared/platform/broker/queue-browser.ts';
import {
  type Broker,
  connectBroker,
  type StreamMessage,
} from '../shared/platform/broker/stream.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { readSettings, type Settings } from '../shared/platform/env.ts';
import { analyticsCommand, runProgram } from './support/analytics-command.ts';
import { analyticsHere } from './support/analytics-here.ts';
import { type ConsumerChild, spawnConsumer } from './support/consumer-child.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { samplesOf } from './support/metrics-text.ts';
import { storageDifferences } from './support/recount.ts';
import { services } from './support/services.ts';
import { publishTraffic, readOffsets, withChannel } from './support/stream-traffic.ts';
import { deleteQueues, type System, startSystem } from './support/system.ts';
import { startSilentServer, type TcpRelay } from './support/tcp-relay.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

const orgId = '00000000-0000-4000-8000-0000000000d1';

let url: string;
let broker: Broker;
let folder: string;
let environment: Record<string, string>;
let settings: Settings;
let queue: string;
let stream: string;

beforeAll(async () => {
  url = services().RABBITMQ_URL;
  broker = await connectBroker(url);
  folder = await mkdtemp(join(tmpdir(), 'analytics-dlq-'));
});
afterAll(async () => {
  await broker.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  stream = `test.${randomUUID()}`;
  environment = { RABBITMQ_URL: url, RABBITMQ_STREAM: stream, LOG_LEVEL: 'silent' };
  settings = readSettings(environment);
  queue = deadLetterQueueOf(settings);
  await declareStreams(broker, settings);
});
afterEach(() => deleteQueues(url, settings));

interface Reject {
  content: Buffer;
  reasons?: string[];
  offset?: number;
  from?: string;
  contentEncoding?: string;
  isConflict?: boolean;
}

async function reject(...rejects: Reject[]): Promise<void> {
  await sendRejects(
    broker,
    queue,
    rejects.map(
      (
        {
          content,
          reasons = ['latencyMs: is required'],
          offset,
          from,
          contentEncoding,
          isConflict = false,
        },
        index,
      ) => ({
        stream: from ?? stream,
        message: { offset: offset ?? index, content, headers: {}, contentEncoding },
        reasons,
        isConflict,
      }),
    ),
  );
}

/** Rejected once, though valid by the rules of now. */
const valid = (fields: Partial<UsageEvent> = {}) => encodeEvent(usageEvent({ orgId, ...fields }));
const invalid = (fields: object = {}) => Buffer.from(JSON.stringify({ orgId, ...fields }));

const dlq = (...args: string[]) => analyticsHere(['dlq', ...args], environment);

const listForm = z.object({
  queue: z.string(),
  total: z.number(),
  matched: z.number(),
  letters: z.array(
    z.object({
      letter: z.string(),
      rejectedAt: z.string().nullable(),
      orgId: z.string().nullable(),
      eventId: z.string().nullable(),
      reasons: z.array(z.string()),
      bytes: z.number(),
    }),
  ),
  reasons: z.array(z.object({ reason: z.string(), letters: z.number() })),
});

async function list(...args: string[]) {
  const { code, stdout, stderr } = await dlq('list', '--json', ...args);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return listForm.parse(JSON.parse(stdout));
}

const offsetsLeft = async (...args: string[]) =>
  (await list(...args)).letters.map(({ letter }) => Number(letter.split('/')[1]));

const headers = {
  'x-source-stream': 'x',
  'x-source-offset': 'not a number',
  'x-reasons': '{',
  'x-death': [{ count: 3 }],
};
async function putForeign(content: Buffer): Promise<void> {
  await withChannel(url, async (channel) => {
    channel.sendToQueue(queue, content, { headers, messageId: 'theirs' });
    // Answered only once what was sent before is in the queue's hands.
    await channel.checkQueue(queue);
  });
  await until('it is there', async () => (await broker.messageCount(queue)) > 0);
}

async function lettersIn(name: string): Promise<QueuedMessage[]> {
  const browser = await broker.browse(name, 100);
  const letters = await browser.next();
  await browser.close();
  return letters;
}

describe('list', () => {
  test('shows where each came from, when, whose, why and how large, and sums up the reasons', async () => {
    const beforeMs = Date.now();
    await reject(
      { content: invalid(), reasons: ['latencyMs: is required', 'status: is required'], offset: 7 },
      { content: Buffer.from('no JSON'), reasons: ['not JSON: \u001b[2J'], offset: 8 },
      { content: invalid(), reasons: ['latencyMs: is required'], offset: 9 },
    );
    const listed = await list();
    expect(listed).toMatchObject({
      queue,
      total: 3,
      matched: 3,
      letters: [
        { letter: `${stream}/7`, orgId, eventId: null, bytes: invalid().length },
        { letter: `${stream}/8`, orgId: null, bytes: 7 },
        { letter: `${stream}/9`, reasons: ['latencyMs: is required'] },
      ],
    });
    expect(listed.reasons[0]).toEqual({ reason: 'latencyMs: is required', letters: 2 });
    expect(Date.parse(listed.letters[0]?.rejectedAt ?? '')).toBeGreaterThanOrEqual(beforeMs);

    const { code, stdout } = await dlq('list');
    expect(code).toBe(0);
    expect(stdout).toContain(`${stream}/7`);
    expect(stdout).toContain('      2  latencyMs: is required');
    expect(stdout).toContain(`3 of 3 letters in ${queue} match`);
    // A sender must not move the cursor of whoever reads this.
    expect(stdout).not.toContain('\u001b');
  });

  test('takes nothing out, and everything returns in its order', async () => {
    const offsets = Array.from({ length: 600 }, (_, index) => index);
    await reject(...offsets.map((offset) => ({ content: invalid({ offset }), offset })));
    for (let time = 0; time < 3; time += 1) {
      expect(await offsetsLeft('--limit', '10000')).toEqual(offsets);
      expect(await broker.messageCount(queue)).toBe(600);
    }
  });

  test('lists no more than --limit, and counts what is beyond', async () => {
    await reject(...Array.from({ length: 5 }, () => ({ content: invalid() })));
    const { stdout } = await dlq('list', '--limit', '2');
    expect(stdout.match(new RegExp(`^${stream}/`, 'gm'))).toHaveLength(2);
    expect(stdout).toContain('5 of 5 letters');
    expect(stdout).toContain('the first 2 are listed');
  });

  test('finds what a filter asks for, and what every filter asks for together', async () => {
    const eventId = randomUUID();
    const other = randomUUID();
    await reject(
      { content: invalid({ eventId }), reasons: ['status: is required'], offset: 0 },
      { content: invalid({ orgId: other.toUpperCase() }), offset: 1 },
      { content: invalid(), offset: 2, from: 'elsewhere' },
      { content: Buffer.from([0xff]), reasons: ['not UTF-8'], offset: 3 },
    );
    expect(await offsetsLeft('--reason', 'is req')).toEqual([0, 1, 2]);
    expect(await offsetsLeft('--reason', 'UTF')).toEqual([3]);
    expect(await offsetsLeft('--stream', 'elsewhere')).toEqual([2]);
    expect(await offsetsLeft('--offset', '1')).toEqual([1]);
    expect(await offsetsLeft('--offset', '1-2')).toEqual([1, 2]);
    expect(await offsetsLeft('--org', other)).toEqual([1]);
    expect(await offsetsLeft('--event', eventId)).toEqual([0]);
    const soon = new Date(Date.now() + 60_000).toISOString();
    expect(await offsetsLeft('--since', '2026-01-01', '--until', soon)).toEqual([0, 1, 2, 3]);
    expect(await offsetsLeft('--since', soon)).toEqual([]);
    expect(await offsetsLeft('--until', '2026-01-01')).toEqual([]);
    expect(await offsetsLeft('--org', orgId, '--reason', 'latency')).toEqual([2]);
  });

  test('an empty queue is no fault', async () => {
    expect(await list()).toMatchObject({ total: 0, matched: 0, letters: [], reasons: [] });
    expect((await dlq('replay')).code).toBe(0);
    expect((await dlq('drop', '--all', '--yes')).code).toBe(0);
  });
});

describe('show', () => {
  test('tells everything of one letter, and that it would be valid now', async () => {
    const content = valid();
    await reject({ content: invalid(), offset: 3 }, { content, offset: 4 });
    const { code, stdout } = await dlq('show', `${stream}/4`);
    expect(code).toBe(0);
    for (const text of [
      'latencyMs: is required',
      `x-source-stream: "${stream}"`,
      'now       valid',
      content.toString(),
    ]) {
      expect(stdout).toContain(text);
    }
    expect(await offsetsLeft()).toEqual([3, 4]);
    const json = await dlq('show', '--json', '--offset', '4');
    expect(JSON.parse(json.stdout)).toMatchObject({
      letter: `${stream}/4`,
      bytes: content.toString('base64'),
      isValidNow: true,
    });
  });

  test('gives bytes that are no text in hexadecimal, and why they are not valid', async () => {
    await reject({ content: Buffer.from([0xff, 0x00, 0x1b]), reasons: ['not UTF-8'] });
    const { stdout } = await dlq('show', `${stream}/0`);
    expect(stdout).toContain('ff001b');
    expect(stdout).toMatch(/now {7}not valid\n {2}not UTF-8/);
  });

  test('a letter that is not there is exit code 1', async () => {
    const { code, stderr } = await dlq('show', `${stream}/99`);
    expect(code).toBe(1);
    expect(stderr).toBe(`dlq: no letter in ${queue} matches\n`);
  });
});

describe('replay', () => {
  test('publishes what is valid now to its partition, keeps the rest and says why', async () => {
    environment = { ...environment, RABBITMQ_STREAM_PARTITIONS: '3' };
    settings = readSettings(environment);
    const content = valid();
    await reject({ content, offset: 1 }, { content: invalid(), offset: 2 });
    const { code, stdout } = await dlq('replay');
    expect(code).toBe(1);
    expect(stdout).toContain(`published  ${stream}/1`);
    expect(stdout).toMatch(new RegExp(`kept {2}${stream}/2 {2}eventId: is required; `));
    expect(stdout).toContain('1 published, 1 still not valid');
    expect(await offsetsLeft()).toEqual([2]);
    const heads = await Promise.all([0, 1, 2].map((part) => broker.head(`${stream}-${part}`)));
    expect(heads.filter((head) => head !== null)).toEqual([0]);

    // Nothing is left to do: the second time changes nothing.
    expect((await dlq('replay', '--json')).stdout).toContain('"published":[]');
    await withChannel(url, (channel) => channel.deleteQueue(stream));
  });

  test('takes the filters and --limit, and --dry-run publishes nothing', async () => {
    await reject(...[0, 1, 2, 3].map((offset) => ({ content: valid(), offset })));
    const dry = await dlq('replay', '--dry-run', '--offset', '1-3', '--limit', '2');
    expect(dry.code).toBe(0);
    expect(dry.stdout).toContain('2 would be published, 0 still not valid, 1 beyond --limit');
    expect(await broker.head(stream)).toBeNull();
    expect(await offsetsLeft()).toEqual([0, 1, 2, 3]);
    await dlq('replay', '--offset', '1-3', '--limit', '2');
    expect(await broker.head(stream)).toBe(1);
    expect(await offsetsLeft()).toEqual([0, 3]);
  });

  test('publishes a packed one as it was sent, from the queue and from a file', async () => {
    const event = usageEvent({ orgId });
    const packed = { content: gzipSync(encodeEvent(event)), contentEncoding: 'gzip' };
    await reject({ ...packed, offset: 7 }, { ...packed, contentEncoding: 'br', offset: 8 });
    const { letters } = await list('--event', event.eventId);
    expect(letters).toMatchObject([{ letter: `${stream}/7`, bytes: packed.content.length }]);
    const shown = await dlq('show', `${stream}/7`);
    expect(shown.stdout).toContain(encodeEvent(event).toString());
    expect(shown.stdout).toContain(`bytes     ${packed.content.length} of gzip, as text`);
    const file = join(folder, `${randomUUID()}.ndjson`);
    await dlq('drop', '--offset', '7', '--yes', '--to', file);
    const fromFile = await dlq('replay', '--from', file);
    expect(fromFile.stdout).toContain('1 published, 0 still not valid');
    await reject({ ...packed, offset: 7 });
    const { stdout } = await dlq('replay');
    expect(stdout).toContain('1 published, 1 still not valid');
    expect(stdout).toContain('the message has the content encoding br, which is not known here');
    const sent: StreamMessage[] = [];
    const reader = await broker.read(stream, null, 10, (message) => message);
    while (sent.length < 2) sent.push(...(await reader.take(10, 50, 5_000)));
    await reader.close();
    for (const message of sent) expect(message).toMatchObject(packed);
  });

  test('leaves somebody else’s message alone', async () => {
    await putForeign(valid());
    expect((await list()).letters).toMatchObject([
      { letter: 'foreign/theirs', rejectedAt: null, orgId, reasons: [] },
    ]);
    expect((await dlq('show', '--org', orgId)).stdout).toContain('x-death: [{"count":3}]');
    const { code, stdout } = await dlq('replay');
    expect(code).toBe(1);
    expect(stdout).toContain('is not ours');
    expect(await broker.head(stream)).toBeNull();
    expect(await broker.messageCount(queue)).toBe(1);
  });

  test('never sends a conflict, though it is a valid event, nor from a file', async () => {
    const content = valid();
    await reject({
      content,
      reasons: ['occurredAt: differs from what is stored'],
      isConflict: true,
    });
    expect((await dlq('show', '--org', orgId)).stdout).toContain('now       not valid');
    const { code, stdout } = await dlq('replay');
    expect(code).toBe(1);
    expect(stdout).toContain('is a conflict');
    const file = join(folder, `${randomUUID()}.ndjson`);
    expect((await dlq('drop', '--org', orgId, '--to', file, '--yes')).code).toBe(0);
    expect((await dlq('replay', '--from', file)).stdout).toContain('is a conflict');
    expect(await broker.head(stream)).toBeNull();
  });

  describe('with a consumer', () => {
    let server: TestDatabase;
    let database: Database;
    let consumer: ConsumerChild | undefined;

    beforeEach(async () => {
      server = await createDatabase();
      database = openDatabase({ url: server.url });
      environment = { ...environment, DATABASE_URL: server.url };
      consumer = undefined;
    });
    afterEach(async () => {
      consumer?.signal('SIGKILL');
      await consumer?.ended;
      await database.close();
      await server.drop();
    });

    test('killed between publish and removal, then done twice: each event is stored once', async () => {
      const events = Array.from({ length: 20 }, () => usageEvent({ orgId }));
      await reject(
        ...events.map((event, offset) => ({ content: encodeEvent(event), offset: offset + 100 })),
      );
      const killed = await runProgram(
        ['--import', 'tsx', 'test/support/dlq-process.ts'],
        environment,
      );
      expect(killed.code).toBe('SIGKILL');
      await until('the letters are back', async () => (await broker.messageCount(queue)) === 20);
      expect(await readOffsets(url, stream, 20)).toHaveLength(20);
      expect((await dlq('replay')).code).toBe(0);
      expect((await dlq('replay')).code).toBe(0);
      expect(await broker.messageCount(queue)).toBe(0);

      consumer = spawnConsumer(environment);
      await until('both times were read', async () => {
        const [row] = await database.query<{ stored: number; duplicates: number }>(
          `select events_stored as stored, events_duplicate as duplicates
           from analytics.stream_offsets where stream = $1`,
          [stream],
        );
        return row?.stored === 20 && row.duplicates === 20;
      });
      expect(await storageDifferences(database, events)).toEqual({ missing: [], surplus: [] });
    });

    test('a packed event is stored; one that cannot be unpacked says why, and keeps its bytes', async () => {
      const events = Array.from({ length: 4 }, () => usageEvent({ orgId }));
      const [gzip, upper, charset, plain] = events.map((event) => encodeEvent(event));
      const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
      const messages = [
        { content: gzipSync(gzip ?? ''), contentEncoding: 'gzip' },
        { content: gzipSync(upper ?? ''), contentEncoding: 'X-GZIP' },
        // What Spring and Celery say of JSON.
        { content: charset, contentEncoding: 'UTF-8' },
        { content: plain, contentEncoding: 'identity' },
        { content: deflateSync(gzip ?? ''), contentEncoding: 'deflate' },
        { content: gzip, contentEncoding: 'gzip' },
        { content: bomb, contentEncoding: 'gzip' },
      ].map(({ content = Buffer.alloc(0), ...rest }) => ({ queue: stream, content, ...rest }));
      await broker.publish(messages, 10_000);
      consumer = spawnConsumer(environment);
      await until('three were rejected', async () => (await broker.messageCount(queue)) === 3);
      await until('the rest is stored', async () => {
        const { missing, surplus } = await storageDifferences(database, events);
        return missing.length === 0 && surplus.length === 0;
      });
      expect((await list()).letters).toMatchObject([
        { reasons: ['the message has the content encoding deflate, which is not known here'] },
        { reasons: [expect.stringMatching(/^the message is no gzip: /)] },
        { reasons: ['the message has more than 1048576 bytes once it is unpacked'] },
      ]);
      const [letter] = await lettersIn(queue);
      expect(letter).toMatchObject({ content: messages[4]?.content, contentEncoding: 'deflate' });
    });

    test('what a consumer rejects is found with its reasons', async () => {
      await publishTraffic(url, stream, [{ content: Buffer.from('{"status":7}'), event: null }]);
      consumer = spawnConsumer(environment);
      await until('it was rejected', async () => (await broker.messageCount(queue)) === 1);
      expect((await list('--reason', 'status: must be one of')).letters).toMatchObject([
        { letter: `${stream}/0` },
      ]);
    });
  });
});

describe('drop', () => {
  test('removes what matches and no other, and saves it before', async () => {
    const content = valid();
    const file = join(folder, `${randomUUID()}.ndjson`);
    await reject(
      { content, offset: 1 },
      { content: Buffer.from([0xff]), offset: 2 },
      { content: invalid(), offset: 3 },
    );
    const { code, stdout } = await dlq('drop', '--offset', '1-2', '--yes', '--to', file);
    expect(code).toBe(0);
    expect(stdout).toContain(`${stream}/1  latencyMs: is required`);
    expect(stdout).toContain('2 dropped');
    expect(await offsetsLeft()).toEqual([3]);
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { letter: `${stream}/1`, bytes: content.toString('base64') },
      { letter: `${stream}/2`, bytes: '/w==' },
    ]);

    const again = await dlq('replay', '--from', file);
    expect(again.code).toBe(1);
    expect(again.stdout).toContain('1 published, 1 still not valid');
    expect(await broker.head(stream)).toBe(0);
    expect(await offsetsLeft()).toEqual([3]);
    // What was saved before is not written over, and then nothing is dropped.
    expect((await dlq('drop', '--all', '--yes', '--to', file)).code).toBe(1);
    expect(await offsetsLeft()).toEqual([3]);
  });

  test('drops no more than --limit, oldest first', async () => {
    await reject(...[0, 1, 2].map((offset) => ({ content: invalid(), offset })));
    const { stdout } = await dlq('drop', '--all', '--yes', '--limit', '2');
    expect(stdout).toContain('2 dropped, 1 that match are left');
    expect(await offsetsLeft()).toEqual([2]);
  });

  test.each([
    ['without a filter', ['drop', '--yes'], 'drop needs a filter, or --all'],
    ['where nobody can be asked', ['drop', '--all'], 'drop needs --yes'],
    ['with an unknown verb', ['purge'], "unknown command 'purge'"],
    ['without a verb', [], 'needs list, show, replay or drop'],
    ['with a wrong letter', ['show', 'seven'], 'seven must be stream/offset'],
    ['with wrong values', ['list', '--limit', '0', '--org', 'x'], '--limit must be a whole number'],
    ['with a range that ends first', ['list', '--offset', '9-3'], '--offset must begin before'],
  ])('%s is refused with exit code 2', async (_, args, message) => {
    await reject({ content: invalid() });
    const { code, stderr } = await dlq(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(await broker.messageCount(queue)).toBe(1);
  });
});

describe('the broker', () => {
  let silent: TcpRelay;
  beforeAll(async () => {
    silent = await startSilentServer();
  });
  afterAll(() => silent.stop());

  test('that is away or silent is exit code 3 and one line', async () => {
    const absent = 'amqp://127.0.0.1:1';
    for (const RABBITMQ_URL of [absent, silent.through(absent)]) {
      const { code, stderr } = await analyticsCommand(['dlq', 'list'], {
        ...environment,
        RABBITMQ_URL,
      });
      expect(code).toBe(3);
      expect(stderr).toMatch(/^dlq: RabbitMQ is not available: .*\n$/);
    }
  });

  test('without the queue is exit code 1, and says what makes it', async () => {
    await withChannel(url, (channel) => channel.deleteQueue(queue));
    const { code, stderr } = await dlq('list');
    expect(code).toBe(1);
    expect(stderr).toBe(`dlq: RabbitMQ has no queue ${queue}; npm run bootstrap makes it\n`);
  });

  test('gives back what another reader holds, and says so meanwhile', async () => {
    await reject(...[0, 1, 2].map((offset) => ({ content: invalid(), offset })));
    const browser = await broker.browse(queue, 2);
    expect((await browser.next()).length).toBe(2);
    expect(await list()).toMatchObject({ total: 1 });
    await browser.close();
    expect((await offsetsLeft()).sort()).toEqual([0, 1, 2]);
  });
});

describe('what waits', () => {
  let system: System;
  beforeEach(async () => {
    system = await startSystem({ consume: false });
    queue = deadLetterQueueOf(system.settings);
    await declareStreams(broker, system.settings);
  });
  afterEach(() => system.close());

  const metric = async () => {
    const { app } = system;
    const samples = samplesOf(await (await app.request('/metrics')).text());
    return samples.get(`analytics_dead_letter_messages{queue="${queue}"}`);
  };

  test('is a metric that follows rejects and replays, by the refresh', async () => {
    expect(await metric()).toBeUndefined();
    await reject({ content: valid() }, { content: invalid() });
    await system.refresh();
    expect(await metric()).toBe(2);
    await analyticsCommand(['dlq', 'replay'], system.environment);
    await system.refresh();
    expect(await metric()).toBe(1);
  });

  test('is not told any more once nobody has looked for long', async () => {
    await system.refresh();
    expect(await metric()).toBe(0);
    const database = openDatabase({ url: system.environment.DATABASE_URL ?? '' });
    await database.query(
      `update analytics.dead_letter_queues set probed_at = probed_at - interval '16 minutes'`,
    );
    await database.close();
    expect(await metric()).toBeUndefined();
  });
});

test('10,000 letters are listed page by page, never all in memory', async () => {
  const content = Buffer.alloc(8_000, 'x');
  const count = 10_000;
  for (let start = 0; start < count; start += 1_000) {
    await reject(
      ...Array.from({ length: 1_000 }, (_, index) => ({ content, offset: start + index })),
    );
  }
  setFlagsFromString('--expose-gc');
  const collectGarbage: () => void = runInNewContext('gc');
  const held = () => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const before = held();
  let most = 0;
  let looks = 0;
  const watch = setInterval(() => {
    most = Math.max(most, held() - before);
    looks += 1;
  }, 20);
  const browser = await broker.browse(queue, 250);
  const filter = { reason: null, stream: null, offsets: null, org: null, event: null };
  const listed = await listLetters(browser, { ...filter, sinceMs: null, untilMs: null }, 100);
  clearInterval(watch);
  await browser.close();
  expect(listed).toMatchObject({ total: count, matched: count });
  expect(listed.letters).toHaveLength(100);
  // All of them are 80 MB, a page is 2.
  expect(looks).toBeGreaterThan(10);
  expect(most).toBeLessThan(15_000_000);
});
