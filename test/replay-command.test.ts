import { randomUUID } from 'node:crypto';
import { appendFile, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiCounters } from '../scripts/publish/counters.ts';
import { readReplayOptions } from '../scripts/replay/options.ts';
import { replay } from '../scripts/replay/run.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { analyticsHere } from './support/analytics-here.ts';
import { type System, startSystem } from './support/system.ts';
import { makeTrace, readTrace } from './support/trace.ts';
import { until } from './support/until.ts';

const folder = await mkdtemp(join(tmpdir(), 'replay-'));
const madePath = join(folder, 'made.csv');
await makeTrace(madePath);

let system: System;
let server: Server;
let url: string;

beforeAll(async () => {
  system = await startSystem();
  server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
  url = `http://127.0.0.1:${server.port}`;
});
afterAll(async () => {
  await server.close();
  await system.close();
  await rm(folder, { recursive: true });
});

describe('npm run replay', () => {
  const command = (args: string[], environment: Record<string, string> = {}) =>
    analyticsHere(['replay', ...args], { ...system.environment, ...environment });

  test('says what was read, sent and stored', async () => {
    const rows = readTrace(madePath).length.toLocaleString('en-US');
    const org = randomUUID();
    const args = [madePath, '--org', org, '--shift-to', 'yesterday', '--url', url];
    const { code, stdout, stderr } = await command(args);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(new RegExp(`^rows read +${rows}$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^sent +${rows}$`, 'm'));
    expect(stdout).toMatch(/^skipped +0$/m);
    expect(stdout).toMatch(new RegExp(`^stored +${rows}$`, 'm'));
    expect(stdout).toMatch(/^duplicate +0$/m);
    expect(stdout).toMatch(/^rejected +0$/m);
  });

  test('names a row that it cannot read, sends the others, and fails', async () => {
    const path = join(folder, 'broken.csv');
    await copyFile(madePath, path);
    const lines = readTrace(madePath).length + 1;
    await appendFile(path, '2024-02-28T19:15:00Z,many,2,x\n"2024-02-28T19:15:01Z,1,2,x\n');
    const args = [path, '--org', randomUUID(), '--shift-to', 'yesterday', '--url', url];
    const { code, stdout, stderr } = await command(args);
    expect(code).toBe(1);
    expect(stderr).toContain(
      `line ${lines + 1} skipped: inputTokens: must be a whole number\n` +
        `line ${lines + 2} skipped: a quote is never closed\n`,
    );
    expect(stdout).toMatch(/^skipped +2 /m);
    expect(stdout).toMatch(new RegExp(`^stored +${(lines - 1).toLocaleString('en-US')}$`, 'm'));
  });

  test('says beforehand what the service will reject for its age', async () => {
    const { code, stdout, stderr } = await command([
      madePath,
      '--shift-to',
      '2020-01-01',
      '--url',
      url,
    ]);
    expect(stderr).toMatch(/^warning: events from 2020-01-01T18:17:03.979Z .*--shift-to yesterday/);
    expect(stdout).toMatch(/^rejected +1,\d{3}$/m);
    expect(code).toBe(1);

    const overHttp = await command([madePath, '--url', url, '--to', 'http']);
    const rows = readTrace(madePath).length;
    expect(overHttp.stderr.match(/^line \d+ refused: occurredAt: is older/gm)?.length).toBe(5);
    expect(overHttp.stderr).toContain(`\n${rows - 5} more refused: occurredAt: is older`);
    expect(overHttp.code).toBe(1);
  });

  test('without an API says that it does not know what was stored', async () => {
    const nobody = 'http://127.0.0.1:2';
    const counters = apiCounters(url);
    const before = await counters.read();
    const { code, stdout } = await command([madePath, '--shift-to', 'yesterday', '--url', nobody]);
    expect(stdout).toMatch(
      /^not known how many were stored: http:\/\/127.0.0.1:2\/metrics .*ECONNREFUSED/m,
    );
    expect(code).toBe(0);
    const rows = readTrace(madePath).length;
    await until('it is', async () => (await counters.read()).stored === before.stored + rows);
    const http = await command([madePath, '--to', 'http', '--url', nobody]);
    expect(http).toMatchObject({ code: 3, stdout: '' });
    expect(http.stderr).toContain(`no API answers at ${nobody}/analytics/v1/events`);
  });

  test.each([
    [['nowhere.csv'], 'replay: FILE cannot be read: ENOENT'],
    [[madePath, '--speed', 'fast'], 'replay: --speed must be max or a number above 0\n'],
    [[], "replay: missing required argument 'file'\n"],
  ])('wrong usage is one line and exit code 2: %j', async (args, line) => {
    const { code, stderr } = await command(args);
    expect(code).toBe(2);
    expect(stderr.split('\n').filter(Boolean).length).toBe(1);
    expect(stderr).toContain(line);
  });
});

test('a 503 is tried again once Retry-After is over', async () => {
  // The real API behind something that is overloaded every second time.
  const times: number[] = [];
  const front = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method === 'POST' && times.push(Date.now()) % 2 === 1) {
      response.writeHead(503, { 'Retry-After': '1' }).end();
      return;
    }
    const init = { method: request.method ?? 'GET', headers: { ...actor, ...json } };
    const body = Buffer.concat(chunks);
    const answer = await fetch(
      `${url}${request.url}`,
      request.method === 'POST' ? { ...init, body } : {},
    );
    response.writeHead(answer.status).end(await answer.text());
  });
  const actor = { 'X-Actor-Subject': 'front', 'X-Actor-Roles': 'analytics:events:write,admin' };
  const json = { 'Content-Type': 'application/json' };
  await new Promise<void>((done) => front.listen(0, '127.0.0.1', done));
  try {
    const { port } = front.address() as AddressInfo;
    const org = randomUUID();
    const rows = readTrace(madePath).length;
    const args = [madePath, '--to', 'http', '--org', org, '--shift-to', 'yesterday'];
    const options = readReplayOptions(
      [...args, '--url', `http://127.0.0.1:${port}`],
      system.settings,
      Date.now(),
    );
    const report = await replay(options, system.settings);
    expect(report).toMatchObject({
      sent: rows,
      repeated: rows,
      counted: { counts: { stored: rows }, isComplete: true },
    });
    expect(times.length).toBe(Math.ceil(rows / 1_000) * 2);
    for (let tried = 1; tried < times.length; tried += 2) {
      expect((times[tried] ?? 0) - (times[tried - 1] ?? 0)).toBeGreaterThanOrEqual(990);
    }
  } finally {
    await new Promise((done) => front.close(done));
  }
});
