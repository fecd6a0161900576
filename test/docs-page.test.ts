import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { docsApp } from '../functions/docs/app.ts';
import { readPageFiles } from '../functions/docs/page-files.ts';
import { docsPageFile, llmsFile } from '../scripts/docs-page.ts';
import { httpApp } from '../shared/http/app.ts';
import { readSettings } from '../shared/platform/env.ts';
import { createLogger } from '../shared/platform/telemetry/telemetry.ts';

const settings = readSettings({ LOG_LEVEL: 'silent' });
const app = httpApp({
  logger: createLogger(settings, 'test'),
  routes: [docsApp(await readPageFiles(docsPageFile))],
});
const html = await (await app.request('/analytics/v1/docs')).text();
/** What the page loads, as a browser resolves it. */
const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)]
  .map(([, reference = '']) => reference)
  .filter((reference) => !reference.startsWith('data:'));

test('the page loads its scripts and styles from this host alone, and has none of its own', async () => {
  expect(loaded).toHaveLength(3);
  for (const reference of loaded) expect(reference).toMatch(/^docs\/[\w.-]+$/);
  expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|<script>/);
});

test('its policy allows no inline script, no other host and no frame around it', async () => {
  const response = await app.request('/analytics/v1/docs');
  const policy = response.headers.get('Content-Security-Policy') ?? '';
  expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
  expect(policy).toMatch(/frame-ancestors 'none'/);
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
});

test.each(loaded)('%s may be kept for ever, as its name changes with its text', async (file) => {
  const response = await app.request(`/analytics/v1/${file}`);
  expect(response.status).toBe(200);
  expect(response.headers.get('Cache-Control')).toBe('public, max-age=31536000, immutable');
  const kind = file.endsWith('.css') ? 'text/css' : 'text/javascript';
  expect(response.headers.get('Content-Type')).toBe(`${kind}; charset=utf-8`);
  expect((await response.text()).length).toBeGreaterThan(100);
});

test.each(['/analytics/v1/docs', '/analytics/v1/openapi.json', '/analytics/v1/llms.txt'])(
  '%s is asked for anew, and sent again only when it has changed',
  async (path) => {
    const first = await app.request(path);
    expect(first.headers.get('Cache-Control')).toBe('no-cache');
    const etag = first.headers.get('ETag') ?? '';
    expect(etag).toMatch(/^"[0-9a-f]+"$/);
    const again = await app.request(path, { headers: { 'If-None-Match': etag } });
    expect({ status: again.status, body: await again.text() }).toEqual({ status: 304, body: '' });
    const other = await app.request(path, { headers: { 'If-None-Match': '"other"' } });
    expect(other.status).toBe(200);
  },
);

test.each([...loaded, 'openapi.json', 'llms.txt'])(
  '%s is packed for who takes that, and known by the tag of either form',
  async (file) => {
    const ask = (headers: Record<string, string>) =>
      app.request(`/analytics/v1/${file}`, { headers });
    const plain = await ask({});
    expect(plain.headers.get('Vary')).toBe('Accept-Encoding');
    const text = await plain.text();
    const packed = await ask({ 'Accept-Encoding': 'br, gzip' });
    if (text.length < 1_024) return expect(packed.headers.get('Content-Encoding')).toBeNull();
    expect(packed.headers.get('Content-Encoding')).toBe('gzip');
    const bytes = Buffer.from(await packed.arrayBuffer());
    expect(bytes.length).toBeLessThan(text.length);
    expect(gunzipSync(bytes).toString()).toBe(text);
    const etag = packed.headers.get('ETag') ?? '';
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, plain.headers.get('ETag') ?? '', '*']) {
      const again = await ask({ 'Accept-Encoding': 'gzip', 'If-None-Match': known });
      expect(again.status, known).toBe(304);
    }
    expect(
      (await ask({ 'Accept-Encoding': 'gzip;q=0' })).headers.get('Content-Encoding'),
    ).toBeNull();
  },
);

describe('the guide for machines', () => {
  const linksIn = (text: string) =>
    [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link);

  test('links to what is there, in the repository and in the API', async () => {
    const links = linksIn(await readFile(llmsFile, 'utf8'));
    const [served, kept] = [true, false].map((isServed) =>
      links.filter((link) => link.startsWith('/') === isServed),
    );
    expect(served).toContain('/analytics/v1/openapi.json');
    expect(kept).toContain('README.md');
    for (const link of served ?? []) expect((await app.request(link)).status, link).toBe(200);
    for (const link of kept ?? []) {
      expect(existsSync(join(dirname(llmsFile), link)), link).toBe(true);
    }
  });

  test('is served without links to what is not', async () => {
    const response = await app.request('/analytics/v1/llms.txt');
    expect(response.headers.get('Content-Type')).toBe('text/plain; charset=utf-8');
    const text = await response.text();
    expect(text).toMatch(/^# Analytics Service\n\n> /);
    expect(linksIn(text)).toEqual(['/analytics/v1/openapi.json', '/analytics/v1/docs']);
  });

  test('names only routes that the document has', async () => {
    const paths = z
      .object({ paths: z.record(z.string(), z.unknown()) })
      .parse(JSON.parse(await readFile(docsPageFile('openapi.json'), 'utf8'))).paths;
    const text = await readFile(llmsFile, 'utf8');
    const named = [...text.matchAll(/`(?:GET|POST) ([^`]+)`/g)].map(([, path = '']) => path);
    expect(named.length).toBeGreaterThan(2);
    for (const path of named) expect(Object.keys(paths)).toContain(path);
  });
});

test('what is large is compressed for who takes it', async () => {
  const headers = { 'Accept-Encoding': 'gzip' };
  const response = await app.request('/analytics/v1/openapi.json', { headers });
  expect(response.headers.get('Content-Encoding')).toBe('gzip');
  const packed = Buffer.from(await response.arrayBuffer());
  const text = await readFile(docsPageFile('openapi.json'), 'utf8');
  expect(gunzipSync(packed).toString('utf8')).toBe(text);
  expect(packed.length).toBeLessThan(text.length / 5);
});

test.each([
  ['other.js', 404],
  ['swagger-ui.css', 404],
  ['index.html', 404],
  ['..%2Fopenapi.json', 400],
])('docs/%s is refused with %i', async (file, status) => {
  const response = await app.request(`/analytics/v1/docs/${file}`);
  expect(response.status).toBe(status);
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
});
