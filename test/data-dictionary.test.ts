import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dataDictionary, dictionaryFile } from '../scripts/data-dictionary.ts';
import { eventStorage } from '../shared/events/event-storage.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { Random } from './support/random.ts';
import { randomEvent } from './support/usage-events.ts';

let server: TestDatabase;
let database: Database;

beforeAll(async () => {
  server = await createDatabase();
  database = openDatabase({ url: server.url, patienceMs: 5_000 });
});
afterAll(async () => {
  await database?.close();
  await server?.drop();
});

test('docs/data-dictionary.md is what npm run data-dictionary writes', async () => {
  if (process.env.UPDATE_SNAPSHOT === '1') {
    await writeFile(dictionaryFile, await dataDictionary(database));
  }
  expect(await dataDictionary(database)).toBe(await readFile(dictionaryFile, 'utf8'));
});

test('every table, view, column and function has a meaning', async () => {
  const text = await dataDictionary(database);
  expect(text.split('\n').filter((line) => / \|\s+\|$/.test(line))).toEqual([]);
  expect(text.match(/^### .*\n\n\n/gm) ?? []).toEqual([]);
});

test('the views give what the tables and a recount give, and nobody writes through them', async () => {
  const random = new Random(3);
  const events = Array.from({ length: 400 }, () => randomEvent(random, Date.now(), 40 * 3_600_000));
  const batch = { stream: 'http', events, rejected: 2, position: null };
  await storeBatch(database, eventStorage(database), batch);
  await foldAll(database);
  await database.query(
    `insert into analytics.orgs (org_id, name) select distinct org_id, 'Acme' from analytics.usage_events`,
  );
  for (const [view, step] of [
    ['usage_by_hour', 'hour'],
    ['usage_by_day', 'day'],
  ]) {
    const differences = await database.query(
      `with expected as (
         select date_trunc('${step}', occurred_at, 'UTC') as bucket_start, org_id, 'Acme' as org_name,
                model_id, nullif(client_id, '') as client_id, count(*) as invocations,
                count(*) filter (where status <> 'success') as errors,
                sum(input_tokens + output_tokens) as tokens_total,
                sum(cost_estimate_cents) as cost_estimate_cents,
                percentile_disc(0.5) within group (order by latency_ms) as p50,
                percentile_disc(0.95) within group (order by latency_ms) as p95,
                percentile_disc(0.99) within group (order by latency_ms) as p99
         from analytics.usage_events group by 1, 2, 4, 5
       )
       select *
       from expected e full join analytics.${view} v
         on v.bucket_start = e.bucket_start and v.org_id = e.org_id and v.model_id = e.model_id
            and coalesce(v.client_id, '') = coalesce(e.client_id, '')
       where (e.invocations, e.errors, e.tokens_total, e.cost_estimate_cents,
              round(e.errors::numeric / e.invocations, 6), e.org_name) is distinct from
             (v.invocations, v.errors, v.tokens_total, v.cost_estimate_cents, v.error_rate,
              v.org_name)
          or abs(v.latency_p50_ms - p50) > p50 * 0.02
          or abs(v.latency_p95_ms - p95) > p95 * 0.02
          or abs(v.latency_p99_ms - p99) > p99 * 0.02`,
    );
    expect(differences).toEqual([]);
    await expect(database.query(`update analytics.${view} set invocations = 0`)).rejects.toThrow(
      /cannot update/,
    );
  }
  expect(
    await database.query(
      `select stream, batches::int, received::int, stored::int, duplicates::int, rejected::int
       from analytics.ingestion_by_hour`,
    ),
  ).toEqual([
    { stream: 'http', batches: 1, received: 402, stored: 400, duplicates: 0, rejected: 2 },
  ]);
  expect(await database.query('select * from analytics.export_history')).toEqual([]);
});

test('a role with the documented rights reads the views, and no table behind them', async () => {
  const text = await readFile(dictionaryFile, 'utf8');
  const role = `analyst_${server.url.split('_').at(-1)}`;
  const [, sql = ''] = /```sql\n([^`]*)```/.exec(text) ?? [];
  await database.query(sql.replaceAll('analyst', role));
  try {
    await database.transaction({}, async (transaction) => {
      await transaction.query(`set local role ${role}`);
      for (const view of [
        'usage_by_hour',
        'usage_by_day',
        'ingestion_by_hour',
        'export_history',
        'data_quality_runs',
      ]) {
        await transaction.query(`select * from analytics.${view} limit 1`);
      }
      await expect(transaction.query('select 1 from analytics.usage_daily')).rejects.toThrow(
        'permission denied',
      );
    });
  } finally {
    await database.query(`drop owned by ${role}; drop role ${role}`);
  }
});
