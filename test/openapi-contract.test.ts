import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { roles as everyRole } from '../shared/access.ts';
import { actorHeaders, eventJson, jsonPost } from './support/event-json.ts';
import { functionRoutes } from './support/function-routes.ts';
import {
  basePath,
  closedSchema,
  type DocumentedOperation,
  documentedOperations,
  headerChecks,
  queryParameters,
  refusalExample,
} from './support/openapi-document.ts';
import { type DocumentedService, documentedService } from './support/openapi-requests.ts';
import { adminHeaders } from './support/system.ts';

let folder: string;
let service: DocumentedService;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-openapi-'));
  service = await documentedService(folder);
});
afterAll(async () => {
  await service?.close();
  await rm(folder, { recursive: true, force: true });
});

test('the document has the routes that the functions mount, no more and no fewer', () => {
  const mounted = functionRoutes()
    .filter(({ path }) => path.startsWith(basePath))
    // What the page loads is the page's own affair.
    .filter(({ path }) => path !== `${basePath}/docs/:file`)
    .map(({ method, path }) => {
      const template = path.slice(basePath.length).replace(/\/$/, '');
      return `${method} ${template.replace(/:(\w+)/g, '{$1}')}`;
    });
  const documented = documentedOperations.map(({ name }) => name);
  expect([...documented].sort()).toEqual([...new Set(mounted)].sort());
});

/** Expects an answer to be one that the document has, and gives its body. */
async function expectDocumented(
  operation: DocumentedOperation,
  status: number,
  response: Response,
): Promise<unknown> {
  const text = await response.text();
  expect(response.status, text).toBe(status);
  const documented = operation.responses[status];
  if (documented === undefined) throw new Error(`${operation.name} documents no ${status}`);
  for (const [name, form] of headerChecks(documented)) {
    const fault = form.safeParse(response.headers.get(name)).error;
    expect(fault, `${name}: ${response.headers.get(name)}`).toBeUndefined();
  }
  const [type = ''] = response.headers.get('Content-Type')?.split(';') ?? [];
  const content = Object.entries(documented.content);
  expect(content.map(([documentedType]) => documentedType)).toEqual(type === '' ? [] : [type]);
  const [[, { schema }] = [undefined, { schema: { const: '' } }]] = content;
  const body: unknown = type.endsWith('json') ? JSON.parse(text) : text;
  expect(closedSchema(schema).safeParse(body).error, text).toBeUndefined();
  return body;
}

const answers = documentedOperations.flatMap((operation) =>
  Object.keys(operation.responses).map(
    (status) => [`${operation.name} ${status}`, operation, Number(status)] as const,
  ),
);

test.each(answers)('%s is answered as it is documented', async (_, operation, status) => {
  const { system, path, init } = await service.requestFor(operation, status);
  const response = await system.app.request(path, init);
  const body = await expectDocumented(operation, status, response);
  if (status < 400 || operation.path === '/status/readyz') return;
  const documented = operation.responses[status];
  const example = documented === undefined ? {} : refusalExample(documented);
  expect(body).toMatchObject({ ...example, status, instance: path.split('?')[0] });
});

/** The best that an operation answers. */
function successOf({ responses }: DocumentedOperation): number {
  return Math.min(...Object.keys(responses).map(Number));
}

describe('more ways to ask', () => {
  const operationNamed = (name: string): DocumentedOperation => {
    const found = documentedOperations.find((operation) => operation.name === name);
    if (found === undefined) throw new Error(`${name} is not documented`);
    return found;
  };
  const get = async (name: string, orgId: string, query = '') => {
    const operation = operationNamed(`GET ${name}`);
    const { path } = await service.requestFor(operation, 200);
    const asked = `${path.replace(service.orgId, orgId)}${query}`;
    const response = await service.system.app.request(asked, { headers: adminHeaders });
    return expectDocumented(operation, 200, response);
  };

  test.each(['model', 'client', 'model,client', 'none'])('a series by %s', async (groupBy) => {
    for (const name of ['usage', 'reliability']) {
      const body = await get(`/orgs/{orgId}/${name}`, service.orgId, `&groupBy=${groupBy}`);
      expect(body).toMatchObject({ series: expect.arrayContaining([expect.anything()]) });
    }
  });

  test.each(['usage', 'reliability', 'freshness', 'models'])(
    'the %s of an org without events',
    async (name) => {
      await get(`/orgs/{orgId}/${name}`, randomUUID());
    },
  );

  test('a page of orgs that is not the last', async () => {
    const events = [eventJson(), eventJson()];
    await service.system.app.request(`${basePath}/events`, jsonPost(events, adminHeaders));
    const body = await get('/orgs', service.orgId, '&limit=1');
    expect(body).toMatchObject({ nextCursor: expect.any(String) });
  });

  test('events of which some or all are rejected, plain and as CloudEvents', async () => {
    const operation = operationNamed('POST /events');
    const bad = { latencyMs: -1 };
    const cloud = { specversion: '1.0', id: randomUUID(), source: '/test', type: 'other' };
    for (const [type, sent, status] of [
      ['application/json', [eventJson(), bad], 202],
      ['application/json', bad, 422],
      ['application/cloudevents+json', { ...cloud, data: bad }, 422],
      ['application/cloudevents-batch+json', [{ ...cloud, data: eventJson() }], 422],
    ] as const) {
      const init = jsonPost(sent, adminHeaders, type);
      const response = await service.system.app.request(`${basePath}/events`, init);
      const body = await expectDocumented(operation, status, response);
      expect(body).toMatchObject({ rejected: 1 });
    }
  });

  test('an event of another org, and events that are only tried', async () => {
    const writer = actorHeaders([everyRole.eventsWrite], [randomUUID()]);
    for (const [name, sent, status] of [
      ['/events', eventJson(), 403],
      ['/events/validate', [{}, eventJson()], 400],
    ] as const) {
      const response = await service.system.app.request(basePath + name, jsonPost(sent, writer));
      const body = await expectDocumented(operationNamed(`POST ${name}`), status, response);
      expect(body).toMatchObject({ rejected: 1 });
    }
  });

  test('a packed body of another kind', async () => {
    const init = jsonPost([eventJson()], { ...adminHeaders, 'Content-Encoding': 'br' });
    const response = await service.system.app.request(`${basePath}/events`, init);
    await expectDocumented(operationNamed('POST /events'), 415, response);
    expect(response.headers.get('Accept-Encoding')).toBe('gzip, identity');
  });

  test.each(['focus', 'events'])('the manifest of an export as %s', async (format) => {
    const create = operationNamed('POST /orgs/{orgId}/exports');
    const { path } = await service.requestFor(create, 202);
    const recent = new Date(Date.now() - 86_400_000).toISOString();
    const timeRange = { start: recent, end: new Date().toISOString() };
    const init = jsonPost({ timeRange, format }, adminHeaders);
    const job = await service.system.app.request(path, init);
    const self = job.headers.get('Location');
    await expectDocumented(create, 202, job);
    await service.system.exports.drain();
    const manifest = await service.system.app.request(`${self}/manifest`, {
      headers: adminHeaders,
    });
    const operation = operationNamed('GET /orgs/{orgId}/exports/{jobId}/manifest');
    expect(await expectDocumented(operation, 200, manifest)).toMatchObject({ format });
  });
});

/** Values of a parameter that its schema takes. */
function worthTrying(schema: Record<string, unknown>): unknown[] {
  if (Array.isArray(schema.enum)) return schema.enum;
  if (schema.type === 'integer') return [schema.minimum, schema.maximum];
  if (schema.type === 'array') return [randomUUID()];
  return [schema.default];
}

const withQuery = documentedOperations.filter((operation) => queryParameters(operation).length > 0);

test.each(withQuery.map((operation) => [operation.name, operation] as const))(
  '%s takes each of its query parameters',
  async (_, operation) => {
    const { path, init, system } = await service.requestFor(operation, 200);
    for (const { name, required, schema } of queryParameters(operation)) {
      // The cursor is of an earlier answer.
      if (required || name === 'cursor') continue;
      for (const value of worthTrying(schema)) {
        const query = `${path.includes('?') ? '&' : '?'}${name}=${value}`;
        const response = await system.app.request(path + query, init);
        await expectDocumented(operation, 200, response);
      }
    }
  },
);

test.each(withQuery.map((operation) => [operation.name, operation] as const))(
  '%s does without what is not required, and not without what is',
  async (_, operation) => {
    const { path, init, system } = await service.requestFor(operation, 200);
    for (const { name } of queryParameters(operation).filter(({ required }) => required)) {
      const url = new URL(path, 'http://localhost');
      url.searchParams.delete(name);
      const response = await system.app.request(url.pathname + url.search, init);
      const body = await expectDocumented(operation, 400, response);
      expect(body).toMatchObject({ errors: [{ path: name, message: 'is required' }] });
    }
  },
);

test.each(documentedOperations.map((operation) => [operation.name, operation] as const))(
  '%s opens to the roles that the document names, each alone',
  async (_, operation) => {
    const { path, init, system } = await service.requestFor(operation, successOf(operation));
    const opens: string[] = [];
    for (const role of ['nothing', ...Object.values(everyRole)]) {
      const headers = { ...init.headers, ...actorHeaders([role], [service.orgId]) };
      const { status } = await system.app.request(path, { ...init, headers });
      if (status !== 403) opens.push(role);
    }
    const named = operation['x-roles'] ?? ['nothing', ...Object.values(everyRole)];
    expect(opens.sort()).toEqual([...new Set([...named, everyRole.admin])].sort());
  },
);

test.each(documentedOperations.map((operation) => [operation.name, operation] as const))(
  '%s asks for an actor where the document does',
  async (_, operation) => {
    const { path, init, system } = await service.requestFor(operation, successOf(operation));
    const type = new Headers(init.headers).get('Content-Type') ?? '';
    const response = await system.app.request(path, { ...init, headers: { 'Content-Type': type } });
    expect(response.status === 401).toBe(operation.security.length > 0);
  },
);
