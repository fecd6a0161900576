import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

let registry: Server | undefined;
/** npm keeps what it was told of a vulnerability, and nobody else must find this there. */
let cache: string;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'analytics-audit-'));
});
afterEach(async () => {
  registry?.closeAllConnections();
  await new Promise((closed) => registry?.close(closed) ?? closed(undefined));
  registry = undefined;
  await rm(cache, { recursive: true, force: true });
});

/** Stands in for npm's registry, which nobody can make tell of a vulnerability. */
async function startRegistry(status: number, advisories: object): Promise<string> {
  registry = createServer((incoming, outgoing) => {
    const isQuestion = incoming.url === '/-/npm/v1/security/advisories/bulk';
    incoming.resume().on('end', () => {
      outgoing
        .writeHead(isQuestion ? status : 404, { 'Content-Type': 'application/json' })
        .end(JSON.stringify(isQuestion ? advisories : {}));
    });
  });
  const server = registry;
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function audit(url: string): Promise<{ code: number; output: string }> {
  const environment = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    npm_config_registry: url,
    npm_config_cache: cache,
  };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', 'scripts/audit.ts'],
      { env: environment },
      (error, stdout, stderr) => {
        const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
        resolve({ code, output: stdout + stderr });
      },
    );
  });
}

const advisory = (severity: string) => ({
  hono: [
    {
      id: 1,
      url: 'https://advisories.example/1',
      title: 'A hole in it',
      severity,
      vulnerable_versions: '*',
      cwe: [],
      cvss: { score: 0, vectorString: null },
    },
  ],
});

test('a grave vulnerability fails it, and is named', async () => {
  const { code, output } = await audit(await startRegistry(200, advisory('high')));
  expect(output).toContain('hono, high: A hole in it (https://advisories.example/1)');
  expect(code).toBe(1);
});

test.each([
  ['nothing', {}],
  ['what is not grave', advisory('moderate')],
])('%s passes', async (_, advisories) => {
  const { code, output } = await audit(await startRegistry(200, advisories));
  expect(output).toMatch(/^audit: nothing grave is known of \d{2,} packages\n$/);
  expect(code).toBe(0);
});

test('a registry that does not answer such questions, or is away, fails nothing and is named', async () => {
  const skipped = { code: 0, output: expect.stringMatching(/^audit skipped, .*:\d+/) };
  const url = await startRegistry(405, {});
  expect(await audit(url)).toEqual(skipped);
  expect(await audit('http://127.0.0.1:1')).toEqual(skipped);
});
