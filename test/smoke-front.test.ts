import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { tenantRoles } from '../scripts/cli/actor.ts';
import { readSmokeOptions } from '../scripts/smoke/options.ts';
import { smoke as smokeRun } from '../scripts/smoke/run.ts';
import { type Front, type FrontOptions, type FrontRequest, startFront } from './support/front.ts';
import { smokeCommand as smoke } from './support/smoke-command.ts';
import { type System, startSystem } from './support/system.ts';

// A test is a run or two of half a minute, on a machine that may be busy.
vi.setConfig({ testTimeout: 180_000, maxConcurrency: 3 });

const secret = 'a-secret-of-the-gateway';

let system: System;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'smoke-exports-'));
  system = await startSystem({
    stream: false,
    refreshEveryMs: 300,
    exportsEveryMs: 1_000,
    exportsFolder: folder,
    // Without it the service hands out the files itself: their links are seen here.
    environment: { S3_ENDPOINT: '' },
  });
});
afterAll(async () => {
  await system.close();
  await rm(folder, { recursive: true, force: true });
});

async function behind(options: FrontOptions, work: (front: Front) => Promise<void>) {
  const front = await startFront(system.app, options);
  try {
    await work(front);
  } finally {
    await front.close();
  }
}

test('every request carries its id, and the signed link nothing that says who asks', async () => {
  await behind({}, async ({ url, requests }) => {
    const { code, stdout } = await smoke(url, ['--gateway-secret', secret]);
    expect(code, stdout).toBe(0);
    const isOutside = ({ path }: FrontRequest) => /^\/metrics|\/exports\/files\//.test(path);
    const ids = requests
      .filter((request) => !isOutside(request))
      .map(({ headers }) => headers['x-request-id']);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^smoke-[0-9a-f]{8}-\d+$/);
    const outside = requests.filter(isOutside);
    expect(outside).toHaveLength(2);
    const names = outside.flatMap(({ headers }) => Object.keys(headers));
    expect(names.filter((name) => /^x-|authorization|cookie/.test(name))).toEqual([]);
  });
});

test('a gateway that exchanges tokens: a tenant’s passes, an admin’s is not asked for a refusal', async () => {
  const orgId = randomUUID();
  const actors: Record<string, Record<string, string>> = {
    'Bearer tenant': { 'x-actor-roles': tenantRoles.join(), 'x-actor-orgs': orgId },
    'Bearer admin': { 'x-actor-roles': 'admin' },
  };
  const onRequest = ({ headers: { authorization = '', ...headers } }: FrontRequest) => {
    const named = Object.entries(headers).filter(([name]) => !name.startsWith('x-actor'));
    const actor = actors[authorization];
    const subject = actor === undefined ? {} : { 'x-actor-subject': 'by token', ...actor };
    return { ...Object.fromEntries(named), ...subject };
  };
  await behind({ onRequest }, async ({ url }) => {
    const org = ['--org-id', orgId];
    const tenant = await smoke(url, [...org, '--token', 'tenant']);
    expect(tenant.code, tenant.stdout).toBe(0);
    expect(tenant.checks).toMatchObject({ 'other-org': 'ok', hidden: 'ok' });
    const admin = await smoke(url, [...org, '--verbose'], { ANALYTICS_TOKEN: 'admin' });
    expect(admin.code, admin.stdout).toBe(0);
    expect(admin.checks).toMatchObject({ 'other-org': 'skip', hidden: 'ok' });
    expect(admin.stderr).not.toContain('admin');
    const none = await smoke(url, org);
    expect(none.lineOf('validate')).toMatch(/came 401/);
  });
});

test('what is not ready at first is asked again, when it says', async () => {
  const times = new Map<string, number[]>();
  const onAnswer = async ({ method, path }: FrontRequest) => {
    if (path.includes('/exports/files/') || path === '/metrics') return null;
    const place = `${method} ${path.split('?')[0]}`;
    const before = times.get(place) ?? [];
    times.set(place, [...before, performance.now()]);
    if (before.length > 0) return null;
    const seconds = path.endsWith('/events') ? '1' : '0';
    return new Response('no healthy upstream', {
      status: 503,
      headers: { 'Retry-After': seconds },
    });
  };
  await behind({ onAnswer }, async ({ url }) => {
    const { code, stdout } = await smoke(url);
    expect(code, stdout).toBe(0);
    expect(times.size).toBeGreaterThan(10);
    const [first = 0, second = 0] = times.get('POST /analytics/v1/events') ?? [];
    expect(second - first).toBeGreaterThan(990);
  });
});

test('a service without its cache is degraded, says so, and passes', async () => {
  const onAnswer = async ({ path }: FrontRequest, answer: Response) => {
    if (!path.endsWith('/readyz')) return null;
    const text = (await answer.text()).replace('"ready"', '"degraded"');
    return new Response(text.replace('"cache":"healthy"', '"cache":"unhealthy"'), answer);
  };
  await behind({ onAnswer }, async ({ url }) => {
    const { code, lineOf } = await smoke(url, ['--skip-exports']);
    expect(code).toBe(0);
    expect(lineOf('readyz')).toMatch(/^ok +readyz +degraded: database healthy, .*cache unhealthy/);
  });
});

test('a redirect is not followed, but told', async () => {
  const onAnswer = async () =>
    new Response(null, { status: 301, headers: { Location: 'https://example.org/?key=x' } });
  await behind({ onAnswer }, async ({ url }) => {
    const { code, lineOf } = await smoke(url);
    expect(code).toBe(1);
    expect(lineOf('healthz')).toMatch(
      /came 301 \(to https:\/\/example.org\/\); next: is --url the address of the API\?/,
    );
  });
});

type Change = [
  failing: string,
  what: string,
  request: RegExp,
  change: (text: string, answer: Response, request: FrontRequest) => string | Response,
];
const changes: Change[] = [
  ['healthz', 'another word', /healthz/, () => 'fine'],
  [
    'readyz',
    'the database away',
    /readyz/,
    (text) => text.replace('"database":"healthy"', '"database":"unhealthy"'),
  ],
  ['readyz', 'another form', /readyz/, () => '{"ok":true}'],
  ['metrics', 'none from tables', /metrics/, (text) => text.replace(/^analytics_/gm, 'other_')],
  ['no-actor', 'a page', /usage/, (text, { status }) => (status === 401 ? html(401) : text)],
  ['other-org', 'an answer', /usage/, (text, { status }) => (status === 403 ? '{}' : text)],
  ['validate', 'a refusal', /validate/, () => html(413)],
  [
    'publish',
    'one event refused',
    /POST .*\/events$/,
    (text) => text.replace('"accepted":12,"rejected":0', '"accepted":11,"rejected":1'),
  ],
  [
    'invalid',
    'it is taken',
    /POST .*\/events$/,
    (text) => text.replace('"accepted":0,"rejected":1', '"accepted":1,"rejected":0'),
  ],
  [
    'invalid',
    'one fault is not named',
    /POST .*\/events$/,
    (text) => text.replace('{"path":"latencyMs","message":"must not be negative"},', ''),
  ],
  [
    'usage',
    'one event counted twice',
    /\/usage/,
    (text) => text.replace('"totals":{"invocations":12', '"totals":{"invocations":13'),
  ],
  ['usage', 'another cost', /\/usage/, (text) => text.replaceAll('0.0078', '0.0079')],
  [
    'consumed',
    'a cost of more decimals than there are',
    /\/usage/,
    (text) => text.replace(/("costEstimateCents":\d+\.)\d+/, '$178000001'),
  ],
  ['usage', 'no hours', /\/usage/, (text) => text.replace(/"series":\[.*?\]/, '"series":[]')],
  [
    'rollup',
    'never folded',
    /\/freshness/,
    (text) => text.replace(/"lastRollupAt":"[^"]*"/g, '"lastRollupAt":null'),
  ],
  ['reliability', 'another rate', /\/reliability/, (text) => text.replaceAll('0.333333', '0.25')],
  [
    'reliability',
    'another top error',
    /\/reliability/,
    (text) => text.replace('"topErrors":[', '"topErrors":[{"errorCode":"other","count":3},'),
  ],
  ['models', 'none', /\/models/, () => '{"models":[]}'],
  [
    'export',
    'a failure',
    /GET .*\/exports\/[^/]+$/,
    (text) => text.replace(/"status":"\w+"/, '"status":"failed"'),
  ],
  [
    'download',
    'the file is gone',
    /\/download$/,
    (text, { status }) => (status === 302 ? html(410) : text),
  ],
  ['download', 'another file', /\/exports\/files\//, (text) => text.replace('smoke-', 'smoky-')],
  [
    'hidden',
    'a stranger sees the job',
    /GET .*\/exports\/[^/]+$/,
    (text, { status }) => (status === 403 ? '{}' : text),
  ],
];

// Most of it is waiting.
test.concurrent.each(changes)('%s fails on %s', async (failing, _, wanted, change) => {
  const onAnswer = async (request: FrontRequest, answer: Response) => {
    if (!wanted.test(`${request.method} ${request.path}`)) return null;
    const changed = change(await answer.text(), answer, request);
    if (changed instanceof Response) return changed;
    const isRefused = answer.status === 403 && changed === '{}';
    const { status, headers } = answer;
    return new Response(changed, { status: isRefused ? 200 : status, headers });
  };
  const org = randomUUID();
  await behind({ onAnswer }, async ({ url }) => {
    const args = ['--url', url, '--org-id', org, '--timeout', '15s'];
    const options = readSmokeOptions(args, system.settings);
    const report = await smokeRun(options, { onCheck: () => {}, onTraffic: () => {} });
    const failed = report.checks.filter(({ outcome }) => outcome === 'failed');
    expect(
      failed.map(({ name }) => name),
      JSON.stringify(failed),
    ).toEqual([failing]);
    expect(failed[0]?.detail).toMatch(/^expected .*; came .*; next: .*docs\/runbook\.md#[a-z-]+/);
  });
});

function html(status: number): Response {
  return new Response('<h1>no</h1>', { status, headers: { 'Content-Type': 'text/html' } });
}
