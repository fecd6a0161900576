import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  citusCalls,
  coordinatorTables,
  distributedTables,
  distributionColumn,
  referenceTables,
} from '../scripts/bench/citus-plan.ts';
import { eventStorage } from '../shared/events/event-storage.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { saveNames } from '../shared/preparation/catalog.ts';
import { recompute } from '../shared/rollups/rollup.ts';
import { citusFaults } from './support/citus-rules.ts';
import { eventJson, jsonPost } from './support/event-json.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';

const dayMs = 86_400_000;
const base = '/analytics/v1';
let system: System;
let database: Database;
let statements: string[];

beforeAll(async () => {
  system = await startSystem();
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
  const query = vi.spyOn(pg.Client.prototype, 'query');
  await useEverything();
  statements = [...new Set(query.mock.calls.flatMap(([first]) => textOf(first)))];
  query.mockRestore();
});
afterAll(async () => {
  await database?.close();
  await system?.close();
});

function textOf(query: unknown): string[] {
  if (typeof query === 'string') return [query];
  const hasText = typeof query === 'object' && query !== null && 'text' in query;
  return hasText && typeof query.text === 'string' ? [query.text] : [];
}

/** Every statement that the functions have is sent at least once. */
async function useEverything(): Promise<void> {
  const orgId = randomUUID();
  const org = `${base}/orgs/${orgId}`;
  const day = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs;
  const at = (ms: number) => new Date(ms).toISOString();
  const window = `start=${at(day - dayMs)}&end=${at(day + 3 * dayMs)}`;
  const ask = async (path: string, init: RequestInit = { headers: adminHeaders }) => {
    // A busy machine may answer that it is.
    const response = await until(path, async () => {
      const answer = await system.app.request(path, init);
      return answer.status !== 503 && answer;
    });
    expect(response.status, path).toBeLessThan(300);
    return response;
  };
  const send = (count: number) =>
    ask(
      `${base}/events`,
      jsonPost(
        Array.from({ length: count }, (_, number) =>
          eventJson({ orgId, occurredAt: at(day + number * 3_600_000), clientId: 'web' }),
        ),
        adminHeaders,
      ),
    );
  const stored = (count: number) =>
    until('the events are stored', async () => {
      const [row] = await database.query<{ events: number }>(
        'select sum(events_stored + events_duplicate)::float8 as events from analytics.stream_offsets',
      );
      return (row?.events ?? 0) >= count;
    });
  await send(5);
  await stored(5);
  await system.refresh();
  // Not yet folded: read from raw rows.
  await send(2);
  await stored(7);
  for (const zone of ['UTC', 'Asia/Kolkata']) {
    for (const question of ['usage', 'reliability']) {
      for (const groupBy of ['none', 'model', 'model,client']) {
        await ask(`${org}/${question}?${window}&timezone=${zone}&groupBy=${groupBy}`);
      }
    }
  }
  await ask(`${org}/usage?${window}&modelId=${randomUUID()}&clientId=web`);
  await ask(`${org}/models`);
  await ask(`${org}/freshness?modelId=${randomUUID()}`);
  await ask(`${base}/orgs?${window}`);
  await ask('/metrics');
  await ask(`${base}/status/readyz`);
  const timeRange = { start: at(day), end: at(day + dayMs) };
  for (const home of [`${org}/exports`, `${base}/exports`]) {
    for (const format of home.startsWith(org) ? ['csv', 'focus', 'events'] : ['csv', 'focus']) {
      await ask(home, jsonPost({ timeRange, format }, adminHeaders));
    }
    await ask(home);
  }
  await system.exports.drain();
  await system.verify();
  await recompute(database, new Date(day), new Date(day + dayMs), 400);
  await saveNames(database, { orgs: [{ id: orgId, name: 'An org' }], models: [] });
  await eventStorage(database).upkeep(
    { rawRetentionDays: 1, compressAfterDays: 7 },
    Date.now() + dayMs,
  );
}

test('every table has its place, and what is distributed is keyed by org', async () => {
  const tables = await database.query<{ name: string; keys: string[] | null }>(
    `select c.relname as name,
            array_agg(pg_get_indexdef(i.indexrelid)) filter (where i.indisunique) as keys
     from pg_class c left join pg_index i on i.indrelid = c.oid
     where c.relnamespace = 'analytics'::regnamespace and c.relkind in ('r', 'p')
       and not c.relispartition and c.relname !~ '^usage_events_[0-9]{8}$'
     group by 1`,
  );
  const placed = [...distributedTables, ...referenceTables, ...Object.keys(coordinatorTables)];
  expect(tables.map(({ name }) => name).sort()).toEqual(placed.sort());
  for (const { name, keys } of tables) {
    if (!distributedTables.some((table) => table === name)) continue;
    expect(keys, name).not.toBeNull();
    for (const key of keys ?? []) expect(key).toMatch(new RegExp(`\\b${distributionColumn}\\b`));
  }
  expect(citusCalls).toHaveLength(placed.length);
});

/**
 * What the rules do not let pass as it is, and what would be there in its place. All of it is work
 * in the background over many tenants; no request of a tenant is among them.
 */
const exceptions: { name: string; form: RegExp; instead: string }[] = [
  {
    name: 'ingest',
    form: /insert into analytics\.usage_events\s.*\sfrom usage_stage_2/s,
    instead: 'the insert alone, sent per shard from the stage; its command tag has the count',
  },
  {
    name: 'hourly fold',
    form: /^with written as .*\sfrom usage_increment_2/s,
    instead: 'the insert alone, without the count around it',
  },
  {
    name: 'rollup retention',
    form: /^with gone as \(\s*delete from analytics\.(usage|error)_(hourly|daily)/,
    instead: 'run_command_on_shards with the same delete: ctid means something on a shard alone',
  },
  {
    name: 'verify',
    form: /^with hours as materialized/,
    instead: 'nothing: its windows are over sums that are already collected on the coordinator',
  },
];

test('every query meets the rules of Citus', () => {
  const faulty = statements
    .map((statement) => ({ statement, faults: citusFaults(statement) }))
    .filter(({ faults }) => faults.length > 0);
  const unnamed = faulty.filter(
    ({ statement }) => !exceptions.some(({ form }) => form.test(statement)),
  );
  expect(unnamed).toEqual([]);
  const idle = exceptions.filter(
    ({ form }) => !faulty.some(({ statement }) => form.test(statement)),
  );
  expect(idle.map(({ name }) => name)).toEqual([]);
});
