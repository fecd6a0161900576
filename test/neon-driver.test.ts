import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { neonConfig } from '@neondatabase/serverless';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { startSilentServer, startTcpRelay } from './support/tcp-relay.ts';
import { withAdmin } from './support/template-database.ts';
import { until } from './support/until.ts';
import { startWebSocketRelay, type WebSocketRelay } from './support/websocket-relay.ts';

/** The contract's second for an answer that a store is away; more on a machine that is busy. */
const answerMaxMs = 1_000;
const unavailable = { code: 'unavailable', message: expect.stringMatching(/not available: ./) };

let server: TestDatabase;
let relay: WebSocketRelay;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await createDatabase();
  relay = await startWebSocketRelay();
  neonConfig.useSecureWebSocket = false;
  neonConfig.pipelineConnect = false;
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(async () => {
  await relay?.stop();
  await server?.drop();
});

function open(proxy: string, url = server.url, patienceMs?: number): Database {
  neonConfig.wsProxy = proxy;
  const database = openDatabase({ url, driver: 'neon', ...(patienceMs && { patienceMs }) });
  cleanups.push(() => bounded(() => database.close()));
  return database;
}

/** What takes bounded time, whatever happened to the server. */
async function bounded<T>(work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  try {
    return await work();
  } finally {
    expect(performance.now() - startedMs).toBeLessThan(answerMaxMs);
  }
}

const read = (database: Database) =>
  database.transaction({ mode: 'snapshot' }, (snapshot) => snapshot.query('select 1 as one'));

/** How many sessions run the statement just now. */
async function sleepers(statement: string): Promise<number> {
  const { pathname } = new URL(server.url);
  return withAdmin(server.url, async (admin) => {
    const { rows } = await admin.query(
      `select from pg_stat_activity where datname = $1 and query = $2 and state = 'active'`,
      [pathname.slice(1), statement],
    );
    return rows.length;
  });
}

test.each([
  ['postgres://u:p@ep-x-1.eu-central-1.aws.neon.tech/db', 'auto', false],
  ['postgres://u:p@ep-x-1-pooler.eu-central-1.aws.neon.tech/db', undefined, false],
  ['postgres://u:p@neon.tech.example.com/db', 'auto', true],
  ['postgres://u:p@localhost/db', 'auto', true],
  ['postgres://u:p@localhost/db', 'neon', false],
  ['postgres://u:p@ep-x-1.eu-central-1.aws.neon.tech/db', 'pg', true],
] as const)('%s by the driver %s: COPY is to be had: %s', (url, driver, canCopy) => {
  expect(openDatabase({ url, ...(driver && { driver }) }).canCopy).toBe(canCopy);
});

describe('a proxy that is away is a store that is away', () => {
  test('at a closed port', async () => {
    const gone = await startWebSocketRelay();
    await gone.stop();
    await bounded(() => expect(read(open(gone.address))).rejects.toMatchObject(unavailable));
  });

  test('that refuses', async () => {
    const refusing = createServer((_, response) => response.writeHead(502).end());
    await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => refusing.close(resolve)));
    const { port } = refusing.address() as AddressInfo;
    const database = open(`127.0.0.1:${port}`);
    await bounded(() => expect(read(database)).rejects.toMatchObject(unavailable));
  });

  test('that takes connections and never says a word', async () => {
    const silent = await startSilentServer();
    cleanups.push(() => silent.stop());
    const database = open(`127.0.0.1:${silent.port}`);
    await bounded(() => expect(read(database)).rejects.toMatchObject(unavailable));
  });

  test('that opens WebSockets and never says a word', async () => {
    // Paused, it does not answer a goodbye either.
    const silent = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    silent.on('connection', (socket) => socket.pause());
    await once(silent, 'listening');
    cleanups.push(async () => {
      for (const client of silent.clients) client.terminate();
      await new Promise((resolve) => silent.close(resolve));
    });
    const { port } = silent.address() as AddressInfo;
    const database = open(`127.0.0.1:${port}`);
    await bounded(() => expect(read(database)).rejects.toMatchObject(unavailable));
  });

  test('whose server never says a word', async () => {
    const silent = await startTcpRelay(server.url);
    silent.freeze();
    cleanups.push(() => silent.stop());
    const database = open(relay.address, silent.through(server.url));
    await bounded(() => expect(read(database)).rejects.toMatchObject(unavailable));
  });

  test('that falls silent while connections are open', async () => {
    const between = await startTcpRelay(`ws://${relay.address}`);
    cleanups.push(() => between.stop());
    const database = open(`127.0.0.1:${between.port}`, server.url, 800);
    await until('a first answer', () => read(database).then(Boolean, () => false));
    between.freeze();
    for (let round = 0; round < 3; round += 1) {
      await bounded(() => expect(read(database)).rejects.toMatchObject(unavailable));
    }
  });

  test('that ends while a statement runs', async () => {
    const ending = await startWebSocketRelay();
    const database = open(ending.address, server.url, 10_000);
    await database.query('select 1');
    const [slept] = await Promise.allSettled([
      database.query('select pg_sleep(30)'),
      ending.stop(),
    ]);
    expect(slept).toMatchObject({ status: 'rejected', reason: unavailable });
  });
});

test('closing ends, though a connection is lost meanwhile', async () => {
  const ending = await startWebSocketRelay();
  neonConfig.wsProxy = ending.address;
  const database = openDatabase({ url: server.url, driver: 'neon', patienceMs: 10_000 });
  const slept = database.query('select pg_sleep(30)').catch((error: unknown) => error);
  await until('it sleeps', async () => (await sleepers('select pg_sleep(30)')) === 1);
  const closed = database.close();
  await ending.stop();
  expect(await slept).toMatchObject(unavailable);
  await bounded(() => closed);
});

test('a transaction that is called off ends in the middle of a statement', async () => {
  const database = open(relay.address, server.url, 10_000);
  const stopping = new AbortController();
  const sleeping = database.transaction({ signal: stopping.signal }, (transaction) =>
    transaction.query('select pg_sleep(20)'),
  );
  const ended = expect(sleeping).rejects.toThrow('enough');
  await until('it sleeps', async () => (await sleepers('select pg_sleep(20)')) === 1);
  stopping.abort(new Error('enough'));
  await bounded(() => ended);
  expect(await database.query('select 1 as one')).toEqual([{ one: 1 }]);
});
