import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { until } from './support/until.ts';

let server: TestDatabase;
let database: Database;
let other: Database;

beforeAll(async () => {
  server = await createDatabase();
  database = openDatabase({ url: server.url, connectionsMax: 1 });
  other = openDatabase({ url: server.url });
});
afterAll(async () => {
  await database.close();
  await other.close();
  await server.drop();
});

async function terminate(pid: number): Promise<void> {
  await other.query('select pg_terminate_backend($1)', [pid]);
  await until('the backend is gone', async () => {
    const left = await other.query('select from pg_stat_activity where pid = $1', [pid]);
    return left.length === 0;
  });
}

test('a connection lost between two statements fails the transaction, not the process', async () => {
  await expect(
    database.transaction({}, async (transaction) => {
      const [backend] = await transaction.query<{ pid: number }>('select pg_backend_pid() as pid');
      await terminate(backend?.pid ?? 0);
      return transaction.query('select 1');
    }),
  ).rejects.toMatchObject({ code: 'unavailable' });
  expect(await database.query('select 1 as one')).toEqual([{ one: 1 }]);
});

test('a connection lost during a statement fails the transaction, not the process', async () => {
  await expect(
    database.transaction({}, async (transaction) => {
      const [backend] = await transaction.query<{ pid: number }>('select pg_backend_pid() as pid');
      const [slept] = await Promise.allSettled([
        transaction.query('select pg_sleep(30)'),
        terminate(backend?.pid ?? 0),
      ]);
      if (slept?.status === 'rejected') throw slept.reason;
    }),
  ).rejects.toMatchObject({ code: 'unavailable' });
  expect(await database.query('select 1 as one')).toEqual([{ one: 1 }]);
});

test('a transaction that fails as it begins leaves nothing of itself to the next', async () => {
  await expect(
    database.transaction({ prelude: 'select 1 / 0' }, async () => {}),
  ).rejects.toMatchObject({ code: '22012' });
  expect(await database.query('select 1 as one')).toEqual([{ one: 1 }]);
});
