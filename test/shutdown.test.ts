import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleFunction } from '../scripts/build.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { apiDatabaseUrl } from './support/api-login.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { startFunctionProcess } from './support/function-process.ts';
import { services } from './support/services.ts';
import { adminHeaders } from './support/system.ts';
import { until } from './support/until.ts';

const clients = 12;
const timeRange = { start: '2026-01-01T00:00:00Z', end: '2026-01-02T00:00:00Z' };

let folder: string;
let bundle: string;
let server: TestDatabase;
let database: Database;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shutdown-'));
  bundle = await bundleFunction('exports', folder);
  server = await createDatabase();
  database = openDatabase({ url: server.url });
});
afterAll(async () => {
  await database?.close();
  await server?.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Answer {
  status: number;
  isLast: boolean;
}

/** A request on the agent's one connection; null where it was closed before a whole answer came. */
function send(url: string, agent: Agent, method: string, body: string): Promise<Answer | null> {
  return new Promise((resolve) => {
    const headers = { ...adminHeaders, 'Content-Type': 'application/json' };
    const sent = request(url, { method, agent, headers }, (answer) => {
      answer.resume().once('close', () => {
        const isLast = answer.headers.connection === 'close';
        resolve(answer.complete ? { status: answer.statusCode ?? 0, isLast } : null);
      });
    });
    sent.once('error', () => resolve(null));
    sent.end(body);
  });
}

test('a function that ends answers what it took, and takes no more of its busiest clients', async () => {
  const { S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY } = services();
  const process = await startFunctionProcess(bundle, {
    DATABASE_URL: apiDatabaseUrl(server.url),
    S3_ENDPOINT,
    S3_ACCESS_KEY,
    S3_SECRET_KEY,
    LOG_LEVEL: 'silent',
    RATE_LIMIT_PER_MINUTE: '0',
  });
  let isEnding = false;
  let stored = 0;
  /** Answers of each connection after the signal. */
  const after: Answer[][] = [];

  async function client(index: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const mine: Answer[] = [];
    after.push(mine);
    for (;;) {
      // Half of them write, each time for another org: an org's waiting exports are bounded.
      const isWriter = index % 2 === 0;
      const url = `${process.url}/analytics/v1/orgs/${randomUUID()}/exports`;
      const answer = isWriter
        ? await send(url, agent, 'POST', JSON.stringify({ timeRange }))
        : await send(url, agent, 'GET', '');
      if (answer?.status === 202) stored += 1;
      if (isEnding && answer !== null) mine.push(answer);
      if (answer === null || answer.isLast) break;
    }
    agent.destroy();
  }

  const all = Promise.all(Array.from({ length: clients }, (_, index) => client(index)));
  await until('all are busy', async () => stored > 20 * clients);
  isEnding = true;
  const { code, tookMs } = await process.terminate();
  await all;
  expect(code).toBe(0);
  // Not by the limit, which cuts.
  expect(tookMs).toBeLessThan(20_000);
  const [row] = await database.query<{ jobs: number }>(
    'select count(*)::int as jobs from analytics.export_jobs',
  );
  // What was answered was stored, and what was stored was answered.
  expect(row?.jobs).toBe(stored);
  for (const answers of after) {
    // Until the signal is heard some may be answered, then one more: not the hundreds that are asked.
    expect(answers.length).toBeLessThanOrEqual(20);
    expect(answers.slice(0, -1).filter(({ isLast }) => isLast)).toEqual([]);
  }
  expect(after.flat().filter(({ isLast }) => isLast).length).toBeGreaterThan(0);
});
