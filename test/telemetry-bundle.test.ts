import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { stop } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { bundleFunction } from '../scripts/build.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { type FunctionProcess, startFunctionProcess } from './support/function-process.ts';
import { startOtlpReceiver } from './support/otlp-receiver.ts';
import { startSilentServer } from './support/tcp-relay.ts';
import { until } from './support/until.ts';

/** Classes of what only sending needs, and of what only checking tokens does: bundles keep their names. */
const sdk = ['BasicTracerProvider', 'PeriodicExportingMetricReader', 'OTLPTraceExporter'];
const jose = ['JWSSignatureVerificationFailed', 'JWKSTimeout'];

let folder: string;
let bundle: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-bundle-'));
  bundle = await bundleFunction('usage', folder);
  await stop();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The usage function as it is deployed, without any server behind it. */
const start = (environment: Record<string, string>) =>
  startFunctionProcess(bundle, {
    DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none',
    ...environment,
  });

const coverageForm = z.object({ result: z.array(z.object({ url: z.string() })) });

/** Which of these classes are in the files of the bundle that were loaded. */
async function loadedOf(names: readonly string[], coverageFolder: string): Promise<string[]> {
  const [name = ''] = await readdir(coverageFolder);
  const coverage = JSON.parse(await readFile(join(coverageFolder, name), 'utf8'));
  const files = coverageForm
    .parse(coverage)
    .result.filter(({ url }) => url.endsWith('.cjs'))
    .map(({ url }) => readFile(new URL(url), 'utf8'));
  const text = (await Promise.all(files)).join('\n');
  return names.filter((each) => new RegExp(`\\b${each}=class\\b`).test(text));
}

async function askUsage({ url }: FunctionProcess): Promise<number> {
  const path = '/analytics/v1/orgs/00000000-0000-4000-8000-00000000000a/usage';
  const response = await fetch(
    `${url}${path}?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z`,
    {
      headers: { 'X-Actor-Subject': 'test', 'X-Actor-Roles': 'admin' },
    },
  );
  await response.arrayBuffer();
  return response.status;
}

test('without an endpoint nothing of the SDK is loaded', async () => {
  const coverage = join(folder, 'without');
  const running = await start({ NODE_V8_COVERAGE: coverage });
  await askUsage(running);
  expect((await running.terminate()).code).toBe(0);
  expect(await loadedOf(['Hono', ...sdk], coverage)).toEqual(['Hono']);
  // Nor of what checks tokens, where the gateway names the actor.
  expect(await loadedOf(jose, coverage)).toEqual([]);
});

test('what checks tokens is loaded with the first one', async () => {
  const coverage = join(folder, 'tokens');
  const running = await start({
    NODE_V8_COVERAGE: coverage,
    AUTH_MODE: 'jwt',
    JWT_JWKS_URL: 'http://127.0.0.1:1/keys',
    JWT_ISSUER: 'https://issuer.example',
    JWT_AUDIENCE: 'analytics',
  });
  const part = Buffer.from('{"alg":"RS256","kid":"a"}').toString('base64url');
  const ask = (token?: string) =>
    fetch(`${running.url}/analytics/v1/orgs`, {
      headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
    });
  expect((await ask()).status).toBe(401);
  expect((await ask(`${part}.${part}.${part}`)).status).toBe(503);
  await running.terminate();
  expect(await loadedOf(jose, coverage)).toEqual(jose);
});

test('with one it is, and what is left is sent before the process ends', async () => {
  const receiver = await startOtlpReceiver();
  try {
    const coverage = join(folder, 'with');
    const running = await start({
      NODE_V8_COVERAGE: coverage,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_BSP_SCHEDULE_DELAY: '60000',
    });
    await askUsage(running);
    expect(receiver.requests).toEqual([]);
    expect((await running.terminate()).code).toBe(0);
    const protobuf = expect.objectContaining({ 'content-type': 'application/x-protobuf' });
    expect(receiver.requests.toSorted((a, b) => (a.path < b.path ? -1 : 1))).toEqual([
      { path: '/v1/metrics', headers: protobuf, bytes: expect.any(Number) },
      { path: '/v1/traces', headers: protobuf, bytes: expect.any(Number) },
    ]);
    expect(await loadedOf(sdk, coverage)).toEqual(sdk);
    const traced = running.log().filter(({ msg }) => msg === 'access decision');
    expect(traced).toEqual([
      expect.objectContaining({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/) }),
    ]);
  } finally {
    await receiver.stop();
  }
});

test('what a function of a few requests has counted is sent as it ends', async () => {
  const receiver = await startOtlpReceiver();
  try {
    const running = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      SERVICE_NAME: 'a-service-of-ours',
    });
    for (let request = 0; request < 3; request += 1) await askUsage(running);
    await fetch(`${running.url}/analytics/v1/nothing`);
    expect(receiver.requests).toEqual([]);
    const startedMs = Date.now();
    await running.terminate();

    const route = '/analytics/v1/orgs/:orgId/usage';
    const asked = { method: 'GET', route, status: '503' };
    const only = (metric: string, attributes = {}) => {
      const points = receiver.points.filter(
        (point) => point.metric === metric && isDeepStrictEqual(point.attributes, attributes),
      );
      expect(points, metric).toHaveLength(1);
      return points[0];
    };
    expect(only('http_requests_total', asked)).toMatchObject({ kind: 'sum', asDouble: 3 });
    const unknown = { method: 'GET', route: '/*', status: '404' };
    expect(only('http_requests_total', unknown)).toMatchObject({ kind: 'sum', asDouble: 1 });
    // By OpenTelemetry's name, and by that alone.
    const duration = only('http.server.request.duration', {
      'http.request.method': 'GET',
      'url.scheme': 'http',
      'http.response.status_code': 503,
      'http.route': route,
      'error.type': '503',
    });
    expect(duration).toMatchObject({ kind: 'histogram', unit: 's', count: 3 });
    expect(receiver.points.map(({ metric }) => metric)).not.toContain(
      'http_request_duration_seconds',
    );
    expect(duration?.sum).toBeGreaterThan(0);
    expect(duration?.bucketCounts).toHaveLength((duration?.explicitBounds?.length ?? 0) + 1);
    expect(duration?.bucketCounts?.reduce((sum, count) => sum + count)).toBe(3);
    expect(only('process_cpu_seconds_total')?.asDouble).toBeGreaterThan(0);
    const memory = only('process_resident_memory_bytes');
    expect(memory).toMatchObject({ kind: 'gauge', unit: 'By', asDouble: expect.any(Number) });
    const [from, to] = [memory?.startTimeUnixNano, memory?.timeUnixNano].map(
      (nanos) => Number(nanos) / 1e6,
    );
    expect(from).toBeLessThan(startedMs);
    expect(to).toBeGreaterThanOrEqual(startedMs);
    for (const { resource } of receiver.points) {
      expect(resource).toMatchObject({
        'service.name': 'a-service-of-ours',
        'faas.name': 'usage',
        'service.version': expect.stringMatching(/^\d+\.\d+\.\d+$/),
        'telemetry.sdk.language': 'nodejs',
        'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      });
    }
  } finally {
    await receiver.stop();
  }
});

test('the standard variables count for metrics: interval, protocol, endpoint, headers', async () => {
  const [general, own] = await Promise.all([startOtlpReceiver(), startOtlpReceiver()]);
  try {
    const running = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: general.url,
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${own.url}/v1/metrics`,
      OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'x-token=of-ours',
      OTEL_METRIC_EXPORT_INTERVAL: '100',
    });
    const counts = () =>
      own.points
        .filter(
          ({ metric, attributes }) =>
            metric === 'http_requests_total' && attributes.status === '503',
        )
        .map(({ asDouble = 0 }) => asDouble);
    await askUsage(running);
    await until('the first is sent', async () => counts().includes(1));
    await askUsage(running);
    await until('the second is sent', async () => counts().includes(2));
    await running.terminate();
    // Cumulative: they never fall.
    expect(counts()).toEqual(counts().toSorted((a, b) => a - b));
    expect(own.requests.every(({ headers }) => headers['x-token'] === 'of-ours')).toBe(true);
    expect(general.requests.map(({ path }) => path)).toEqual(['/v1/traces']);
  } finally {
    await Promise.all([general.stop(), own.stop()]);
  }
});

test.each([
  ['OTEL_METRICS_EXPORTER', 'none', ['/v1/traces']],
  ['OTEL_TRACES_EXPORTER', 'none', ['/v1/metrics']],
  ['OTEL_TRACES_SAMPLER', 'always_off', ['/v1/metrics']],
  ['OTEL_SDK_DISABLED', 'true', []],
  // What makes no sense is as if it were not there.
  ['OTEL_METRIC_EXPORT_INTERVAL', '-5', ['/v1/metrics', '/v1/traces']],
])('with %s=%s there is sent %j', async (name, value, expected) => {
  const receiver = await startOtlpReceiver();
  try {
    const running = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, [name]: value });
    await askUsage(running);
    expect((await running.terminate()).code).toBe(0);
    expect(receiver.requests.map(({ path }) => path).toSorted()).toEqual(expected);
  } finally {
    await receiver.stop();
  }
});

test('the standard variables count: service, resource, protocol', async () => {
  const receiver = await startOtlpReceiver();
  try {
    const running = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_SERVICE_NAME: 'a-name-of-ours',
      OTEL_RESOURCE_ATTRIBUTES: 'team=finance',
    });
    await askUsage(running);
    await running.terminate();
    const [span] = receiver.spans;
    const [point] = receiver.points;
    for (const received of [span, point]) {
      expect(received?.resource).toMatchObject({
        'service.name': 'a-name-of-ours',
        'faas.name': 'usage',
        'deployment.environment.name': 'development',
        team: 'finance',
      });
    }
  } finally {
    await receiver.stop();
  }
});

test.each(['closed', 'silent'])(
  'an endpoint that is %s delays no answer, floods no log and keeps no process',
  async (how) => {
    const silent = await startSilentServer();
    const port = how === 'silent' ? silent.port : await freePort();
    try {
      const running = await start({
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://user:a-password@127.0.0.1:${port}`,
        // The silent one is only given up at the end, which must not wait for it either.
        ...(how === 'closed' ? { OTEL_EXPORTER_OTLP_TIMEOUT: '300' } : {}),
        OTEL_BSP_SCHEDULE_DELAY: '50',
        OTEL_METRIC_EXPORT_INTERVAL: '50',
        OTEL_BSP_MAX_QUEUE_SIZE: '20',
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10',
      });
      let slowestMs = 0;
      for (let request = 0; request < 100; request += 1) {
        const startedMs = performance.now();
        const { status } = await fetch(`${running.url}/analytics/v1/nothing`);
        expect(status).toBe(404);
        slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      }
      expect(slowestMs).toBeLessThan(1_000);
      const { code, tookMs } = await running.terminate();
      expect(code).toBe(0);
      expect(tookMs).toBeLessThan(6_000);
      const lines = running.log().filter(({ msg }) => msg === 'telemetry is lost');
      expect(lines).toHaveLength(1);
      expect(JSON.stringify(running.log())).not.toContain('a-password');
    } finally {
      await silent.stop();
    }
  },
);
