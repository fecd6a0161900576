import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportWorkerApp } from '../functions/export-worker/app.ts';
import { encodeEvent } from '../shared/events/usage-event.ts';
import { httpApp } from '../shared/http/app.ts';
import { serve } from '../shared/http/serve.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { startTelemetry } from '../shared/platform/telemetry/telemetry.ts';
import { actorHeaders, eventJson, jsonPost } from './support/event-json.ts';
import {
  type OtlpReceiver,
  type ReceivedSpan,
  startOtlpReceiver,
} from './support/otlp-receiver.ts';
import { services } from './support/services.ts';
import { withChannel } from './support/stream-traffic.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

/** OTLP's numbers. */
const kinds = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };
const statusError = 2;
const schemaForm = expect.stringMatching(/^https:\/\/opentelemetry\.io\/schemas\/1\.\d+\.0$/);

let receiver: OtlpReceiver;
let stopTelemetry: () => Promise<void>;
let system: System;
let database: Database;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  Object.assign(process.env, {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  });
  // Long enough for a hundred messages to be one batch.
  system = await startSystem({
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      INGESTION_BATCH_TIMEOUT: '1s',
      // The export of these tests fails for want of a bucket, which changes nothing of its trace.
      S3_BUCKET: `traces-${randomBytes(6).toString('hex')}`,
      K_SINK: await startSink(),
    },
  });
  stopTelemetry = await startTelemetry(system.settings, 'test', pino({ level: 'silent' }), null);
  database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
  // Once an event has come through, the stream takes and gives messages.
  await system.app.request('/analytics/v1/events', jsonPost(eventJson(), adminHeaders));
  await receiver.span('the first batch', isBatch);
});
afterAll(async () => {
  await database?.close();
  await system?.close();
  await stopTelemetry?.();
  await stopSink();
  await receiver?.stop();
});

/** OTLP's JSON has whole numbers as texts or numbers. */
function addressOf(url: string) {
  const { hostname, port } = new URL(url);
  return { 'server.address': hostname, 'server.port': Number(port) };
}

/** What the sink of new exports was sent. */
const announced: Record<string, string>[] = [];
const sink = createServer((request, response) => {
  announced.push(
    Object.fromEntries(
      Object.entries(request.headers).map(([name, header]) => [name, String(header)]),
    ),
  );
  response.writeHead(202).end();
});

async function startSink(): Promise<string> {
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
}

async function stopSink(): Promise<void> {
  sink.closeAllConnections();
  await new Promise((resolve) => sink.close(resolve));
}

interface Context {
  traceId: string;
  spanId: string;
  traceparent: string;
}

function newContext(flags = '01'): Context {
  const traceId = randomBytes(16).toString('hex');
  const spanId = randomBytes(8).toString('hex');
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}` };
}

const links = (span: ReceivedSpan) =>
  span.links.map(({ traceId, spanId }) => `${traceId}/${spanId}`);
const idOf = ({ traceId, spanId }: { traceId: string; spanId: string }) => `${traceId}/${spanId}`;
const linksTo = (context: Context | ReceivedSpan) => (span: ReceivedSpan) =>
  links(span).includes(idOf(context));
const isBatch = ({ name }: ReceivedSpan) => name === `process ${system.settings.RABBITMQ_STREAM}`;

/** As a producer in another language would: our own publisher would add its context. */
async function publish(headers: Record<string, unknown>[]): Promise<void> {
  await withChannel(services().RABBITMQ_URL, async (channel) => {
    for (const given of headers) {
      const content = encodeEvent(usageEvent({ inputTokens: 3, outputTokens: 4 }));
      channel.sendToQueue(system.settings.RABBITMQ_STREAM, content, { headers: given });
    }
    await channel.close();
  });
}

test('a hundred messages, each of its own trace, lead to their batch and on to its fold', async () => {
  const contexts = Array.from({ length: 100 }, () => newContext());
  await publish(contexts.map(({ traceparent }) => ({ traceparent })));

  const [first] = contexts;
  const batch = await receiver.span(
    'the batch',
    (span) => isBatch(span) && linksTo(first as Context)(span),
  );
  expect(links(batch).sort()).toEqual(contexts.map(idOf).sort());
  expect(batch).toMatchObject({
    kind: kinds.consumer,
    attributes: {
      'messaging.system': 'rabbitmq',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': system.settings.RABBITMQ_STREAM,
      'messaging.batch.message_count': 100,
      'analytics.batch.stored': 100,
      'gen_ai.usage.input_tokens': 300,
      'gen_ai.usage.output_tokens': 400,
      'gen_ai.request.model': usageEvent().modelId,
    },
  });
  expect(contexts.map(({ traceId }) => traceId)).not.toContain(batch.traceId);

  const [row] = await database.query<{ traceparent: string; stored: number }>(
    'select traceparent, stored from analytics.ingestion_batches where batch_id = $1',
    [Number(batch.attributes['analytics.batch.id'])],
  );
  expect(row).toEqual({ traceparent: `00-${batch.traceId}-${batch.spanId}-01`, stored: 100 });

  const fold = await receiver.span('the fold', linksTo(batch));
  expect(fold.name).toBe('fold');
});

test('of more contexts than a span may link to the sampled ones are linked', async () => {
  const contexts = Array.from({ length: 300 }, (_, index) => newContext(index < 200 ? '00' : '01'));
  await publish(contexts.map(({ traceparent }) => ({ traceparent })));
  const batch = await receiver.span(
    'the batch',
    (span) => isBatch(span) && linksTo(contexts[299] as Context)(span),
  );
  expect(batch.links).toHaveLength(128);
  expect(links(batch)).toEqual(expect.arrayContaining(contexts.slice(200).map(idOf)));
});

test.each([
  ['a malformed one', { traceparent: 'nonsense' }],
  ['one of zeros', { traceparent: `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01` }],
  ['one that is no text', { traceparent: 7 }],
])('%s is no context, and the event is stored all the same', async (_, headers) => {
  const marker = newContext();
  await publish([headers, { traceparent: marker.traceparent }]);
  const batch = await receiver.span('the batch', (span) => isBatch(span) && linksTo(marker)(span));
  expect(batch.links).toHaveLength(1);
  expect(batch.attributes).toMatchObject({
    'analytics.batch.stored': 2,
    'analytics.batch.rejected': 0,
  });
  // Only one of the two messages is of that trace.
  expect(batch.traceId).not.toBe(marker.traceId);
});

test('a request with a trace goes on it: server, publish and, being alone, the batch', async () => {
  const caller = newContext();
  const response = await system.app.request(
    '/analytics/v1/events',
    jsonPost(eventJson(), { ...adminHeaders, traceparent: caller.traceparent, tracestate: 'a=b' }),
  );
  expect(response.status).toBe(202);

  const server = await receiver.span(
    'the server',
    ({ parentSpanId }) => parentSpanId === caller.spanId,
  );
  expect(server).toMatchObject({
    traceId: caller.traceId,
    name: 'POST /analytics/v1/events',
    kind: kinds.server,
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/analytics/v1/events',
      'url.path': '/analytics/v1/events',
      'http.response.status_code': 202,
    },
  });
  const published = await receiver.span(
    'the publish',
    ({ parentSpanId }) => parentSpanId === server.spanId,
  );
  expect(published).toMatchObject({
    traceId: caller.traceId,
    name: `publish ${system.settings.RABBITMQ_STREAM}`,
    kind: kinds.producer,
    attributes: { 'messaging.system': 'rabbitmq', 'messaging.batch.message_count': 1 },
  });
  const batch = await receiver.span(
    'the batch',
    (span) => isBatch(span) && linksTo(published)(span),
  );
  expect(batch).toMatchObject({ traceId: caller.traceId, parentSpanId: published.spanId });
  await receiver.span('the fold', linksTo(batch));
});

test('CloudEvents bring their own traces, and keep them', async () => {
  const [one, two] = [newContext(), newContext()];
  const cloudEvent = (context: Context) => {
    const data = eventJson();
    return {
      specversion: '1.0',
      type: 'ai.usage.recorded.v1',
      source: '/test',
      id: data.eventId,
      subject: data.orgId,
      traceparent: context.traceparent,
      data,
    };
  };
  const { data, ...attributes } = cloudEvent(one);
  const binary = Object.fromEntries(
    Object.entries(attributes).map(([name, text]) => [`ce-${name}`, text]),
  );
  const answers = await Promise.all([
    system.app.request('/analytics/v1/events', jsonPost(data, { ...adminHeaders, ...binary })),
    system.app.request(
      '/analytics/v1/events',
      jsonPost([cloudEvent(two)], adminHeaders, 'application/cloudevents-batch+json'),
    ),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([202, 202]);
  for (const context of [one, two]) {
    await receiver.span('the publish', (span) => !isBatch(span) && linksTo(context)(span));
    await receiver.span('the batch', (span) => isBatch(span) && linksTo(context)(span));
  }
});

test('a read shows its statements, and neither their text nor their values', async () => {
  const orgId = randomUUID();
  const day = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
  const path = `/analytics/v1/orgs/${orgId}/usage`;
  const query = `start=${day}T00:00:00Z&end=${new Date().toISOString().slice(0, 10)}T00:00:00Z`;
  expect((await system.get(`${path}?${query}`)).status).toBe(200);
  const server = await receiver.span(
    'the server',
    ({ attributes }) => attributes['url.path'] === path,
  );
  expect(server.name).toBe('GET /analytics/v1/orgs/:orgId/usage');
  const ofTrace = await until('the statements', async () => {
    const spans = receiver.spans.filter(({ traceId }) => traceId === server.traceId);
    return spans.some(({ name }) => name === 'transaction') && spans;
  });
  const statements = ofTrace.filter(({ kind }) => kind === kinds.client);
  expect(statements.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['BEGIN', 'SELECT ingestion_batches', 'COMMIT']),
  );
  for (const { attributes } of statements) {
    expect(attributes).toMatchObject({
      'db.system.name': 'postgresql',
      ...addressOf(services().DATABASE_URL),
    });
    expect(JSON.stringify(attributes)).not.toContain(orgId);
    expect(JSON.stringify(attributes).length).toBeLessThan(300);
  }
});

test('calls to Redis and S3 are spans within their request', async () => {
  const caller = newContext();
  const headers = { ...adminHeaders, traceparent: caller.traceparent };
  await system.app.request(`/analytics/v1/orgs/${randomUUID()}/freshness`, { headers });
  await system.app.request('/analytics/v1/status/readyz', { headers });
  const ofTrace = (name: string) =>
    receiver.span(name, (span) => span.name === name && span.traceId === caller.traceId);
  expect(await ofTrace('GET')).toMatchObject({
    kind: kinds.client,
    attributes: {
      'db.system.name': 'redis',
      'db.operation.name': 'GET',
      ...addressOf(services().REDIS_URL),
    },
  });
  expect(await ofTrace('S3.ListObjectsV2')).toMatchObject({
    kind: kinds.client,
    attributes: {
      'rpc.system.name': 'aws-api',
      'rpc.method': 'S3/ListObjectsV2',
      ...addressOf(services().S3_ENDPOINT),
    },
  });
});

test('over HTTP the server says who was asked, by what and how', async () => {
  const server = await serve(system.app, { PORT: 0, HTTP_PORT: 0, HTTP_HOST: '127.0.0.1' });
  const caller = newContext();
  try {
    await fetch(`http://127.0.0.1:${server.port}/analytics/v1/status/healthz`, {
      headers: { traceparent: caller.traceparent, 'User-Agent': `test/1 ${'x'.repeat(1_000)}` },
    });
  } finally {
    await server.close();
  }
  const span = await receiver.span(
    'the server',
    ({ parentSpanId }) => parentSpanId === caller.spanId,
  );
  expect(span.attributes).toMatchObject({
    'url.scheme': 'http',
    'server.address': '127.0.0.1',
    'server.port': server.port,
    'user_agent.original': `test/1 ${'x'.repeat(249)}`,
    'network.protocol.version': '1.1',
  });
});

test('a batch that came by HTTP is part of its request, and no message', async () => {
  const direct = await startSystem({
    stream: false,
    environment: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url },
  });
  const caller = newContext();
  try {
    const headers = { ...adminHeaders, traceparent: caller.traceparent };
    const sent = await direct.app.request('/analytics/v1/events', jsonPost(eventJson(), headers));
    expect(sent.status).toBe(202);
    const span = await receiver.span(
      'the batch',
      ({ name, traceId }) => name === 'store batch' && traceId === caller.traceId,
    );
    expect(span).toMatchObject({
      kind: kinds.internal,
      attributes: { 'analytics.batch.stored': 1 },
    });
    expect(Object.keys(span.attributes).filter((key) => key.startsWith('messaging.'))).toEqual([]);
  } finally {
    await direct.close();
  }
});

test('no name of ours is one that the conventions gave up, and they are named', async () => {
  const [span] = receiver.spans;
  expect(span?.schemaUrls).toEqual({ resource: schemaForm, scope: schemaForm });
  expect(span?.resource).toMatchObject({
    'service.version': expect.stringMatching(/^\d+\.\d+\.\d+$/),
    'telemetry.sdk.name': 'opentelemetry',
    'telemetry.sdk.language': 'nodejs',
    'telemetry.sdk.version': expect.stringMatching(/^\d/),
  });
  const given = new Set(receiver.spans.flatMap(({ attributes }) => Object.keys(attributes)));
  const gone = [
    'rpc.system',
    'rpc.service',
    'db.system',
    'db.name',
    'http.method',
    'http.status_code',
  ];
  expect(gone.filter((name) => given.has(name))).toEqual([]);
});

test('probes and metrics are no traces', async () => {
  for (const path of ['/health/liveness', '/health/readiness', '/metrics']) {
    expect((await system.app.request(path)).status).toBe(200);
  }
  const marker = newContext();
  await publish([{ traceparent: marker.traceparent }]);
  await receiver.span('the batch', linksTo(marker));
  const paths = receiver.spans.map(({ attributes }) => attributes['url.path']);
  expect(paths).not.toEqual(expect.arrayContaining([expect.stringMatching(/^\/(health|metrics)/)]));
});

test('what fails is marked, and an unknown path has no route', async () => {
  const missing = `/nothing/${randomUUID()}`;
  await system.app.request(missing);
  const span = await receiver.span('404', ({ attributes }) => attributes['url.path'] === missing);
  expect(span.name).toBe('GET');
  expect(span.attributes['http.route']).toBeUndefined();
  expect(span.status.code).not.toBe(statusError);

  const away = await startSystem({
    stream: false,
    environment: { DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' },
  });
  try {
    const path = `/analytics/v1/orgs/${randomUUID()}/models`;
    expect((await away.get(path)).status).toBe(503);
    const failed = await receiver.span('503', ({ attributes }) => attributes['url.path'] === path);
    expect(failed.status.code).toBe(statusError);
    expect(failed.attributes).toMatchObject({
      'error.type': '503',
      'http.response.status_code': 503,
    });
  } finally {
    await away.close();
  }
});

test("an export's trace goes from its request through the CloudEvent to the worker", async () => {
  const caller = newContext();
  const day = (daysAgo: number) =>
    `${new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;
  const response = await system.app.request(
    '/analytics/v1/exports',
    jsonPost(
      { timeRange: { start: day(2), end: day(1) } },
      { ...actorHeaders(['admin']), traceparent: caller.traceparent },
    ),
  );
  expect(response.status).toBe(202);
  const [headers] = announced;
  const created = await receiver.span(
    'the announcement',
    ({ name, traceId }) => name.startsWith('CloudEvents Create') && traceId === caller.traceId,
  );
  const traceparent = `00-${created.traceId}-${created.spanId}-01`;
  expect(headers).toMatchObject({ traceparent, 'ce-traceparent': traceparent });

  const worker = httpApp({
    logger: pino({ level: 'silent' }),
    routes: [exportWorkerApp(system.exports)],
  });
  // A broker in between may have begun a trace of its own: the event's counts.
  const { 'ce-traceparent': _, ...others } = headers ?? {};
  const delivery = {
    ...others,
    traceparent: newContext().traceparent,
    'ce-traceparent': traceparent,
  };
  const { jobId } = (await response.json()) as { jobId: string };
  await worker.request('/', { method: 'POST', headers: delivery, body: JSON.stringify({ jobId }) });
  const span = await receiver.span('the export', ({ name }) => name === 'export');
  expect(span).toMatchObject({
    traceId: caller.traceId,
    parentSpanId: created.spanId,
    attributes: { 'analytics.export.job_id': jobId },
  });
});
