import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { type Server, serve } from '../../shared/http/serve.ts';
import { eventJson } from '../support/event-json.ts';
import { corpusFiles, fuzzRuns } from '../support/fuzz.ts';
import { adminHeaders, type System, startSystem } from '../support/system.ts';

const events = '/analytics/v1/events';
const structuredType = 'application/cloudevents+json';
const batchType = 'application/cloudevents-batch+json';

let system: System;
let server: Server;

beforeAll(async () => {
  system = await startSystem({ stream: false });
  server = await serve(system.app, { PORT: 0, HTTP_PORT: 0, HTTP_HOST: '127.0.0.1' });
});
afterAll(async () => {
  await server?.close();
  await system?.close();
});

/** By a socket: headers are bytes there. */
const send = (target: string, init: RequestInit) =>
  fetch(`http://127.0.0.1:${server.port}${target}`, init);

/** An attribute's value, undefined where it is left out, and whether the event may have it. */
interface Attribute {
  value: string | undefined;
  isRight: boolean;
}
const right = (...values: (string | undefined)[]) =>
  fc.constantFrom(...values.map((value): Attribute => ({ value, isRight: true })));
const wrong = (...values: (string | undefined)[]) =>
  fc.constantFrom(...values.map((value): Attribute => ({ value, isRight: false })));
const mostly = (good: fc.Arbitrary<Attribute>, bad: fc.Arbitrary<Attribute>) =>
  fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: bad });

const text = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 20 })
  .filter((value) => value.isWellFormed());

/** Where the data is, and what of it must be said. */
type Place = 'data' | 'data_base64' | 'both' | 'neither';

interface WrittenEvent {
  attributes: Record<string, string>;
  data: unknown;
  place: Place;
  /** But for the place of its data. */
  isWell: boolean;
}

const writtenEvents: fc.Arbitrary<WrittenEvent> = fc
  .record({ eventId: fc.uuid(), orgId: fc.uuid(), latencyMs: fc.constantFrom(5, 5, 5, 5, 5, -1) })
  .chain(({ eventId, orgId, latencyMs }) => {
    const data = eventJson({ eventId, orgId, latencyMs });
    return fc
      .record({
        known: fc.record({
          specversion: mostly(right('1.0'), wrong(undefined, '0.3', '')),
          id: mostly(right(eventId, eventId.toUpperCase()), wrong(undefined, '', orgId, 'x')),
          source: mostly(
            text.map((value) => ({ value, isRight: true })),
            wrong(undefined, ''),
          ),
          type: mostly(
            right('ai.usage.recorded.v1'),
            wrong(undefined, '', 'dev.knative.sources.ping', 'AI.usage.recorded.v1'),
          ),
          subject: mostly(right(undefined, orgId, orgId.toUpperCase()), wrong('', eventId, '*')),
          time: mostly(right(undefined, data.occurredAt), wrong('today', '2026-01-01', '')),
          datacontenttype: mostly(
            right(undefined, 'application/json', 'application/json; charset=utf-8'),
            wrong('text/plain', 'application/xml', 'json'),
          ),
        }),
        // An extension may have any name but these.
        extensions: fc.dictionary(
          fc.oneof(
            fc.stringMatching(/^[a-z0-9]{1,12}$/),
            fc.constantFrom('constructor', 'traceparent', 'tracestate', 'knativeerrorcode'),
          ),
          text,
          { maxKeys: 2 },
        ),
        place: fc.constantFrom<Place>('data', 'data', 'data', 'data_base64', 'both', 'neither'),
      })
      .map(({ known, extensions, place }) => ({
        attributes: Object.fromEntries(
          [
            ...Object.entries(extensions).filter(([name]) => name !== 'data' && !(name in known)),
            ...Object.entries(known).map(([name, { value }]) => [name, value] as const),
          ].flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
        ),
        data,
        place,
        isWell: latencyMs >= 0 && Object.values(known).every((attribute) => attribute.isRight),
      }));
  });

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64');

function envelope({ attributes, data, place }: WrittenEvent): Record<string, unknown> {
  return {
    ...attributes,
    ...(place === 'data' || place === 'both' ? { data } : {}),
    ...(place === 'data_base64' || place === 'both' ? { data_base64: base64(data) } : {}),
  };
}

const post = (body: unknown, type: string): RequestInit => ({
  method: 'POST',
  headers: { ...adminHeaders, 'Content-Type': type },
  body: JSON.stringify(body),
});

/** Binary mode has one place for data, the body; a header of that name is none. */
function binary({ attributes, data, place }: WrittenEvent): RequestInit {
  const { datacontenttype, ...others } = attributes;
  return {
    method: 'POST',
    headers: {
      ...adminHeaders,
      ...Object.fromEntries(
        Object.entries(others).map(([name, value]) => [`ce-${name}`, encodeURIComponent(value)]),
      ),
      ...(place === 'both' ? { 'ce-data_base64': base64({}), 'ce-data': 'x' } : {}),
      ...(datacontenttype === undefined ? {} : { 'Content-Type': datacontenttype }),
    },
    ...(place === 'neither' ? {} : { body: new TextEncoder().encode(JSON.stringify(data)) }),
  };
}

const answerForm = z.object({
  accepted: z.int(),
  rejected: z.int(),
  results: z.array(
    z.discriminatedUnion('status', [
      z.object({
        index: z.int(),
        eventId: z.string().nullable(),
        status: z.enum(['accepted', 'duplicate']),
      }),
      z.object({
        index: z.int(),
        eventId: z.string().nullable(),
        status: z.enum(['rejected', 'conflict']),
        errors: z.array(z.object({ path: z.string(), message: z.string().min(1) })).min(1),
      }),
    ]),
  ),
});

/** Which of a request's events are events: ids come again here, with other content too. */
async function taken(init: RequestInit): Promise<boolean[]> {
  const response = await send(events, init);
  const body = await response.text();
  const { accepted, rejected, results } = answerForm.parse(JSON.parse(body));
  expect(response.status, body).toBe(accepted > 0 ? 202 : 422);
  const faulty = results.filter((result) => 'errors' in result).length;
  expect([accepted, rejected]).toEqual([results.length - faulty, faulty]);
  expect(results.map(({ index }) => index)).toEqual(results.map((_, index) => index));
  return results.map(({ status }) => status !== 'rejected');
}

test('an event is taken or rejected for what it is, in every mode', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(writtenEvents, { minLength: 1, maxLength: 4 }), async (written) => {
      const verdicts = written.map(
        ({ isWell, place }) => isWell && (place === 'data' || place === 'data_base64'),
      );
      expect(await taken(post(written.map(envelope), batchType))).toEqual(verdicts);
      for (const [index, one] of written.entries()) {
        expect(await taken(post(envelope(one), structuredType))).toEqual([verdicts[index]]);
        expect(await taken(binary(one))).toEqual([one.isWell && one.place !== 'neither']);
      }
    }),
    fuzzRuns(40),
  );
});

const targets = [
  events,
  `${events}/validate`,
  ...['refresh', 'export-worker', 'verify', 'status'].map((name) => `/internal/${name}`),
];

/** Sends it to whoever takes CloudEvents: an answer or a refusal, never an error of ours. */
async function expectNoError(init: RequestInit): Promise<void> {
  for (const target of targets) {
    const response = await send(target, init);
    const body = await response.text();
    expect(response.status, `${target}: ${body}`).toBeLessThan(500);
    if (response.status < 400) continue;
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    expect(body).not.toMatch(/node_modules|\bat .*\.ts:/);
  }
}

const header = fc.oneof(
  fc.constantFrom('ce-id', 'ce-type', 'ce-source', 'ce-specversion', 'ce-time', 'content-type'),
  fc.stringMatching(/^ce-[a-z0-9_.-]{1,10}$/),
);
const headerValue = fc.oneof(
  fc.constantFrom('1.0', '%00', '%', structuredType, batchType, 'application/json'),
  fc.constantFrom('dev.knative.sources.ping', 'ai.analytics.export.requested.v1', ''),
  fc.stringMatching(/^[\x20-\x7e\x80-\xff]{0,20}$/),
);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value))),
  fc
    .tuple(writtenEvents, fc.nat(400), fc.uint8Array({ maxLength: 4 }))
    .map(([written, at, instead]) => {
      const whole = Buffer.from(JSON.stringify(envelope(written)));
      const from = at % whole.length;
      return new Uint8Array(
        Buffer.concat([whole.subarray(0, from), instead, whole.subarray(from + instead.length)]),
      );
    }),
);

test('whatever is sent to those who take CloudEvents is answered or refused', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(header, headerValue), { maxLength: 6 }),
      body,
      async (headers, bytes) => {
        await expectNoError({
          method: 'POST',
          headers: { ...adminHeaders, ...Object.fromEntries(headers) },
          body: bytes,
        });
      },
    ),
    fuzzRuns(60),
  );
});

test.each(corpusFiles('cloud-events'))(
  '%s is taken or not, as its name says',
  async (name, file) => {
    const [head = '', ...rest] = file.toString('utf8').split('\n\n');
    const content = rest.join('\n\n').replace('{now}', new Date().toISOString());
    const headers = head.split('\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
    const init: RequestInit = {
      method: 'POST',
      headers: { ...adminHeaders, ...Object.fromEntries(headers) },
      body: new TextEncoder().encode(content),
    };
    await expectNoError(init);
    expect((await taken(init)).includes(true)).toBe(name.startsWith('taken-'));
  },
);
