import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stop } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { bundleFunction } from '../scripts/build.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { type FunctionProcess, startFunctionProcess } from './support/function-process.ts';
import { startOtlpReceiver } from './support/otlp-receiver.ts';
import { startSilentServer } from './support/tcp-relay.ts';

/** What only tracing needs. The API itself is there always, and does nothing by itself. */
const sdk = /@opentelemetry\/(sdk|core|resources|exporter|otlp|context|semantic)/;

let folder: string;
let bundle: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-bundle-'));
  bundle = await bundleFunction('usage', folder, true);
  await stop();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The usage function as it is deployed, without any server behind it. */
const start = (environment: Record<string, string>) =>
  startFunctionProcess(bundle, {
    DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none',
    ...environment,
  });

const coverageForm = z.object({
  result: z.array(
    z.object({
      url: z.string(),
      functions: z.array(
        z.object({ functionName: z.string(), ranges: z.array(z.object({ count: z.number() })) }),
      ),
    }),
  ),
});

/** The modules in the bundle that were evaluated: each is a function that bears its path. */
async function evaluatedModules(coverageFolder: string): Promise<string[]> {
  const [name = ''] = await readdir(coverageFolder);
  const text = await readFile(join(coverageFolder, name), 'utf8');
  const script = coverageForm
    .parse(JSON.parse(text))
    .result.find(({ url }) => url.endsWith('.cjs'));
  return (script?.functions ?? [])
    .filter(({ functionName, ranges }) => /\.[cm]?[jt]s$/.test(functionName) && ranges[0]?.count)
    .map(({ functionName }) => functionName);
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

test('without an endpoint nothing of the SDK is evaluated', async () => {
  const coverage = join(folder, 'without');
  const running = await start({ NODE_V8_COVERAGE: coverage });
  await askUsage(running);
  expect((await running.terminate()).code).toBe(0);
  const modules = await evaluatedModules(coverage);
  expect(modules.filter((name) => name.includes('@opentelemetry/api'))).not.toEqual([]);
  expect(modules.filter((name) => sdk.test(name))).toEqual([]);
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
    expect(receiver.requests).toEqual([
      { contentType: 'application/x-protobuf', bytes: expect.any(Number) },
    ]);
    const modules = await evaluatedModules(coverage);
    expect(modules.filter((name) => sdk.test(name))).not.toEqual([]);
    const traced = running.log().filter(({ msg }) => msg === 'access decision');
    expect(traced).toEqual([
      expect.objectContaining({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/) }),
    ]);
  } finally {
    await receiver.stop();
  }
});

test('the standard variables count: service, resource, sampler, protocol', async () => {
  const receiver = await startOtlpReceiver();
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_SERVICE_NAME: 'a-name-of-ours',
    OTEL_RESOURCE_ATTRIBUTES: 'team=finance',
  };
  try {
    const running = await start(environment);
    await askUsage(running);
    await running.terminate();
    const [span] = receiver.spans;
    expect(span?.resource).toMatchObject({
      'service.name': 'a-name-of-ours',
      'faas.name': 'usage',
      'deployment.environment.name': 'development',
      team: 'finance',
    });
    const before = receiver.requests.length;
    for (const more of [{ OTEL_TRACES_SAMPLER: 'always_off' }, { OTEL_SDK_DISABLED: 'true' }]) {
      const silent = await start({ ...environment, ...more });
      await askUsage(silent);
      await silent.terminate();
    }
    expect(receiver.requests).toHaveLength(before);
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
      const lines = running.log().filter(({ msg }) => msg === 'spans are lost');
      expect(lines).toHaveLength(1);
      expect(JSON.stringify(running.log())).not.toContain('a-password');
    } finally {
      await silent.stop();
    }
  },
);
