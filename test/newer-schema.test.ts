import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventStorage } from '../shared/events/event-storage.ts';
import { ingest } from '../shared/events/ingest.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { requestMonthlyExports } from '../shared/exports/monthly.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { saveNames } from '../shared/preparation/catalog.ts';
import { migrate } from '../shared/preparation/migrate.ts';
import { foldAll, recompute } from '../shared/rollups/rollup.ts';
import { exported } from './support/export-file.ts';
import { Random } from './support/random.ts';
import { rollupDifferences, storageDifferences } from './support/recount.ts';
import { type System, startSystem } from './support/system.ts';
import { distinctEvents, randomEvent } from './support/usage-events.ts';

const dayMs = 86_400_000;
const nowMs = Date.now();
const random = new Random(15);
const sent: UsageEvent[] = [];

let system: System;
let database: Database;
/** Its one session was at work before the schema changed, and has its temporary tables from then. */
let older: Database;

/**
 * A deploy migrates first and replaces the functions afterwards, and a roll-back brings them back:
 * so this release runs on the next one's schema, which may have a column more in any table.
 */
async function addColumns(): Promise<string[]> {
  const tables = await database.query<{ name: string }>(
    `select relname as name from pg_class
     where relnamespace = 'analytics'::regnamespace and relkind in ('r', 'p') and not relispartition
     order by 1`,
  );
  for (const { name } of tables) {
    await database.query(
      `alter table analytics.${name} add column added_later numeric not null default 7`,
    );
  }
  return tables.map(({ name }) => name);
}

async function store(through: Database, events: UsageEvent[]): Promise<number> {
  sent.push(...events);
  await eventStorage(database).ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
  const batch = { stream: 'test', events, rejected: 0, position: null };
  return (await ingest(through, batch)).stored;
}

const someEvents = (count: number) =>
  Array.from({ length: count }, () => randomEvent(random, nowMs, 3 * dayMs));

beforeAll(async () => {
  system = await startSystem({ stream: false });
  const url = system.environment.DATABASE_URL ?? '';
  database = openDatabase({ url, patienceMs: 5_000 });
  older = openDatabase({ url, patienceMs: 5_000, connectionsMax: 1 });
  await store(older, someEvents(50));
  await foldAll(older);
  expect(await addColumns()).toEqual(expect.arrayContaining(['usage_events', 'usage_hourly']));
});
afterAll(async () => {
  await older?.close();
  await database?.close();
  await system?.close();
});

describe('on a schema with a column more in every table', () => {
  test('migrating finds nothing to do', async () => {
    const { applied } = await migrate(system.environment.DATABASE_URL ?? '');
    expect(applied).toEqual([]);
  });

  test.each([
    ['a new session', () => database],
    ['a new session that has no COPY', () => ({ ...database, canCopy: false })],
    ['an older session', () => older],
  ])('events are stored and folded by %s', async (_, through) => {
    expect(await store(through(), someEvents(200))).toBe(200);
    await foldAll(through());
    expect(await storageDifferences(database, distinctEvents(sent))).toEqual({
      missing: [],
      surplus: [],
    });
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('rollups are recomputed', async () => {
    await database.query('delete from analytics.usage_hourly; delete from analytics.error_daily');
    await recompute(database, new Date(nowMs - 3 * dayMs), new Date(nowMs), 400);
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('the refresh and verify find nothing wrong', async () => {
    await system.refresh();
    const report = await system.verify();
    expect(report?.run.failures).toEqual([]);
    // The synthetic events of verify are more than was sent.
    await foldAll(database);
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('names of the catalog are stored', async () => {
    const row = { id: randomUUID(), name: 'Later' };
    await saveNames(database, { orgs: [row], models: [row] });
    const names = await database.query('select name from analytics.orgs where org_id = $1', [
      row.id,
    ]);
    expect(names).toEqual([{ name: 'Later' }]);
  });

  const orgId = '00000000-0000-4000-8000-000000000001';
  const range = { startMs: nowMs - 5 * dayMs, endMs: nowMs + dayMs };
  const mine = () => distinctEvents(sent).filter((event) => event.orgId === orgId);

  test.each(['csv', 'focus', 'events'] as const)(
    'exports as %s hold what was sent',
    async (format) => {
      const { job, rows } = await exported(system, database, {
        orgId,
        format,
        granularity: 'day',
        timezone: 'UTC',
        models: null,
        range,
      });
      expect(rows.length).toBeGreaterThan(0);
      expect(job.totals?.invocations).toBe(mine().length);
    },
  );

  test('monthly exports are asked for, and every list is answered', async () => {
    await requestMonthlyExports(database, system.settings, nowMs);
    const { status } = await system.get(`/analytics/v1/orgs/${orgId}/exports`);
    expect(status).toBe(200);
    const window = new URLSearchParams({
      start: new Date(range.startMs).toISOString(),
      end: new Date(range.endMs).toISOString(),
    });
    for (const path of ['usage', 'reliability']) {
      const answer = await system.get(`/analytics/v1/orgs/${orgId}/${path}?${window}&groupBy=none`);
      expect(answer.body).toMatchObject({ totals: { invocations: mine().length } });
    }
    for (const path of [`/orgs/${orgId}/freshness`, `/orgs/${orgId}/models`, `/orgs?${window}`]) {
      expect(await system.get(`/analytics/v1${path}`)).toMatchObject({ status: 200 });
    }
    expect((await system.app.request('/metrics')).status).toBe(200);
  });
});

/** A way into a table that this test file does not take would break there all the same. */
test('every insert names its columns', async () => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const positional: string[] = [];
  for (const folder of ['shared', 'functions', 'scripts']) {
    const names = await readdir(join(root, folder), { recursive: true });
    for (const name of names.filter((one) => one.endsWith('.ts') && !one.endsWith('.test.ts'))) {
      const text = await readFile(join(root, folder, name), 'utf8');
      for (const [statement, next] of text.matchAll(
        /insert into [\w.${}]+(?:\s+as \w+)?\s+(\S)/g,
      )) {
        if (next !== '(') positional.push(`${folder}/${name}: ${statement}`);
      }
    }
  }
  expect(positional).toEqual([]);
});
