import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { serve } from '../shared/http/serve.ts';
import { openDatabase } from '../shared/platform/database/db.ts';
import { saveNames } from '../shared/preparation/catalog.ts';
import { eventJson, jsonPost } from './support/event-json.ts';
import { rawRequest } from './support/raw-http.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';

const instant = z.iso.datetime({ offset: true });
const uuid = z.guid();
const status = z.enum(['fresh', 'stale', 'delayed', 'empty']);
const freshness = z.strictObject({
  status,
  lagSeconds: z.int().min(0).nullable(),
  lastEventAt: instant.nullable(),
  lastRollupAt: instant.nullable(),
  completeThrough: instant.nullable(),
});
const usageSums = {
  invocations: z.int(),
  errors: z.int(),
  inputTokens: z.int(),
  outputTokens: z.int(),
  costEstimateCents: z.number(),
};
const group = {
  bucketStart: instant,
  modelId: uuid.optional(),
  clientId: z.string().nullable().optional(),
};
const head = {
  orgId: uuid,
  granularity: z.enum(['hour', 'day', 'month']),
  timezone: z.string(),
  start: instant,
  end: instant,
};
const usageAnswer = z.strictObject({
  ...head,
  series: z.array(z.strictObject({ ...group, ...usageSums })),
  totals: z.strictObject(usageSums),
  freshness,
});
const latency = z.number().min(0).nullable();
const reliabilitySums = {
  invocations: z.int(),
  errorRate: z.number().min(0).max(1),
  statusCounts: z.strictObject({
    success: z.int(),
    error: z.int(),
    timeout: z.int(),
    throttled: z.int(),
  }),
  latencyMs: z.strictObject({ p50: latency, p95: latency, p99: latency }),
};
const reliabilityAnswer = z.strictObject({
  ...head,
  percentile: z.enum(['p50', 'p95', 'p99']),
  series: z.array(z.strictObject({ ...group, ...reliabilitySums })),
  totals: z.strictObject(reliabilitySums),
  topErrors: z.array(
    z.strictObject({
      errorCode: z.string().nullable(),
      modelId: uuid,
      clientId: z.string().nullable(),
      count: z.int().min(1),
    }),
  ),
  freshness,
});
const freshnessAnswer = z.strictObject({
  orgId: uuid,
  status,
  lagSeconds: z.int().min(0).nullable(),
  completeThrough: instant.nullable(),
  entries: z.array(z.strictObject({ modelId: uuid, ...freshness.shape })),
});
const modelsAnswer = z.strictObject({
  orgId: uuid,
  orgName: z.string().nullable(),
  models: z.array(
    z.strictObject({
      modelId: uuid,
      name: z.string().nullable(),
      firstEventAt: instant,
      lastEventAt: instant,
    }),
  ),
});
const orgsAnswer = z.strictObject({
  items: z.array(z.strictObject({ orgId: uuid, name: z.string().nullable(), ...usageSums })),
  nextCursor: z.string().nullable(),
});
const componentState = z.enum(['healthy', 'unhealthy', 'not_configured']);
const readyAnswer = z.strictObject({
  status: z.enum(['ready', 'degraded']),
  components: z.strictObject({
    database: componentState,
    stream: componentState,
    cache: componentState,
    objectStore: componentState,
  }),
  timestamp: instant,
});

const orgId = randomUUID();
const [chatModel, codeModel] = ['a', 'b'].map(
  (digit) => `${digit.repeat(8)}${randomUUID().slice(8)}`,
);
const dayStart = `${new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;
const at = (minutes: number) => new Date(Date.parse(dayStart) + minutes * 60_000).toISOString();
const window = `start=${dayStart}&end=${new Date(Date.now() + 3_600_000).toISOString()}`;

let system: System;

beforeAll(async () => {
  system = await startSystem({ stream: false });
  const chat = { orgId, modelId: chatModel };
  const events = [
    eventJson({ ...chat, occurredAt: at(5), latencyMs: 100, costEstimateCents: '0.0001' }),
    eventJson({
      ...chat,
      occurredAt: at(65),
      clientId: 'web',
      latencyMs: 200,
      status: 'error',
      errorCode: 'overloaded',
      costEstimateCents: '1.5',
    }),
    eventJson({
      orgId,
      modelId: codeModel,
      occurredAt: at(66),
      latencyMs: 30_000,
      status: 'timeout',
      costEstimateCents: '12345678901234.5678',
    }),
  ];
  const response = await system.app.request('/analytics/v1/events', jsonPost(events, adminHeaders));
  expect(response.status).toBe(202);
  const database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
  await saveNames(database, {
    orgs: [{ id: orgId, name: 'Acme' }],
    models: [{ id: chatModel ?? '', name: 'chat' }],
  });
  await database.close();
});
afterAll(() => system?.close());

async function answer<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema>> {
  const response = await system.app.request(path, { headers: adminHeaders });
  expect(response.headers.get('Content-Type')).toBe('application/json');
  const body: unknown = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status: 200 });
  return schema.parse(body);
}

// The same before and after the fold: an answer must not depend on what is in the rollups.
describe.each(['stored', 'folded'])('of events that are %s', (state) => {
  beforeAll(async () => {
    if (state === 'folded') await system.refresh();
  });

  test('usage answers a series by model, ascending and sparse, and totals', async () => {
    const path = `/analytics/v1/orgs/${orgId}/usage?${window}&granularity=hour`;
    const usage = await answer(path, usageAnswer);
    expect(usage).toMatchObject({ orgId, granularity: 'hour', timezone: 'UTC', start: dayStart });
    expect(usage.series.map(({ bucketStart, modelId }) => [bucketStart, modelId])).toEqual([
      [dayStart, chatModel],
      [at(60).replace('.000', ''), chatModel],
      [at(60).replace('.000', ''), codeModel],
    ]);
    expect(usage.series[1]).toEqual({
      bucketStart: at(60).replace('.000', ''),
      modelId: chatModel,
      invocations: 1,
      errors: 1,
      inputTokens: 10,
      outputTokens: 20,
      costEstimateCents: 1.5,
    });
    expect(usage.totals).toMatchObject({ invocations: 3, errors: 2, inputTokens: 30 });
    expect(usage.freshness.lastEventAt).toBe(at(66));
  });

  test('a cost comes back digit for digit, as a JSON number', async () => {
    const path = `/analytics/v1/orgs/${orgId}/usage?${window}`;
    const response = await system.app.request(path, { headers: adminHeaders });
    const text = await response.text();
    expect(text).toContain('"costEstimateCents":12345678901234.5678');
    // The sum of all three, beyond what a float can hold.
    expect(text).toContain('"costEstimateCents":12345678901236.0679');
  });

  test.each([
    ['client', [undefined], ['web', null]],
    ['model,client', [chatModel, codeModel], ['web', null]],
    ['none', [undefined], [undefined]],
    ['model', [chatModel, codeModel], [undefined]],
  ])('groupBy=%s keeps apart just that', async (groupBy, modelIds, clientIds) => {
    const query = `${window}&groupBy=${groupBy}`;
    const usage = await answer(`/analytics/v1/orgs/${orgId}/usage?${query}`, usageAnswer);
    const reliability = await answer(
      `/analytics/v1/orgs/${orgId}/reliability?${query}`,
      reliabilityAnswer,
    );
    for (const { series } of [usage, reliability]) {
      expect(new Set(series.map((point) => point.modelId))).toEqual(new Set(modelIds));
      expect(new Set(series.map((point) => point.clientId))).toEqual(new Set(clientIds));
      expect(series.reduce((sum, point) => sum + point.invocations, 0)).toBe(3);
    }
  });

  test('modelId and clientId filter, also repeated', async () => {
    const count = async (filter: string) => {
      const path = `/analytics/v1/orgs/${orgId}/usage?${window}&${filter}`;
      return (await answer(path, usageAnswer)).totals.invocations;
    };
    expect(await count(`modelId=${chatModel}`)).toBe(2);
    expect(await count(`modelId=${chatModel}&modelId=${codeModel?.toUpperCase()}`)).toBe(3);
    expect(await count('clientId=web')).toBe(1);
    expect(await count('clientId=web&clientId=')).toBe(3);
    expect(await count(`clientId=web&modelId=${codeModel}`)).toBe(0);
  });

  test('reliability answers rates, counts, percentiles and the top errors', async () => {
    const path = `/analytics/v1/orgs/${orgId}/reliability?${window}&percentile=p99`;
    const reliability = await answer(path, reliabilityAnswer);
    expect(reliability).toMatchObject({ percentile: 'p99', granularity: 'day' });
    expect(reliability.totals).toMatchObject({
      invocations: 3,
      errorRate: 0.666667,
      statusCounts: { success: 1, error: 1, timeout: 1, throttled: 0 },
    });
    const { p50, p99 } = reliability.totals.latencyMs;
    expect(Math.abs((p50 ?? 0) / 200 - 1)).toBeLessThan(0.021);
    expect(Math.abs((p99 ?? 0) / 30_000 - 1)).toBeLessThan(0.021);
    expect(reliability.topErrors).toHaveLength(2);
    expect(reliability.topErrors).toContainEqual({
      errorCode: 'overloaded',
      modelId: chatModel,
      clientId: 'web',
      count: 1,
    });
    expect(reliability.topErrors).toContainEqual({
      errorCode: null,
      modelId: codeModel,
      clientId: null,
      count: 1,
    });
  });

  test('freshness answers for the org and each model', async () => {
    const fresh = await answer(`/analytics/v1/orgs/${orgId}/freshness`, freshnessAnswer);
    expect(fresh.orgId).toBe(orgId);
    expect(fresh.entries.map(({ modelId }) => modelId)).toEqual([chatModel, codeModel]);
    expect(fresh.entries[1]?.lastEventAt).toBe(at(66));
    expect(fresh.status).toBe(state === 'folded' ? 'fresh' : 'delayed');
    if (state === 'folded') expect(fresh.entries[0]?.lastRollupAt).not.toBeNull();
    const one = await answer(
      `/analytics/v1/orgs/${orgId}/freshness?modelId=${codeModel}`,
      freshnessAnswer,
    );
    expect(one.entries.map(({ modelId }) => modelId)).toEqual([codeModel]);
  });

  test('models answers every model seen, with its first and last event', async () => {
    const { orgName, models } = await answer(`/analytics/v1/orgs/${orgId}/models`, modelsAnswer);
    expect(orgName).toBe('Acme');
    expect(models).toEqual([
      { modelId: chatModel, name: 'chat', firstEventAt: at(5), lastEventAt: at(65) },
      { modelId: codeModel, name: null, firstEventAt: at(66), lastEventAt: at(66) },
    ]);
  });

  test('an org id in capitals is the same org', async () => {
    const path = `/analytics/v1/orgs/${orgId.toUpperCase()}/usage?${window}`;
    const usage = await answer(path, usageAnswer);
    expect(usage).toMatchObject({ orgId, totals: { invocations: 3 } });
  });
});

test('an org without events is empty, and no time is invented for it', async () => {
  const nobody = randomUUID();
  const none = { lastEventAt: null, lastRollupAt: null, completeThrough: null, lagSeconds: null };
  const usage = await answer(`/analytics/v1/orgs/${nobody}/usage?${window}`, usageAnswer);
  expect(usage.series).toEqual([]);
  expect(usage.totals).toMatchObject({ invocations: 0, costEstimateCents: 0 });
  expect(usage.freshness).toEqual({ status: 'empty', ...none });
  const reliability = await answer(
    `/analytics/v1/orgs/${nobody}/reliability?${window}`,
    reliabilityAnswer,
  );
  expect(reliability.totals).toMatchObject({
    errorRate: 0,
    latencyMs: { p50: null, p95: null, p99: null },
  });
  expect(await answer(`/analytics/v1/orgs/${nobody}/freshness`, freshnessAnswer)).toEqual({
    orgId: nobody,
    status: 'empty',
    lagSeconds: null,
    completeThrough: null,
    entries: [],
  });
  const { orgName, models } = await answer(`/analytics/v1/orgs/${nobody}/models`, modelsAnswer);
  expect({ orgName, models }).toEqual({ orgName: null, models: [] });
});

test('buckets are local days, written with the zone’s own offset, and the window is echoed', async () => {
  const start = dayStart.replace('00:00:00Z', '00:00:00.250Z');
  const path = `/analytics/v1/orgs/${orgId}/usage?start=${start}&end=${at(1440)}&timezone=Asia/Kathmandu&groupBy=none`;
  const usage = await answer(path, usageAnswer);
  expect(Date.parse(usage.start)).toBe(Date.parse(start));
  expect(usage.start).toMatch(/T05:45:00\.250?\+05:45$/);
  expect(usage.timezone).toBe('Asia/Kathmandu');
  expect(usage.series[0]?.bucketStart).toMatch(/T00:00:00\+05:45$/);
});

test('orgs lists every org once over its pages, dearest first', async () => {
  const more = Array.from({ length: 6 }, (_, index) =>
    // Two orgs for each cost, so that a page may end between equals.
    eventJson({ occurredAt: at(30), costEstimateCents: `${Math.floor(index / 2)}.5` }),
  );
  const posted = await system.app.request('/analytics/v1/events', jsonPost(more, adminHeaders));
  expect(posted.status).toBe(202);
  const found: z.output<typeof orgsAnswer>['items'] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const next: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await answer(`/analytics/v1/orgs?${window}&limit=2${next}`, orgsAnswer);
    expect(page.items.length).toBeLessThanOrEqual(2);
    found.push(...page.items);
    expect(found.length).toBeLessThanOrEqual(7);
    cursor = page.nextCursor;
  }
  expect(found[0]).toMatchObject({ orgId, name: 'Acme', invocations: 3 });
  expect(found.slice(1).map((org) => org.costEstimateCents)).toEqual([
    2.5, 2.5, 1.5, 1.5, 0.5, 0.5,
  ]);
  expect(new Set(found.map((org) => org.orgId))).toEqual(
    new Set([orgId, ...more.map((event) => event.orgId)]),
  );
});

describe('what the platform asks', () => {
  test.each(['/health/liveness', '/health/readiness', '/analytics/v1/status/healthz'])(
    '%s answers OK to anyone',
    async (path) => {
      const response = await system.app.request(path);
      expect(response.status).toBe(200);
      expect(response.headers.get('Content-Type')).toMatch(/^text\/plain/);
      expect(await response.text()).toBe('OK');
    },
  );

  test('readyz names every component', async () => {
    // The first look loads the object store's client, which a busy machine does not do in time.
    const ready = await until('everything is healthy', async () => {
      const response = await system.app.request('/analytics/v1/status/readyz');
      expect(response.status).toBe(200);
      expect(response.headers.get('Content-Type')).toBe('application/json');
      const answer = readyAnswer.parse(await response.json());
      return answer.status === 'ready' && answer;
    });
    expect(ready).toMatchObject({
      status: 'ready',
      components: {
        database: 'healthy',
        stream: 'not_configured',
        cache: 'healthy',
        objectStore: 'healthy',
      },
    });
  });

  test('metrics are Prometheus text with what was ingested and asked', async () => {
    const response = await system.app.request('/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    expect(text).toMatch(/^analytics_ingestion_events_total\{outcome="stored"\} 9$/m);
    expect(text).toMatch(/^analytics_rollup_pending_batches \d+$/m);
    expect(text).toMatch(
      /^http_requests_total\{method="GET",route="\/analytics\/v1\/orgs\/:orgId\/usage",status="200"\} \d+$/m,
    );
    // Of requests only routes are counted: paths would make as many series as there are orgs.
    const http = text.split('\n').filter((line) => line.startsWith('http_'));
    expect(http.join('\n')).not.toContain(orgId);
    expect(text).toMatch(/^process_cpu_seconds_total /m);
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('X-Request-Id', () => {
  test.each(['a', 'req-42', 'A.b_c:d-1', 'x'.repeat(128)])('%s is echoed', async (id) => {
    const response = await system.app.request('/analytics/v1/status/healthz', {
      headers: { 'X-Request-Id': id },
    });
    expect(response.headers.get('X-Request-Id')).toBe(id);
  });

  test.each([undefined, '', 'with space', 'x'.repeat(129), 'a"b', 'ümlaut'])(
    '%s is replaced',
    async (id) => {
      const response = await system.app.request('/analytics/v1/status/healthz', {
        headers: id === undefined ? {} : { 'X-Request-Id': id },
      });
      expect(response.headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/);
    },
  );

  test.each([
    ['/no/such/path', 404],
    ['/health/liveness', 200],
    ['/metrics', 200],
    [`/analytics/v1/orgs/${orgId}/usage`, 401],
  ])('%s carries it too', async (path, expected) => {
    const response = await system.app.request(path, { headers: { 'X-Request-Id': 'req-7' } });
    expect(response.status).toBe(expected);
    expect(response.headers.get('X-Request-Id')).toBe('req-7');
  });
});

test.each([
  ['GET', '/analytics/v1/nothing'],
  ['PUT', '/analytics/v1/nothing'],
  ['GET', '/'],
  ['GET', '/analytics/v1/docs/no-such-file.js'],
])('%s %s is a 404 problem', async (method, path) => {
  const response = await system.app.request(path, { method, headers: adminHeaders });
  expect(response.status).toBe(404);
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
  expect(await response.json()).toEqual({
    type: 'urn:analytics:problem:not-found',
    title: 'Not found',
    status: 404,
    detail: `there is no ${method} ${path}`,
    instance: path,
  });
});

test.each([
  ['POST', `/analytics/v1/orgs/${orgId}/usage`, 'GET, HEAD'],
  ['OPTIONS', `/analytics/v1/orgs/${orgId}/usage`, 'GET, HEAD'],
  ['GET', '/analytics/v1/events', 'POST'],
  ['HEAD', '/analytics/v1/events/validate', 'POST'],
  ['OPTIONS', '/analytics/v1/events', 'POST'],
  ['DELETE', `/analytics/v1/orgs/${orgId}/exports`, 'GET, HEAD, POST'],
  ['PATCH', '/analytics/v1/exports', 'GET, HEAD, POST'],
  ['POST', '/analytics/v1/status/readyz', 'GET, HEAD'],
  ['PROPFIND', '/analytics/v1/openapi.json', 'GET, HEAD'],
  ['POST', '/metrics', 'GET, HEAD'],
  ['POST', '/health/liveness', 'GET, HEAD'],
  ['POST', '/analytics/console', 'GET, HEAD'],
])('%s %s is a 405 that names the methods it has', async (method, path, allow) => {
  for (const headers of [{}, adminHeaders]) {
    const response = await system.app.request(path, { method, headers });
    expect(response.status).toBe(405);
    expect(response.headers.get('Allow')).toBe(allow);
    if (method === 'HEAD') continue;
    expect(await response.json()).toEqual({
      type: 'urn:analytics:problem:method-not-allowed',
      title: 'Not by this method',
      status: 405,
      detail: `${path} does not take ${method}: it takes ${allow}`,
      instance: path,
    });
  }
});

test('TRACE, which only a socket can send, is a 405 too', async () => {
  const server = await serve(system.app, { HTTP_PORT: 0, HTTP_HOST: '127.0.0.1', PORT: undefined });
  try {
    const { status, headers } = await rawRequest(server.port, [
      'TRACE /analytics/v1/events HTTP/1.1',
      'Host: a',
    ]);
    expect(status).toBe(405);
    expect(headers).toMatch(/^allow: POST$/im);
  } finally {
    await server.close();
  }
});

test('HEAD is answered as GET, without the body', async () => {
  const response = await system.app.request('/analytics/v1/status/healthz', { method: 'HEAD' });
  expect(response.status).toBe(200);
  expect(await response.text()).toBe('');
});

test('over a socket it answers the same, and refuses a body without a length that grows too large', async () => {
  const server = await serve(system.app, { HTTP_PORT: 0, HTTP_HOST: '127.0.0.1', PORT: undefined });
  try {
    const base = `http://127.0.0.1:${server.port}`;
    const usage = await fetch(`${base}/analytics/v1/orgs/${orgId}/usage?${window}`, {
      headers: { ...adminHeaders, 'X-Request-Id': 'over-a-socket' },
    });
    expect(usage.headers.get('X-Request-Id')).toBe('over-a-socket');
    expect(usageAnswer.parse(await usage.json()).totals.invocations).toBe(3);
    const chunk = new Uint8Array(1_000_000).fill(32);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent >= 20) return controller.close();
        sent += 1;
        controller.enqueue(chunk);
        return undefined;
      },
    });
    const large = await fetch(`${base}/analytics/v1/events`, {
      method: 'POST',
      headers: { ...adminHeaders, 'Content-Type': 'application/json' },
      body,
      duplex: 'half',
    });
    expect(large.status).toBe(413);
    expect(large.headers.get('Content-Type')).toBe('application/problem+json');
    await large.text();
  } finally {
    await server.close();
  }
});
