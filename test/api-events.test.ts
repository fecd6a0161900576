import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { actorHeaders, eventJson, jsonPost } from './support/event-json.ts';
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

/** Expects a 202 and gives its receipt. */
async function accepted(body: unknown, headers = writer) {
  const answer = await post(body, headers);
  expect(answer).toMatchObject({ status: 202, contentType: 'application/json' });
  return receipt.parse(answer.body);
}

/** Expects a problem with this status and gives its faults. */
async function problem(status: number, body: unknown, contentType?: string, to?: string) {
  const answer = await post(body, writer, contentType, to);
  expect(answer).toMatchObject({ status, contentType: 'application/problem+json' });
  return z
    .strictObject({
      type: z.string().startsWith('urn:analytics:problem:'),
      title: z.string(),
      status: z.literal(status),
      detail: z.string(),
      instance: z.literal(to ?? path),
      errors: z.array(fault).optional(),
    })
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
    expect(await accepted(other, adminHeaders)).toEqual({
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
