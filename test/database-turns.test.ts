import { randomUUID } from 'node:crypto';
import { neonConfig } from '@neondatabase/serverless';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  type Database,
  type DatabaseOptions,
  openDatabase,
} from '../shared/platform/database/db.ts';
import { createTurns } from '../shared/platform/database/turns.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { watchStalls } from './support/stall-watch.ts';
import { startTcpRelay, type TcpRelay } from './support/tcp-relay.ts';
import { withAdmin } from './support/template-database.ts';
import { until } from './support/until.ts';
import { startWebSocketRelay, type WebSocketRelay } from './support/websocket-relay.ts';

/** The contract's second for an answer that a store is away. */
const answerMaxMs = 1_000;
const connectionsMax = 3;

let server: TestDatabase;
let webSockets: WebSocketRelay;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = await createDatabase();
  webSockets = await startWebSocketRelay();
  neonConfig.useSecureWebSocket = false;
  neonConfig.pipelineConnect = false;
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(async () => {
  await webSockets?.stop();
  await server?.drop();
});

interface Opened {
  /** What the server shows of its sessions. */
  name: string;
  database: Database;
  relay: TcpRelay;
}

/** A few connections to the test's database, by way of a relay that can fall silent. */
async function open(
  driver: 'pg' | 'neon',
  options: Pick<DatabaseOptions, 'patienceMs' | 'idleTimeoutMs'> = {},
): Promise<Opened> {
  const name = randomUUID();
  const target = driver === 'pg' ? server.url : `ws://${webSockets.address}`;
  const relay = await startTcpRelay(target);
  neonConfig.wsProxy = `127.0.0.1:${relay.port}`;
  const url = driver === 'pg' ? relay.through(server.url) : server.url;
  const database = openDatabase({
    url,
    driver,
    connectionsMax,
    name,
    ...options,
  });
  cleanups.push(async () => {
    relay.cut();
    await database.close();
    await relay.stop();
  });
  return { name, database, relay };
}

const sleepOn = (database: Database, seconds: number) =>
  database.transaction({ mode: 'snapshot' }, (snapshot) =>
    snapshot.query('select pg_sleep($1)', [seconds]),
  );

/** All connections are at long statements. */
async function occupy({ name, database }: Opened): Promise<void> {
  const allAtOnce = (seconds: number) =>
    Promise.all(Array.from({ length: connectionsMax }, () => sleepOn(database, seconds)));
  // On a busy machine connecting may take longer than a request waits for it.
  await until('all are connected', () => allAtOnce(0.05).then(Boolean, () => false));
  allAtOnce(20).catch(() => {});
  await until('all sleep', () =>
    withAdmin(server.url, async (admin) => {
      const { rows } = await admin.query(
        `select from pg_stat_activity
         where application_name = $1 and query like 'select pg_sleep%' and state = 'active'`,
        [name],
      );
      return rows.length === connectionsMax;
    }),
  );
}

/** The driver is loaded, and every connection closed again, as after some quiet. */
async function coldlyOpened(driver: 'pg' | 'neon', patienceMs?: number): Promise<Opened> {
  const patience = patienceMs === undefined ? {} : { patienceMs };
  const opened = await open(driver, { idleTimeoutMs: 1, ...patience });
  await until('an answer', () => sleepOn(opened.database, 0).then(Boolean, () => false));
  await until('quiet', () =>
    withAdmin(server.url, async (admin) => {
      const sessions = 'select from pg_stat_activity where application_name = $1';
      return (await admin.query(sessions, [opened.name])).rowCount === 0;
    }),
  );
  return opened;
}

/** As many requests at once do: nothing else of this process runs, and no answer is read. */
function holdUp(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

/** Why each of many reads fails, and after how long. */
async function failures(database: Database, count: number) {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const stalledMs = watchStalls();
      const startedMs = performance.now();
      const reason: unknown = await sleepOn(database, 0).catch((error: unknown) => error);
      return { reason, afterMs: performance.now() - startedMs - stalledMs() };
    }),
  );
}

describe.each(['pg', 'neon'] as const)('by the driver %s', (driver) => {
  test('who waits for others longer than for a connection is served', async () => {
    const patienceMs = 3_000;
    const { database } = await open(driver, { patienceMs });
    const startedMs = performance.now();
    await Promise.all(Array.from({ length: 8 * connectionsMax }, () => sleepOn(database, 0.5)));
    expect(performance.now() - startedMs).toBeGreaterThan(patienceMs);
  });

  test('a silent server fails many within a second, and serves them when it is back', async () => {
    const { database, relay } = await open(driver);
    relay.freeze();
    for (const { reason, afterMs } of await failures(database, 20 * connectionsMax)) {
      expect(reason).toMatchObject({ code: 'unavailable' });
      expect(reason).toMatchObject({ message: expect.stringContaining('not available') });
      expect(afterMs).toBeLessThan(answerMaxMs);
    }
    relay.heal();
    await until('an answer', () => sleepOn(database, 0).then(Boolean, () => false));
  });

  test('after some quiet, who waits while this process is held up is served', async () => {
    // The relay between is this process too, and the machine is shared: what counts is that being
    // held up for longer does not.
    const patienceMs = 1_500;
    const { database } = await coldlyOpened(driver, patienceMs);
    const reads = Array.from({ length: connectionsMax + 200 }, () => sleepOn(database, 0));
    // Long enough for every timer; each step of connecting waits for one more round of the loop.
    for (let step = 0; step < 3; step += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      holdUp(patienceMs + 200);
    }
    expect(await Promise.all(reads)).toHaveLength(connectionsMax + 200);
  });

  test.each(['reset', 'silent'] as const)(
    'a connection that is %s is tried again, and nobody is sent away for it',
    async (how) => {
      const { database, relay } = await coldlyOpened(driver);
      relay.lose(1, how);
      const reads = Array.from({ length: 10 * connectionsMax }, () => sleepOn(database, 0.01));
      expect(await Promise.all(reads)).toHaveLength(10 * connectionsMax);
    },
  );

  test('a server that falls silent while all connections work fails who waits', async () => {
    const opened = await open(driver);
    const { database, relay } = opened;
    await occupy(opened);
    relay.freeze();
    for (let round = 0; round < 2; round += 1) {
      for (const { reason, afterMs } of await failures(database, 20)) {
        expect(reason).toMatchObject({ message: expect.stringContaining('not available') });
        expect(afterMs).toBeLessThan(answerMaxMs);
      }
    }
  });

  test('a tenant among the many requests of another waits for one turn', async () => {
    const { database } = await open(driver, { patienceMs: 10_000 });
    const begun: string[] = [];
    const read = (tenant: string) =>
      database.transaction({ mode: 'snapshot', tenant }, async (snapshot) => {
        begun.push(tenant);
        await snapshot.query('select pg_sleep(0.02)');
      });
    const [hostile, other] = [randomUUID(), randomUUID()];
    // As many as may wait, and more: those find no place.
    const many = Promise.allSettled(Array.from({ length: 280 }, () => read(hostile)));
    await until('the first are done', async () => begun.length > 2 * connectionsMax);
    for (let count = 0; count < 3; count += 1) {
      const before = begun.length;
      await read(other);
      // The turns that were given as it came, and one.
      expect(begun.indexOf(other, before) - before).toBeLessThanOrEqual(connectionsMax);
    }
    const served = (await many).filter(({ status }) => status === 'fulfilled');
    expect(served.length).toBeGreaterThanOrEqual(connectionsMax + 200 - 3);
  });

  test('one too many is sent away at once, and told why', async () => {
    const opened = await open(driver);
    const { database } = opened;
    await occupy(opened);
    const waiting = failures(database, 200);
    const [last] = await failures(database, 1);
    expect(last?.reason).toMatchObject({
      code: 'unavailable',
      message: 'the database is busy: 200 wait for it already',
    });
    expect(last?.afterMs).toBeLessThan(100);
    await cleanups.pop()?.();
    await waiting;
  });
});

describe('turns', () => {
  const look = async () => {};

  test('go to those who wait in their order', async () => {
    const turns = createTurns({ atOnceMax: 1, waitMaxMs: 5_000, look });
    await turns.take();
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (one) => {
      await turns.take();
      order.push(one);
      turns.giveBack();
    });
    turns.giveBack();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
    await turns.take();
  });

  test('are not waited for longer than is allowed, and who left takes none', async () => {
    const turns = createTurns({ atOnceMax: 1, waitMaxMs: 50, look });
    await turns.take();
    await expect(turns.take()).rejects.toMatchObject({
      code: 'unavailable',
      message: 'the database is busy: the wait takes too long',
    });
    turns.giveBack();
    await turns.take();
  });
});
