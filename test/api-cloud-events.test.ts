import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { actorHeaders, type EventJson, eventJson, jsonPost } from './support/event-json.ts';
import { type System, startSystem } from './support/system.ts';

const path = '/analytics/v1/events';
const structuredType = 'application/cloudevents+json';
const batchType = 'application/cloudevents-batch+json';
const own = randomUUID();
const writer = actorHeaders(['analytics:events:write'], [own]);

let system: System;

beforeAll(async () => {
  system = await startSystem({ stream: false });
});
afterAll(() => system?.close());

type Attributes = Record<string, unknown>;

function cloudEvent(data: EventJson, over: Attributes = {}): Attributes {
  return {
    specversion: '1.0',
    id: data.eventId,
    source: '/gateway/eu-1',
    type: 'ai.usage.recorded.v1',
    subject: data.orgId,
    time: data.occurredAt,
    datacontenttype: 'application/json',
    data,
    ...over,
  };
}

/** Binary mode: attributes as `ce-` headers, the data as the body. */
function binary({ data, datacontenttype, ...attributes }: Attributes): RequestInit {
  const headers: Record<string, string> = { ...writer };
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) headers[`ce-${name}`] = encodeURI(String(value));
  }
  if (datacontenttype !== undefined) headers['Content-Type'] = String(datacontenttype);
  return {
    method: 'POST',
    headers,
    ...(data === undefined ? {} : { body: new TextEncoder().encode(asText(data)) }),
  };
}

const structured = (event: Attributes) => jsonPost(event, writer, structuredType);
const batch = (events: unknown) => jsonPost(events, writer, batchType);
const asText = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

async function send(init: RequestInit, to = path) {
  const response = await system.app.request(to, init);
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : JSON.parse(text) };
}

/** The faults of the one event that is expected to be rejected. */
async function faultsOf(init: RequestInit): Promise<{ path: string; message: string }[]> {
  const { status, body } = await send(init);
  const isForeign = body.detail.includes('forbidden');
  expect({ status, body }).toMatchObject({
    status: isForeign ? 403 : 422,
    body: { accepted: 0, rejected: 1 },
  });
  return body.results[0].errors;
}

const modes: [string, (event: Attributes) => RequestInit][] = [
  ['binary', binary],
  ['structured', structured],
  ['batched', (event) => batch([event])],
];

describe.each(modes)('in %s mode', (mode, request) => {
  test('an event is taken', async () => {
    const data = eventJson({ orgId: own });
    expect(await send(request(cloudEvent(data)))).toEqual({
      status: 202,
      body: {
        accepted: 1,
        rejected: 0,
        results: [{ index: 0, eventId: data.eventId, status: 'accepted' }],
      },
    });
  });

  test('optional attributes may be absent, extensions may be there, case does not matter', async () => {
    const data = eventJson({ orgId: own });
    const bare = { subject: undefined, time: undefined, datacontenttype: undefined };
    const other = { id: data.eventId.toUpperCase(), subject: own.toUpperCase(), traceparent: 'x' };
    for (const over of [bare, other]) {
      const { body } = await send(request(cloudEvent(data, over)));
      expect(body).toMatchObject({ accepted: 1 });
    }
  });

  test.each<[string, Attributes, string, RegExp]>([
    ['id missing', { id: undefined }, 'id', /^is required$/],
    ['source missing', { source: undefined }, 'source', /^is required$/],
    ['type missing', { type: undefined }, 'type', /^is required$/],
    ['an empty source', { source: '' }, 'source', /^must not be empty$/],
    [
      'specversion missing',
      { specversion: undefined },
      'specversion',
      /^(is required|must be 1\.0)$/,
    ],
    ['specversion 0.3', { specversion: '0.3' }, 'specversion', /^must be 1\.0$/],
    ['another type', { type: 'ai.usage.recorded.v2' }, 'type', /^must be ai\.usage\.recorded\.v1$/],
    ['id ≠ eventId', { id: randomUUID() }, 'id', /^must be data\.eventId$/],
    ['subject ≠ orgId', { subject: randomUUID() }, 'subject', /^must be data\.orgId$/],
    ['a wrong time', { time: 'today' }, 'time', /^must be an RFC 3339 date-time$/],
    [
      'data of another type',
      { datacontenttype: 'text/plain' },
      'datacontenttype',
      /application\/json/,
    ],
  ])('%s is a fault that is named', async (_, over, where, why) => {
    const data = eventJson({ orgId: own });
    const faults = await faultsOf(request(cloudEvent(data, over)));
    expect(faults).toEqual([{ path: where, message: expect.stringMatching(why) }]);
  });

  test('every fault is named at once: of the envelope, of the data, of the two together', async () => {
    const data = eventJson({ orgId: own, latencyMs: -1, costEstimateCents: 'much' });
    const over = { source: undefined, type: 'x', id: randomUUID(), subject: randomUUID() };
    const { body } = await send(request(cloudEvent(data, over)));
    const [result] = body.results;
    expect(result).toMatchObject({ eventId: data.eventId, status: 'rejected' });
    expect(result.errors.map((fault: { path: string }) => fault.path).sort()).toEqual(
      ['source', 'type', 'id', 'subject', 'data.latencyMs', 'data.costEstimateCents'].sort(),
    );
  });

  test('validate answers the same faults in a 400', async () => {
    const data = eventJson({ orgId: own, latencyMs: -1 });
    const { status, body } = await send(
      request(cloudEvent(data, { id: randomUUID() })),
      `${path}/validate`,
    );
    const prefix = mode === 'batched' ? '[0].' : '';
    expect(status).toBe(400);
    expect(body.errors).toEqual([
      { path: `${prefix}id`, message: 'must be data.eventId' },
      { path: `${prefix}data.latencyMs`, message: 'must not be negative' },
    ]);
  });

  test('attributes that are null are not set', async () => {
    if (mode === 'binary') return;
    const data = eventJson({ orgId: own });
    const nothing = { subject: null, time: null, datacontenttype: null, data_base64: null };
    const extensions = { dataschema: null, traceparent: null, knativeerrordest: null };
    for (const over of [nothing, extensions, { ...nothing, ...extensions }]) {
      const answer = await send(request(cloudEvent(data, over)));
      expect(answer).toMatchObject({ status: 202, body: { accepted: 1 } });
    }
    for (const name of ['id', 'source', 'type']) {
      expect(await faultsOf(request(cloudEvent(data, { [name]: null })))).toEqual([
        { path: name, message: 'is required' },
      ]);
    }
  });

  test('without data the event is rejected', async () => {
    const faults = await faultsOf(request(cloudEvent(eventJson(), { data: undefined })));
    expect(faults).toEqual([{ path: 'data', message: expect.any(String) }]);
  });

  test('an event of a foreign org is rejected as forbidden', async () => {
    const [fault] = await faultsOf(request(cloudEvent(eventJson())));
    expect(fault).toMatchObject({ path: 'orgId', message: expect.stringMatching(/^forbidden: /) });
  });

  test('a cost keeps its digits', async () => {
    const init = request(cloudEvent(eventJson({ orgId: own, costEstimateCents: 'COST' })));
    const text = Buffer.from(init.body as string | Uint8Array).toString('utf8');
    const { body } = await send({
      ...init,
      body: new TextEncoder().encode(text.replace('"COST"', '1234567890123.45678')),
    });
    expect(body.results[0].errors).toEqual([
      { path: 'data.costEstimateCents', message: 'must have at most 4 decimals' },
    ]);
  });
});

describe('in binary mode', () => {
  test('a body that is not JSON is a 400', async () => {
    const { status, body } = await send(binary(cloudEvent(eventJson(), { data: '{"eventId":' })));
    expect(status).toBe(400);
    expect(body.errors).toEqual([{ path: '', message: expect.stringMatching(/^must be JSON/) }]);
  });

  test('attributes are percent-decoded', async () => {
    const data = eventJson({ orgId: own });
    const init = binary(cloudEvent(data));
    const headers = { ...(init.headers as Record<string, string>), 'ce-source': '%F0%9F%9A%80' };
    const { body } = await send({ ...init, headers });
    expect(body).toMatchObject({ accepted: 1 });
  });
});

describe('in structured mode', () => {
  test('data_base64 is decoded', async () => {
    const data = eventJson({ orgId: own });
    const encoded = Buffer.from(JSON.stringify(data)).toString('base64');
    const event = cloudEvent(data, { data: undefined, data_base64: encoded });
    expect((await send(structured(event))).body).toMatchObject({ accepted: 1 });
  });

  test.each([
    ['no base64', '***', 'must be base64'],
    ['base64 of no JSON', Buffer.from('{"eventId":').toString('base64'), 'must hold JSON'],
    ['base64 of no UTF-8', Buffer.from([0x22, 0xff, 0x22]).toString('base64'), 'not UTF-8'],
  ])('data_base64 with %s is a fault', async (_, encoded, why) => {
    const event = cloudEvent(eventJson(), { data: undefined, data_base64: encoded });
    expect(await faultsOf(structured(event))).toContainEqual({
      path: 'data_base64',
      message: expect.stringContaining(why),
    });
  });

  test('data that is text and no object is a fault', async () => {
    const faults = await faultsOf(structured(cloudEvent(eventJson(), { data: 'not an event' })));
    expect(faults).toEqual([{ path: 'data', message: expect.stringContaining('object') }]);
  });

  test('a body that is no object is a fault', async () => {
    expect(await faultsOf(structured([] as unknown as Attributes))).toEqual([
      { path: '', message: expect.stringContaining('object') },
    ]);
  });
});

describe('in batched mode', () => {
  test('each event is answered alone', async () => {
    const [good, bad] = [eventJson({ orgId: own }), eventJson({ orgId: own, latencyMs: 1.5 })];
    const { body } = await send(batch([cloudEvent(bad), 5, cloudEvent(good)]));
    expect(body).toMatchObject({ accepted: 1, rejected: 2 });
    expect(body.results).toMatchObject([
      { index: 0, eventId: bad.eventId, errors: [{ path: 'data.latencyMs' }] },
      { index: 1, eventId: null, errors: [{ path: '' }] },
      { index: 2, eventId: good.eventId, status: 'accepted' },
    ]);
  });

  test('a batch of a million is refused by its number, before any of them is looked at', async () => {
    const answer = await send(batch(`[${'1,'.repeat(999_999)}1]`));
    expect(answer.status).toBe(400);
    expect(answer.body.errors).toEqual([
      { path: '', message: 'holds 1000000 events: send at most 1000 at a time' },
    ]);
  });

  test('more attributes than any CloudEvent has are refused by their number', async () => {
    const extra = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`extra${n}`, n]));
    const { status, body } = await send(batch([cloudEvent(eventJson({ orgId: own }), extra)]));
    expect(status).toBe(422);
    expect(body.errors).toEqual([{ path: '[0]', message: 'must have at most 64 attributes' }]);
  });

  test.each([
    ['no array', {}, /must be a JSON array/],
    ['empty', [], /at least one event/],
    ['more than 1,000', Array.from({ length: 1_001 }, () => 0), /send at most 1000/],
  ])('a batch that is %s is a 400', async (_, body, why) => {
    const answer = await send(batch(body));
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toMatch(why);
  });
});

describe('the refresh takes the schedule’s event', () => {
  const refreshPath = '/internal/refresh';
  const ping = (over: Attributes = {}): Attributes => ({
    specversion: '1.0',
    id: randomUUID(),
    source: '/apis/v1/namespaces/analytics/pingsources/refresh',
    type: 'dev.knative.sources.ping',
    datacontenttype: 'application/json',
    data: { job: 'refresh' },
    ...over,
  });

  test.each(modes.slice(0, 2))('in %s mode', async (_, request) => {
    await send(jsonPost(eventJson({ orgId: own }), writer));
    const { status, body } = await send(request(ping()), refreshPath);
    expect(status).toBe(200);
    expect(body).toEqual({
      foldedBatches: expect.any(Number),
      upkeep: { created: expect.any(Array), compressed: [], dropped: [] },
      probeFault: null,
    });
    expect(body.foldedBatches).toBeGreaterThan(0);
  });

  test.each<[string, Attributes, string[]]>([
    ['another type', { type: 'dev.knative.sources.ping2' }, ['type']],
    ['another job', { data: { job: 'verify' } }, ['data.job']],
    ['no job', { data: {} }, ['data.job']],
    ['no data', { data: undefined }, ['data']],
    ['several faults', { id: undefined, source: undefined, time: 'x' }, ['id', 'source', 'time']],
  ])('%s is a 400, which is not sent again', async (_, over, paths) => {
    for (const [, request] of modes.slice(0, 2)) {
      const { status, body } = await send(request(ping(over)), refreshPath);
      expect(status).toBe(400);
      expect(body.errors.map((fault: { path: string }) => fault.path)).toEqual(paths);
    }
  });

  test('a batch, or plain JSON, is a 400', async () => {
    for (const init of [batch([ping()]), jsonPost(ping(), {})]) {
      const { status, body } = await send(init, refreshPath);
      expect(status).toBe(400);
      expect(body.detail).toContain('one CloudEvent');
    }
  });

  test('from another machine there is nothing here', async () => {
    const from = (remoteAddress: string) => ({ incoming: { socket: { remoteAddress } } });
    const ask = async (address: string) =>
      (await system.app.request(refreshPath, structured(ping()), from(address))).status;
    expect(await ask('10.1.2.3')).toBe(404);
    expect(await ask('::ffff:10.1.2.3')).toBe(404);
    expect(await ask('127.0.0.1')).toBe(200);
    expect(await ask('::1')).toBe(200);
  });
});
