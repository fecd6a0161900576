import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { consoleApp } from '../functions/console/app.ts';
import { pageOf } from '../functions/console/page.ts';
import { buildConsolePage } from '../scripts/console-page.ts';
import { actorsOf } from '../shared/http/actor.ts';
import { httpApp } from '../shared/http/app.ts';
import { readSettings } from '../shared/platform/env.ts';
import { createLogger } from '../shared/platform/telemetry/telemetry.ts';

const page = pageOf(await buildConsolePage());

function consoleWith(environment: Record<string, string> = {}) {
  const settings = readSettings({ LOG_LEVEL: 'silent', ...environment });
  return httpApp({
    logger: createLogger(settings, 'test'),
    actors: actorsOf(settings),
    routes: [consoleApp({ settings, page: async () => page })],
  });
}

const app = consoleWith();
const home = '/analytics/console';
const html = await (await app.request(home)).text();
const loaded = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = '']) => path);

test('the page has no script or style of its own, and loads them from beside it', () => {
  expect(loaded.map((path) => path.replace(/\.[0-9a-f]{16}\./, '.')).sort()).toEqual([
    `${home}/assets/app.js`,
    `${home}/assets/styles.css`,
    `${home}/assets/theme.js`,
  ]);
  expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|<script>/);
});

test('its policy allows no inline script or style, no other host and no frame around it', async () => {
  const response = await app.request(home);
  const policy = response.headers.get('Content-Security-Policy') ?? '';
  expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
  expect(policy).toMatch(/frame-ancestors 'none'/);
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
});

test('with a slash at its end its address leads to the page, with the filters that it has', async () => {
  const response = await app.request(`${home}/?view=exports&timezone=UTC`);
  expect(response.status).toBe(308);
  expect(response.headers.get('Location')).toBe(`${home}?view=exports&timezone=UTC`);
});

test('it is asked for anew, and sent again only when it has changed', async () => {
  const first = await app.request(home);
  expect(first.headers.get('Cache-Control')).toBe('no-cache');
  const headers = { 'If-None-Match': first.headers.get('ETag') ?? '' };
  const again = await app.request(home, { headers });
  expect({ status: again.status, body: await again.text() }).toEqual({ status: 304, body: '' });
});

describe.each(loaded)('%s', (path) => {
  test('may be kept for ever, as its name changes with its text', async () => {
    const response = await app.request(path);
    expect(response.status).toBe(200);
    expect(response.headers.get('Cache-Control')).toBe('public, max-age=31536000, immutable');
    expect(response.headers.get('Content-Type')).toBe(
      `text/${path.endsWith('.css') ? 'css' : 'javascript'}; charset=utf-8`,
    );
  });

  test.each([
    ['br, gzip', 'br', brotliDecompressSync],
    ['gzip, deflate, br', 'br', brotliDecompressSync],
    ['gzip, br;q=0', 'gzip', gunzipSync],
    ['deflate', null, (bytes: Buffer) => bytes],
  ])('is sent to who takes %s as %s', async (accepted, encoding, unpack) => {
    const response = await app.request(path, { headers: { 'Accept-Encoding': accepted } });
    expect(response.headers.get('Content-Encoding')).toBe(encoding);
    expect(response.headers.get('Vary')).toContain('Accept-Encoding');
    const text = unpack(Buffer.from(await response.arrayBuffer())).toString('utf8');
    expect(text).toBe(await (await app.request(path)).text());
  });
});

test.each([
  ['index.html', 404],
  ['app.js', 404],
  ['app.js.br', 404],
  ['..%2Fconfig', 400],
])('%s is refused with %i', async (file, status) => {
  const response = await app.request(`${home}/assets/${file}`);
  expect(response.status).toBe(status);
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
});

const gateway = { GATEWAY_SHARED_SECRET: 'a secret of the gateway' };

test.each([
  ['in development', {}, true],
  ['in staging', { ENVIRONMENT: 'staging' }, false],
  ['where checks are off', { ENVIRONMENT: 'staging', ENABLE_RBAC: 'false' }, true],
  ['behind a gateway that proves itself', gateway, false],
  ['in production', { ENVIRONMENT: 'production', ...gateway }, false],
  [
    'with tokens',
    { AUTH_MODE: 'jwt', JWT_JWKS_URL: 'https://127.0.0.1:1', JWT_ISSUER: 'x', JWT_AUDIENCE: 'y' },
    false,
  ],
])('%s the page may ask as somebody else: %o → %s', async (_, environment, canSwitchActor) => {
  const response = await consoleWith(environment).request(`${home}/config`);
  expect(await response.json()).toMatchObject({ canSwitchActor, actor: null });
});

test('the page is told who is looking, and never anything that is kept', async () => {
  const headers = {
    'X-Gateway-Secret': gateway.GATEWAY_SHARED_SECRET,
    'X-Actor-Subject': 'olga',
    'X-Actor-Roles': 'analytics:usage:read',
    'X-Actor-Orgs': '00000000-0000-0000-0000-00000000000A',
  };
  const production = consoleWith({
    ENVIRONMENT: 'production',
    BILLING_CURRENCY: 'EUR',
    ...gateway,
  });
  const response = await production.request(`${home}/config`, { headers });
  expect(response.headers.get('Cache-Control')).toBe('no-store');
  expect(await response.json()).toEqual({
    environment: 'production',
    authMode: 'gateway',
    isRbacOn: true,
    canSwitchActor: false,
    currency: 'EUR',
    retentionDays: 400,
    actor: {
      subject: 'olga',
      roles: ['analytics:usage:read'],
      orgs: ['00000000-0000-0000-0000-00000000000a'],
    },
    refusal: null,
  });
  const forged = await production.request(`${home}/config`, {
    headers: { ...headers, 'X-Gateway-Secret': 'another' },
  });
  expect(await forged.json()).toMatchObject({
    actor: null,
    refusal: { code: 'unauthenticated', detail: 'X-Gateway-Secret is missing or wrong' },
  });
});
