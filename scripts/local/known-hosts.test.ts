import { Hono } from 'hono';
import { expect, test } from 'vitest';
import type { AppEnv } from '../../shared/http/context.ts';
import { knownHosts } from './known-hosts.ts';

async function statusOf(host: string | null, httpHost?: string, path = '/'): Promise<number> {
  const app = new Hono<AppEnv>().all('*', (context) => context.text('here'));
  const headers: Record<string, string> = host === null ? {} : { Host: host };
  const response = await knownHosts(app, httpHost).request(path, { headers });
  return response.status;
}

test.each([
  'localhost',
  'localhost:8084',
  'LOCALHOST:1',
  '127.0.0.1',
  '127.0.0.1:65535',
  '[::1]',
  '[::1]:8084',
])('%s is this machine', async (host) => {
  expect(await statusOf(host)).toBe(200);
});

test.each([
  null,
  '',
  ':8084',
  'evil.example',
  'evil.example:8084',
  'localhost.evil.example',
  'evil.example:localhost',
  'localhost:8084:1',
  '127.0.0.1.evil.example',
  '127.0.0.1@evil.example',
  '192.168.1.5:8084',
  '[::2]',
  '::1',
  '0.0.0.0',
])('%j is somebody else: a 421, whatever the path', async (host) => {
  for (const path of [
    '/',
    '/metrics',
    '/health/liveness',
    '/internal/status',
    '/analytics/v1/orgs',
  ]) {
    expect(await statusOf(host, undefined, path)).toBe(421);
  }
});

test('HTTP_HOST is answered to as well, and it alone', async () => {
  expect(await statusOf('Analytics.lan:8084', 'analytics.lan')).toBe(200);
  expect(await statusOf('[fd00::1]:8084', 'fd00::1')).toBe(200);
  expect(await statusOf('localhost', 'analytics.lan')).toBe(200);
  expect(await statusOf('evil.example', 'analytics.lan')).toBe(421);
  expect(await statusOf('192.168.1.5', 'analytics.lan')).toBe(421);
});

test.each(['0.0.0.0', '::'])('with HTTP_HOST %s any address is, and no name', async (httpHost) => {
  expect(await statusOf('192.168.1.5:8084', httpHost)).toBe(200);
  expect(await statusOf('[fd00::1]:8084', httpHost)).toBe(200);
  expect(await statusOf('localhost:8084', httpHost)).toBe(200);
  expect(await statusOf('evil.example:8084', httpHost)).toBe(421);
  expect(await statusOf('192.168.1.5.evil.example', httpHost)).toBe(421);
});

test('the refusal is a problem like any other', async () => {
  const front = knownHosts(new Hono<AppEnv>(), undefined);
  const response = await front.request('/metrics', { headers: { Host: 'evil.example' } });
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
  expect(response.headers.get('X-Request-Id')).toMatch(/./);
  expect(await response.json()).toMatchObject({
    type: 'urn:analytics:problem:misdirected-request',
    status: 421,
    instance: '/metrics',
  });
});
