import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { eventJson, jsonPost } from '../support/event-json.ts';
import { corpusLines, fuzzRuns } from '../support/fuzz.ts';
import { midnight } from '../support/midnight.ts';
import {
  basePath,
  closedSchema,
  type DocumentedOperation,
  documentedOperations,
  queryParameters,
} from '../support/openapi-document.ts';
import { adminHeaders, type System, startSystem } from '../support/system.ts';

const orgId = randomUUID();
const modelId = randomUUID();
const nowMs = Date.now();
const dayMs = 86_400_000;

let folder: string;
let system: System;
/** A job that is done, by where it was asked for. */
const jobIds = new Map<string, string>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-fuzz-'));
  system = await startSystem({
    stream: false,
    exportsFolder: folder,
    environment: { S3_ENDPOINT: '' },
  });
  const events = [1, 2, 40].map((daysAgo) =>
    eventJson({ orgId, modelId, clientId: 'web', occurredAt: midnight(daysAgo) }),
  );
  await system.app.request(`${basePath}/events`, jsonPost(events, adminHeaders));
  const timeRange = { start: midnight(3), end: midnight(0) };
  for (const home of [`/orgs/${orgId}`, '']) {
    const request = jsonPost({ timeRange }, adminHeaders);
    const job = await system.app.request(`${basePath}${home}/exports`, request);
    jobIds.set(home, z.object({ jobId: z.string() }).parse(await job.json()).jobId);
  }
  await system.exports.drain();
});
afterAll(async () => {
  await system?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Text as it stands in a URL: escaped, or as careless clients send it. */
const inUrl = (text: fc.Arbitrary<string>) =>
  fc
    .tuple(text, fc.boolean())
    .map(([value, isCareless]) =>
      isCareless ? value.replace(/[&#\s]/g, '+') : encodeURIComponent(value.toWellFormed()),
    );

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ maxLength: 8 }).map((text) => text.repeat(400)),
  fc.integer().map(String),
  fc.double().map(String),
  fc.constantFrom('', ' ', '%', '%00', '%ff', '\u0000', 'null', 'undefined', '[]', "'", '{a,b}'),
);

const instants = fc.oneof(
  fc.nat(400).map(midnight),
  fc
    .integer({ min: nowMs - 401 * dayMs, max: nowMs + 30 * dayMs })
    .map((ms) => new Date(ms).toISOString()),
  fc.constantFrom('9999-12-31T23:59:59.999Z', '0001-01-01T00:00:00Z', '2026-02-30T00:00:00Z'),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString().replace('Z', '+14:00')),
);
const zones = fc.oneof(
  fc.constantFrom(...Intl.supportedValuesOf('timeZone')),
  fc.constantFrom('utc', 'EST5EDT', '+05:30', '-00:00', '+0530', '+05', 'Z', 'Etc/GMT-14'),
  fc
    .tuple(instants, fc.constantFrom('', '[Europe/Berlin]', '[UTC]'))
    .map((parts) => parts.join('')),
);
const cursors = fc
  .tuple(fc.oneof(anyText, instants, fc.constantFrom('0', '12.5', '1e9')), fc.uuid())
  .map((place) => Buffer.from(JSON.stringify(place)).toString('base64url'));

type Parameter = ReturnType<typeof queryParameters>[number];
const enumOf = z.object({ enum: z.array(z.string()) });
const itemsOf = z.object({ items: z.record(z.string(), z.unknown()) });

/** The schema of one value of a parameter that may be repeated. */
function schemaOf({ schema }: Parameter): Record<string, unknown> {
  return itemsOf.safeParse(schema).data?.items ?? schema;
}

/** Values that the document would let through, or nearly. */
function likely(parameter: Parameter): fc.Arbitrary<string> {
  const schema = schemaOf(parameter);
  const named = enumOf.safeParse(schema).data?.enum;
  if (named !== undefined) return fc.constantFrom(...named);
  if (schema.format === 'uuid') return fc.oneof(fc.constant(modelId), fc.uuid());
  if (schema.format === 'date-time') return instants;
  if (schema.type === 'integer') return fc.integer({ min: -1, max: 600 }).map(String);
  if (parameter.name === 'timezone') return zones;
  if (parameter.name === 'cursor') return cursors;
  return anyText;
}

/** A query: required parameters mostly there, others now and then, names that nobody knows. */
function queries(operation: DocumentedOperation): fc.Arbitrary<string> {
  const parameters = queryParameters(operation);
  const of = (parameter: Parameter) => {
    const value = fc.oneof(
      { weight: 12, arbitrary: likely(parameter) },
      { weight: 1, arbitrary: anyText },
    );
    const count = parameter.required
      ? fc.constantFrom(1, 1, 1, 1, 1, 1, 1, 1, 0, 2)
      : fc.constantFrom(0, 0, 0, 1, 1, 1, 2);
    return count
      .chain((length) => fc.array(inUrl(value), { minLength: length, maxLength: length }))
      .map((values) => values.map((text) => `${parameter.name}=${text}`));
  };
  const strange = fc
    .tuple(
      inUrl(fc.oneof(anyText, fc.constantFrom('__proto__', 'constructor', 'modelid', 'start[]'))),
      inUrl(anyText),
    )
    .map(([name, value]) => [`${name}=${value}`]);
  const windows = parameters.some(({ name }) => name === 'start')
    ? fc
        .tuple(fc.nat(399), fc.nat(9))
        .map(([age, days]) => [`start=${midnight(age + days)}`, `end=${midnight(age)}`])
    : fc.constant<string[]>([]);
  return fc
    .tuple(
      fc.oneof(
        // A window that makes sense, and all else by chance.
        fc.tuple(
          windows,
          ...parameters.filter(({ name }) => name !== 'start' && name !== 'end').map(of),
        ),
        fc.tuple(fc.constant<string[]>([]), ...parameters.map(of)),
      ),
      fc.oneof(
        { weight: 8, arbitrary: fc.constant<string[]>([]) },
        { weight: 1, arbitrary: strange },
      ),
    )
    .map(([own, more]) => [...own.flat(), ...more].join('&'));
}

const ids = fc.oneof(
  { weight: 6, arbitrary: fc.constant('known') },
  { weight: 1, arbitrary: fc.uuid() },
  {
    weight: 1,
    // Dots and slashes in a path are for the rules of paths.
    arbitrary: inUrl(anyText).map((text) => text.replace(/[./\\?#&]|%2e|%2f|%5c/gi, '') || 'x'),
  },
);

const problemForm = z.object({
  status: z.number(),
  detail: z.string().min(1),
  errors: z.array(z.object({ path: z.string(), message: z.string().min(1) })).optional(),
});

/** What must never be told to a caller. */
const inner = /node_modules|\bat .*\.ts:|SQLSTATE|syntax error|invalid input syntax|relation "/;

/** By the contract an IANA name; an offset does no harm. */
const zoneForm = /^([A-Za-z][A-Za-z0-9_+/-]*|[+-]\d\d(:?\d\d)?)$/;

/** Asks, and expects an answer that the document has, or a refusal that names what is wrong. */
async function expectAnswer(operation: DocumentedOperation, target: string): Promise<number> {
  const { method, responses } = operation;
  const request =
    method === 'GET' ? { headers: adminHeaders } : jsonPost({ nothing: 1 }, adminHeaders);
  const response = await system.app.request(basePath + target, request);
  const { status } = response;
  const text = await response.text();
  expect(status, text).toBeLessThan(500);
  expect(text).not.toMatch(inner);
  // Where ids in the path are strange, there may be no such route.
  const documented = responses[status];
  if (status !== 404) expect(Object.keys(responses)).toContain(String(status));
  const [type = ''] = response.headers.get('Content-Type')?.split(';') ?? [];
  const sent = new URL(target, 'http://localhost').searchParams;
  if (status >= 400) {
    expect(type).toBe('application/problem+json');
    const { errors = [] } = problemForm.parse(JSON.parse(text));
    if (status !== 400 || method !== 'GET') return status;
    expect(errors.length, text).toBeGreaterThan(0);
    const known = [...sent.keys(), 'orgId', ...queryParameters(operation).map(({ name }) => name)];
    for (const { path, message } of errors) {
      // A long name is told in part, and of many faults the last says how many more.
      const start = path.replace(/\[\d+\]$/, '').replace(/\ufffd?…$/, '');
      const isKnown = path.endsWith('…')
        ? known.some((name) => name.startsWith(start))
        : known.includes(start) || /^and \d+ more$/.test(message);
      expect(isKnown, text).toBe(true);
    }
    return status;
  }
  const schema = documented?.content[type]?.schema;
  if (type === 'application/json' && schema !== undefined) {
    expect(closedSchema(schema).safeParse(JSON.parse(text)).error, text).toBeUndefined();
  }
  // Health and events have no parameters to be mistaken about.
  if (responses[400] === undefined || operation.path.startsWith('/events')) return status;
  for (const name of new Set(sent.keys())) {
    const parameter = queryParameters(operation).find((one) => one.name === name);
    if (parameter === undefined) throw new Error(`${name} was taken: ${target}`);
    const form = z.fromJSONSchema(schemaOf(parameter));
    const values = sent.getAll(name);
    if (!('items' in parameter.schema)) expect(values).toHaveLength(1);
    for (const value of values) {
      const read = schemaOf(parameter).type === 'integer' ? Number(value) : value;
      expect(form.safeParse(read).error, `${name}=${value}`).toBeUndefined();
      if (name === 'timezone') expect(value).toMatch(zoneForm);
    }
  }
  return status;
}

function inPath({ path }: DocumentedOperation, org: string, job: string): string {
  const home = path.startsWith('/orgs') ? `/orgs/${orgId}` : '';
  return path
    .replace('{orgId}', org === 'known' ? orgId : org)
    .replace('{jobId}', job === 'known' ? (jobIds.get(home) ?? '') : job);
}

describe.each(documentedOperations.map((operation) => [operation.name, operation] as const))(
  '%s',
  (_, operation) => {
    test('answers any parameters, or says which of them is wrong', async () => {
      let answered = 0;
      await fc.assert(
        fc.asyncProperty(ids, ids, queries(operation), async (org, job, query) => {
          const status = await expectAnswer(operation, `${inPath(operation, org, job)}?${query}`);
          if (status < 400) answered += 1;
        }),
        fuzzRuns(queryParameters(operation).length > 2 ? 60 : 25),
      );
      if (operation.method === 'GET') expect(answered).toBeGreaterThan(0);
    });
  },
);

const template = (path: string) => `GET ${path.split('?')[0]?.replace('{org}', '{orgId}')}`;

test.each(corpusLines('requests.txt'))('%s', async (line) => {
  const operation = documentedOperations.find(({ name }) => name === template(line));
  if (operation === undefined) throw new Error(`${template(line)} is no route`);
  const target = line
    .replace('{org}', orgId)
    .replace('{start}', midnight(3))
    .replace('{end}', midnight(0));
  await expectAnswer(operation, target);
});
