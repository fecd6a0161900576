import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { findGaps } from '../shared/data-quality/gaps.ts';
import { deadLetterQueueOf } from '../shared/dead-letters/dead-letters.ts';
import { openDatabase } from '../shared/platform/database/db.ts';
import { drainDeadLetters } from './support/dead-letters.ts';
import { actorHeaders, eventJson, jsonPost } from './support/event-json.ts';
import { type LogLines, logLines } from './support/log-lines.ts';
import { services } from './support/services.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';

const path = '/analytics/v1/events';
const own = randomUUID();
const writer = actorHeaders(['analytics:events:write'], [own]);
const fault = z.strictObject({ path: z.string(), message: z.string().min(1) });
const result = z.discriminatedUnion('status', [
  z.strictObject({
    index: z.int(),
    eventId: z.string(),
    status: z.enum(['accepted', 'duplicate']),
  }),
  z.strictObject({
    index: z.int(),
    eventId: z.string().nullable(),
    status: z.enum(['rejected', 'conflict']),
    errors: z.array(fault).min(1),
  }),
]);
const receipt = z.strictObject({
  accepted: z.int(),
  rejected: z.int(),
  results: z.array(result),
});

let system: System;

beforeAll(async () => {
  system = await startSystem({ stream: false });
});
afterAll(() => system?.close());

async function post(body: unknown, headers = writer, contentType?: string, to = path) {
  const response = await system.app.request(to, jsonPost(body, headers, contentType));
  const text = await response.text();
  return {
    status: response.status,
    contentType: response.headers.get('Content-Type'),
    body: text === '' ? null : (JSON.parse(text) as unknown),
  };
}

function packed(body: Buffer, encoding: string) {
  return system.app.request(path, {
    method: 'POST',
    headers: { ...writer, 'Content-Type': 'application/json', 'Content-Encoding': encoding },
    body,
  });
}

/** What the counter of an outcome says. */
async function counted({ app }: System, outcome: string): Promise<number> {
  const text = await (await app.request('/metrics')).text();
  const line = new RegExp(
    `^analytics_ingestion_events_total\\{outcome="${outcome}"\\} (\\d+)$`,
    'm',
  );
  return Number(line.exec(text)?.[1]);
}

/** Expects a 202 and gives its receipt. */
async function accepted(body: unknown, headers = writer) {
  const answer = await post(body, headers);
  expect(answer).toMatchObject({ status: 202, contentType: 'application/json' });
  return receipt.parse(answer.body);
}

/** Expects a refusal of every event, with what became of each. */
async function refused(status: 403 | 422, body: unknown, headers = writer) {
  const answer = await post(body, headers);
  expect(answer).toMatchObject({ status, contentType: 'application/problem+json' });
  return problemForm(status, path).extend(receipt.shape).parse(answer.body);
}

function problemForm(status: number, instance: string) {
  return z.strictObject({
    type: z.string().startsWith('urn:analytics:problem:'),
    title: z.string(),
    status: z.literal(status),
    detail: z.string(),
    instance: z.literal(instance),
    errors: z.array(fault).max(21).optional(),
  });
}

/** Expects a problem with this status and gives its faults. */
async function problem(status: number, body: unknown, contentType?: string, to?: string) {
  const answer = await post(body, writer, contentType, to);
  expect(answer).toMatchObject({ status, contentType: 'application/problem+json' });
  return problemForm(status, to ?? path)
    .extend(receipt.partial().shape)
    .parse(answer.body);
}

describe('POST /events', () => {
  test('takes one event', async () => {
    const event = eventJson({ orgId: own });
    expect(await accepted(event)).toEqual({
      accepted: 1,
      rejected: 0,
      results: [{ index: 0, eventId: event.eventId, status: 'accepted' }],
    });
  });

  test('takes an array, and each event is answered at its index', async () => {
    const good = eventJson({ orgId: own });
    const foreign = eventJson();
    const broken = eventJson({ orgId: own, latencyMs: -1, status: 'fine' });
    const { results, ...counts } = await accepted([broken, good, foreign, 5, null]);
    expect(counts).toEqual({ accepted: 1, rejected: 4 });
    expect(results).toEqual([
      {
        index: 0,
        eventId: broken.eventId,
        status: 'rejected',
        errors: [
          { path: 'latencyMs', message: 'must not be negative' },
          { path: 'status', message: 'must be one of success, error, timeout, throttled' },
        ],
      },
      { index: 1, eventId: good.eventId, status: 'accepted' },
      {
        index: 2,
        eventId: foreign.eventId,
        status: 'rejected',
        errors: [
          { path: 'orgId', message: `forbidden: ${foreign.orgId} is not among the actor's orgs` },
        ],
      },
      { index: 3, eventId: null, status: 'rejected', errors: [expect.anything()] },
      { index: 4, eventId: null, status: 'rejected', errors: [expect.anything()] },
    ]);
  });

  test('an admin may send events of any org', async () => {
    const { accepted: count } = await accepted([eventJson(), eventJson()], adminHeaders);
    expect(count).toBe(2);
  });

  test('takes 1,000 events with all the metadata they may have; not one more', async () => {
    const full = () => eventJson({ orgId: own, metadata: { note: 'x'.repeat(4_080) } });
    const events = Array.from({ length: 1_000 }, full);
    expect(await accepted(events)).toMatchObject({ accepted: 1_000, rejected: 0 });
    const { detail } = await problem(
      400,
      Array.from({ length: 1_001 }, () => eventJson({ orgId: own })),
    );
    expect(detail).toMatch(/1001 events: send at most 1000/);
  });

  test('an empty array is a 400', async () => {
    const { errors } = await problem(400, []);
    expect(errors).toEqual([{ path: '', message: 'must hold at least one event' }]);
  });

  test.each([
    ['nothing', ''],
    ['half an object', '{"eventId":'],
    ['a number with a leading zero', '{"costEstimateCents": 012}'],
    ['a trailing comma', '[{},]'],
    ['XML', '<event/>'],
  ])('%s is a 400', async (_, text) => {
    const { errors } = await problem(400, text);
    expect(errors).toEqual([{ path: '', message: expect.stringMatching(/^must be JSON: /) }]);
  });

  test('bytes that are not UTF-8 are a 400', async () => {
    const response = await system.app.request(path, {
      method: 'POST',
      headers: { ...writer, 'Content-Type': 'application/json' },
      body: new Uint8Array([0x22, 0xff, 0x22]),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      detail: 'the body must be JSON: it is not UTF-8',
    });
  });

  test.each(['text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'json'])(
    'content type %s is a 415 that names what is taken',
    async (type) => {
      const { detail } = await problem(415, eventJson({ orgId: own }), type);
      expect(detail).toContain(`${type} is not known here`);
      expect(detail).toContain('application/cloudevents+json');
    },
  );

  test('without a content type it is a 415; with parameters and in capitals it is taken', async () => {
    const body = new TextEncoder().encode(JSON.stringify(eventJson({ orgId: own })));
    const bare = await system.app.request(path, { method: 'POST', headers: writer, body });
    expect(bare.status).toBe(415);
    const { status } = await post(
      eventJson({ orgId: own }),
      writer,
      'Application/JSON; charset=utf-8',
    );
    expect(status).toBe(202);
  });

  test('a body past the limit is a 413', async () => {
    const { detail } = await problem(413, `[${' '.repeat(8_388_608)}]`);
    expect(detail).toContain('8388608 bytes');
  });

  test('an event sent twice is accepted, then a duplicate, and counted once', async () => {
    const orgId = randomUUID();
    const event = eventJson({ orgId });
    const { results, ...counts } = await accepted([event, event], adminHeaders);
    expect(counts).toEqual({ accepted: 2, rejected: 0 });
    expect(results.map(({ status }) => status)).toEqual(['accepted', 'duplicate']);
    expect(await accepted(event, adminHeaders)).toMatchObject({
      accepted: 1,
      results: [{ status: 'duplicate' }],
    });
    expect(await totals(orgId)).toMatchObject({ invocations: 1 });
  });

  test('one event that is refused is a 422 with what is wrong, and with what became of it', async () => {
    const event = eventJson({ orgId: own, latencyMs: -1 });
    const errors = [{ path: 'latencyMs', message: 'must not be negative' }];
    expect(await refused(422, event)).toEqual({
      type: 'urn:analytics:problem:unprocessable',
      title: 'Nothing of it can be accepted',
      status: 422,
      detail: 'nothing was accepted: latencyMs must not be negative',
      instance: path,
      errors,
      accepted: 0,
      rejected: 1,
      results: [{ index: 0, eventId: event.eventId, status: 'rejected', errors }],
    });
  });

  test('an event of a foreign org alone is a 403, and so is a list of them', async () => {
    const foreign = eventJson();
    const one = await refused(403, foreign);
    expect(one.errors).toEqual([
      { path: 'orgId', message: `forbidden: ${foreign.orgId} is not among the actor's orgs` },
    ]);
    const list = await refused(403, [eventJson(), eventJson()]);
    expect(list.errors?.map((error) => error.path)).toEqual(['[0].orgId', '[1].orgId']);
  });

  test('a list of which nothing is accepted is a 422, for whatever reasons', async () => {
    const { errors, rejected } = await refused(422, [eventJson(), { ...eventJson(), status: 1 }]);
    expect(rejected).toBe(2);
    expect(errors?.map((error) => error.path)).toEqual(['[0].orgId', '[1].status']);
  });

  test('20 faults are told of an event and of a list, and how many more there are', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`k${n}`, n]));
    const event = eventJson({ orgId: own, metadata });
    const { errors, detail, results } = await refused(422, event);
    expect(errors).toHaveLength(21);
    expect(errors?.at(-1)).toEqual({ path: '', message: 'and 10 more' });
    expect(detail).toMatch(/; and 10 more$/);
    expect(results[0]).toMatchObject({ errors });
    const list = await problem(400, Array(1_000).fill(event), undefined, `${path}/validate`);
    expect(list.detail).toBe('30000 problems found');
    expect(list.errors).toHaveLength(21);
    const toldOf = list.results?.map((one) => ('errors' in one ? one.errors.length : 0)) ?? [];
    expect(toldOf).toHaveLength(1_000);
    expect(toldOf.reduce((sum, count) => sum + count)).toBeLessThan(3_000);
    expect(Math.min(...toldOf)).toBe(2);
  });

  test('a key of any length is told in part', async () => {
    const event = eventJson({ orgId: own, metadata: { ['x'.repeat(100_000)]: 1 } });
    const { errors } = await refused(422, event);
    expect(errors?.map((error) => error.path.length)).toEqual([201]);
  });

  test('more fields than any event has are refused by their number', async () => {
    const extra = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`extra${n}`, n]));
    const few = eventJson({ orgId: own, ...extra(100) });
    expect(await accepted(few)).toMatchObject({ accepted: 1 });
    const { errors } = await refused(422, eventJson({ orgId: own, ...extra(200_000) }));
    expect(errors).toEqual([{ path: '', message: 'must have at most 128 fields' }]);
  });

  test.each([
    ['a number', '0.5'],
    ['a number with an exponent', '5e-1'],
  ])('a cost under metadata that is %s is told as any other wrong type', async (_, cost) => {
    for (const name of ['costEstimateCents', 'inputCostCents', 'outputCostCents', 'other']) {
      const text = JSON.stringify(eventJson({ orgId: own, metadata: { [name]: 'COST' } }));
      const { errors } = await refused(422, text.replace('"COST"', cost));
      expect(errors).toEqual([{ path: `metadata.${name}`, message: 'must be string, not number' }]);
    }
  });

  test('a body packed by gzip is taken, by any of its names', async () => {
    for (const encoding of ['gzip', 'x-gzip', 'GZIP', 'identity']) {
      const text = Buffer.from(JSON.stringify(eventJson({ orgId: own })));
      const answer = await packed(encoding === 'identity' ? text : gzipSync(text), encoding);
      expect(answer.status, encoding).toBe(202);
    }
  });

  test.each(['br', 'deflate', 'zstd', 'gzip, gzip'])(
    'a body packed by %s is a 415 that says how it would be taken',
    async (encoding) => {
      const answer = await packed(Buffer.from('{}'), encoding);
      expect(answer.status).toBe(415);
      expect(answer.headers.get('Accept-Encoding')).toBe('gzip, identity');
      expect(await answer.json()).toMatchObject({
        type: 'urn:analytics:problem:unsupported-encoding',
        detail: `the content encoding ${encoding} is not known here: use gzip or identity`,
      });
    },
  );

  test('what is no gzip is a 400, and a bomb a 413', async () => {
    const broken = await packed(Buffer.from('{}'), 'gzip');
    expect(broken.status).toBe(400);
    expect(await broken.json()).toMatchObject({
      errors: [{ path: '', message: expect.stringMatching(/^is no gzip: /) }],
    });
    const bomb = gzipSync(Buffer.alloc(200_000_000, ' '));
    expect(bomb.length).toBeLessThan(250_000);
    expect((await packed(bomb, 'gzip')).status).toBe(413);
  });

  test('an event that comes again with other content is a conflict, and changes nothing', async () => {
    const orgId = randomUUID();
    const event = eventJson({ orgId, costEstimateCents: 1 });
    const other = { ...event, costEstimateCents: 99, inputTokens: 5_000 };
    const conflict = {
      eventId: event.eventId,
      status: 'conflict',
      errors: ['inputTokens', 'costEstimateCents'].map((path) => ({
        path,
        message: 'differs from what is stored of this event',
      })),
    };
    const fresh = eventJson({ orgId, costEstimateCents: 1 });
    expect(await accepted([event, other, fresh], adminHeaders)).toEqual({
      accepted: 2,
      rejected: 1,
      results: [
        { index: 0, eventId: event.eventId, status: 'accepted' },
        { index: 1, ...conflict },
        { index: 2, eventId: fresh.eventId, status: 'accepted' },
      ],
    });
    expect(await refused(422, other, adminHeaders)).toMatchObject({
      errors: conflict.errors,
      accepted: 0,
      rejected: 1,
      results: [{ index: 0, ...conflict }],
    });
    expect(await totals(orgId)).toMatchObject({ invocations: 2, costEstimateCents: 2 });
  });

  test('a retry that stamps itself again is a conflict, and names the time that is stored', async () => {
    const orgId = randomUUID();
    const [first, second] = [1, 2].map((minutes) =>
      new Date(Date.now() - minutes * 60_000).toISOString(),
    );
    const event = eventJson({ orgId, occurredAt: first });
    const retry = { ...event, occurredAt: second };
    await accepted(event, adminHeaders);
    const message = `differs from ${first}, with which this eventId is stored: a retry must repeat it`;
    expect(await accepted([retry, event], adminHeaders)).toMatchObject({
      accepted: 1,
      rejected: 1,
      results: [
        { status: 'conflict', errors: [{ path: 'occurredAt', message }] },
        { status: 'duplicate' },
      ],
    });
    // The same event id in another org is another event.
    const elsewhere = { ...retry, orgId: randomUUID() };
    expect(await accepted(elsewhere, adminHeaders)).toMatchObject({ accepted: 1 });
    expect(await totals(orgId)).toMatchObject({ invocations: 1 });
  });

  test('of retries that stamp themselves again at the same moment one is stored', async () => {
    const orgId = randomUUID();
    const event = eventJson({ orgId });
    const others = Array.from({ length: 5 }, () => eventJson({ orgId }));
    const nowMs = Date.now();
    const answers = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const occurredAt = new Date(nowMs - 60_000 - index).toISOString();
        const body = [{ ...event, occurredAt }, ...others];
        // On a slow machine one waits too long for the others; what it sent may be stored by then.
        return until('an answer', async () => {
          const answer = await post(body, adminHeaders);
          return answer.status === 202 ? receipt.parse(answer.body) : false;
        });
      }),
    );
    const conflicts = answers.filter(({ results }) => results[0]?.status === 'conflict');
    expect(conflicts).toHaveLength(11);
    expect(await totals(orgId)).toMatchObject({ invocations: 6 });
  });

  const invalid: [string, Record<string, unknown>, string[]][] = [
    ['no fields', wipe(), required()],
    [
      'no uuid',
      { eventId: 'x', orgId: 5, modelId: '', actorId: 'me' },
      ['eventId', 'orgId', 'modelId', 'actorId'],
    ],
    ['a time without a zone', { occurredAt: '2026-01-01T00:00:00' }, ['occurredAt']],
    ['30 February', { occurredAt: '2026-02-30T00:00:00Z' }, ['occurredAt']],
    ['a time far ahead', { occurredAt: '2999-01-01T00:00:00Z' }, ['occurredAt']],
    ['a time before retention', { occurredAt: '2001-01-01T00:00:00Z' }, ['occurredAt']],
    [
      'numbers that are none',
      { latencyMs: '5', inputTokens: 1.5, outputTokens: -1 },
      ['latencyMs', 'inputTokens', 'outputTokens'],
    ],
    ['an error code of a success', { errorCode: 'x' }, ['errorCode']],
    ['five decimals', { costEstimateCents: '0.00001' }, ['costEstimateCents']],
    ['half a cost split', { inputCostCents: 1 }, ['outputCostCents']],
    [
      'a split that does not add up',
      { inputCostCents: 1, outputCostCents: 1 },
      ['costEstimateCents'],
    ],
    [
      'long texts',
      { clientId: 'x'.repeat(129), status: 'error', errorCode: 'x'.repeat(129) },
      ['clientId', 'errorCode'],
    ],
    ['NUL', { clientId: 'a\u0000b' }, ['clientId']],
    ['metadata that is no text', { metadata: { a: 1, b: null } }, ['metadata.a', 'metadata.b']],
  ];

  test.each(invalid)(
    'rejects %s, naming every fault; validate answers them in a 400',
    async (_, over, paths) => {
      const event = eventJson({ orgId: own, ...over });
      const { results } = await accepted([event, eventJson({ orgId: own })]);
      const [first, second] = results;
      expect(second).toMatchObject({ status: 'accepted' });
      if (first?.status !== 'rejected') throw new Error('it was accepted');
      expect(first.errors.map((error) => error.path)).toEqual(paths);
      const single = await problem(400, event, undefined, `${path}/validate`);
      expect(single.errors).toEqual(first.errors);
      const list = await problem(400, [eventJson(), event], undefined, `${path}/validate`);
      expect(list.errors).toEqual(
        first.errors.map((error) => ({ ...error, path: `[1].${error.path}` })),
      );
    },
  );
});

describe('what is refused leaves its traces', () => {
  let counting: System;
  let log: LogLines;

  beforeAll(async () => {
    log = logLines({ LOG_LEVEL: 'info' });
    counting = await startSystem({ stream: false, logger: log.logger });
  });
  afterAll(() => counting?.close());

  const send = (body: unknown, headers = writer, to = path, type?: string) =>
    counting.app.request(to, jsonPost(body, headers, type));

  test('every refusal is counted: of events, of lists, of bodies that cannot be read', async () => {
    const good = eventJson({ orgId: own });
    const statuses: number[] = [];
    const note = async (answer: Promise<Response> | Response) =>
      statuses.push((await answer).status);
    await note(send([good, {}, eventJson()]));
    await note(send({}));
    await note(send([eventJson(), eventJson()]));
    await note(send('{"eventId":'));
    await note(send([]));
    await note(send(good, writer, path, 'text/plain'));
    expect(statuses).toEqual([202, 422, 403, 400, 400, 415]);
    // Nobody's, one without the right, and one that is only tried.
    await note(send({}, {}));
    await note(send({}, actorHeaders(['nothing'])));
    await note(send({}, writer, `${path}/validate`));
    expect(statuses.slice(6)).toEqual([401, 403, 400]);
    await until('all are counted', async () => (await counted(counting, 'rejected')) >= 8);
    expect(await counted(counting, 'rejected')).toBe(8);
    expect(await counted(counting, 'stored')).toBe(1);
    expect(
      log.saying('events refused').map(({ accepted, rejected }) => [accepted, rejected]),
    ).toEqual([
      [1, 2],
      [0, 1],
      [0, 2],
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
    expect(log.saying('events refused')[0]).toMatchObject({
      subject: 'test-actor',
      reason: expect.stringMatching(/^\[1\]\.eventId is required; .*forbidden: /),
    });
  });

  test('a flood of it leaves a few lines, and one with how many are left out', async () => {
    const told = () =>
      log.saying('more events refused').reduce((sum, { rejected }) => sum + Number(rejected), 0) +
      log.saying('events refused').reduce((sum, { rejected }) => sum + Number(rejected), 0);
    const [before, lines] = [told(), log.saying('events refused').length];
    for (let request = 0; request < 200; request += 1) await send([{}, {}]);
    await until('all are told of', async () => told() === before + 400);
    expect(log.saying('events refused').length - lines).toBeLessThan(200);
    expect(log.saying('more events refused').length).toBeGreaterThan(0);
  });
});

describe('POST /events/validate', () => {
  test('answers 204 to any actor for what is valid, and stores nothing', async () => {
    const orgId = randomUUID();
    const event = eventJson({ orgId });
    for (const body of [event, [event, eventJson({ orgId })]]) {
      const answer = await post(body, actorHeaders([]), undefined, `${path}/validate`);
      expect(answer).toMatchObject({ status: 204, body: null });
    }
    expect(await totals(orgId)).toMatchObject({ invocations: 0 });
  });
});

describe('through the stream', () => {
  let streaming: System;

  beforeAll(async () => {
    streaming = await startSystem();
  });
  afterAll(() => streaming?.close());

  test('what is refused is counted by the consumer, and is no dead letter', async () => {
    const { RABBITMQ_URL } = services();
    const queue = deadLetterQueueOf(streaming.settings);
    await until('the stream is there', async () => {
      const response = await streaming.app.request(path, jsonPost(eventJson(), adminHeaders));
      return response.status === 202;
    });
    const refusals = [[{}, {}], {}, [eventJson(), {}]];
    for (const body of refusals) await streaming.app.request(path, jsonPost(body, adminHeaders));
    await until('all are counted', async () => (await counted(streaming, 'rejected')) >= 4);
    await until(
      'what was accepted is stored',
      async () => (await counted(streaming, 'stored')) >= 2,
    );
    expect(await counted(streaming, 'rejected')).toBe(4);
    expect(await drainDeadLetters(RABBITMQ_URL, queue)).toEqual([]);
    // Batches add up, and their offsets have no gap that somebody would have to explain.
    const database = openDatabase({ url: streaming.settings.DATABASE_URL ?? '' });
    const [sums] = await database.query(
      `select sum(received)::int as received, sum(stored)::int as stored,
              sum(rejected)::int as rejected
       from analytics.ingestion_batches`,
    );
    expect(sums).toEqual({ received: 6, stored: 2, rejected: 4 });
    expect(await findGaps(database, new Date(Date.now() - 3_600_000))).toEqual([]);
    await database.close();
  });

  test('what was accepted shows up in usage, costs digit for digit', async () => {
    const orgId = randomUUID();
    // As a number beyond what a float can hold, as a decimal string, and with an exponent.
    const costs = ['12345678901234.5678', '"0.0001"', '1.5e3'];
    const body = `[${costs
      .map((cost) =>
        JSON.stringify(eventJson({ orgId, costEstimateCents: null })).replace(
          '"costEstimateCents":null',
          `"costEstimateCents":${cost}`,
        ),
      )
      .join(',')}]`;
    // The consumer declares the stream; until then events have nowhere to go, and that is a 503.
    const response = await until('the stream is there', async () => {
      const answer = await streaming.app.request(path, jsonPost(body, adminHeaders));
      return answer.status !== 503 && answer;
    });
    expect(await response.json()).toMatchObject({ accepted: 3, rejected: 0 });
    const text = await until('three events in usage', async () => {
      const answer = await usageText(streaming, orgId, 'none');
      return answer.includes('"invocations":3') && answer;
    });
    expect(text).toContain('"costEstimateCents":12345678902734.5679');
  });
});

async function usageText(from: System, orgId: string, groupBy: string): Promise<string> {
  const [start, end] = [-2, 1].map((hours) =>
    new Date(Date.now() + hours * 3_600_000).toISOString(),
  );
  const response = await from.app.request(
    `/analytics/v1/orgs/${orgId}/usage?start=${start}&end=${end}&groupBy=${groupBy}`,
    { headers: adminHeaders },
  );
  return response.text();
}

async function totals(orgId: string): Promise<unknown> {
  return JSON.parse(await usageText(system, orgId, 'none')).totals;
}

function required(): string[] {
  return [
    'eventId',
    'modelId',
    'occurredAt',
    'latencyMs',
    'status',
    'inputTokens',
    'outputTokens',
    'costEstimateCents',
  ];
}

function wipe(): Record<string, unknown> {
  return Object.fromEntries(required().map((name) => [name, undefined]));
}
