import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { type System, startSystem } from '../support/system.ts';
import { checkRandomWindows } from '../support/window-property.ts';

let system: System;
let database: Database;

beforeAll(async () => {
  system = await startSystem({ stream: false });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
});
afterAll(async () => {
  await database.close();
  await system.close();
});

test('any of thousands of windows is the plain recount of distinct events', async () => {
  const runs = 1_500;
  expect(await checkRandomWindows(system, database, runs)).toBeGreaterThan(runs);
});
