import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventStorage } from '../shared/events/event-storage.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import { createExportJob } from '../shared/exports/job.ts';
import { freshnessPrefix } from '../shared/freshness/freshness.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { runProgram } from './support/analytics-command.ts';
import { analyticsHere } from './support/analytics-here.ts';
import { createDatabase, emptyDatabase, type TestDatabase } from './support/database.ts';
import { startLocked } from './support/held-lock.ts';
import { rollupDifferences } from './support/recount.ts';
import { services } from './support/services.ts';
import { usageEvent } from './support/usage-events.ts';

let server: TestDatabase;
let database: Database;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-commands-'));
  server = await createDatabase();
  database = openDatabase({ url: server.url });
  const events = Array.from({ length: 50 }, () => usageEvent());
  const batch = { stream: 'http', events, rejected: 0, position: null };
  await storeBatch(database, eventStorage(database), batch);
});
afterAll(async () => {
  await database.close();
  await server.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Outcome {
  code: number | string;
  output: string;
}

/** A command in this process, with the database and no other server. */
async function command(
  name: string,
  args: string[] = [],
  url = server.url,
  more: Record<string, string> = {},
): Promise<Outcome> {
  const environment = { DATABASE_URL: url, ...more };
  const { code, stdout, stderr } = await analyticsHere([name, ...args], environment);
  return { code, output: stdout + stderr };
}

test('refresh folds what waits, verify finds it right, a corrupted rollup is found and rebuilt', async () => {
  expect(await command('refresh')).toMatchObject({
    code: 0,
    output: expect.stringContaining('folded 1 batches'),
  });
  expect(await command('verify')).toMatchObject({
    code: 0,
    output: expect.stringMatching(/OK\n$/),
  });
  await database.query(
    'update analytics.ingestion_batches set duplicates = 2, conflicts = 2 where batch_id = 1',
  );
  const warned = await command('verify');
  expect(warned).toMatchObject({ code: 0, output: expect.stringMatching(/OK\n$/) });
  expect(warned.output).toContain('WARNING: 2 events of the last 24 hours came again');

  await database.query('update analytics.usage_hourly set input_tokens = input_tokens * 2');
  const drifted = await command('verify');
  expect(drifted.code).toBe(1);
  expect(drifted.output).toContain('input_tokens');
  expect(drifted.output).toMatch(
    /FAILED: 1 buckets drift more than 0.5%: hourly .* of org .* has input_tokens 1000 where raw events have 500\n$/,
  );

  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const args = ['--from', day(Date.now() - 86_400_000), '--to', day(Date.now() + 86_400_000)];
  expect(await command('refresh', args)).toMatchObject({
    code: 0,
    output: expect.stringContaining('rebuilt 2 days'),
  });
  expect(await command('verify')).toMatchObject({ code: 0 });
});

test('verify names org, day and both numbers of a corrupted day; --repair mends it', async () => {
  const { orgId } = usageEvent();
  const [row] = await database.query<{ day: string }>(
    `update analytics.usage_daily set success_count = success_count - 5
     returning to_char(bucket_start at time zone 'UTC', 'YYYY-MM-DD') as day`,
  );
  const words = `daily ${row?.day} of org ${orgId} has success_count 45 where raw events have 50`;
  const drifted = await command('verify');
  expect(drifted.code).toBe(1);
  expect(drifted.output).toContain(words);

  const repaired = await command('verify', ['--repair']);
  expect(repaired.code, repaired.output).toBe(0);
  expect(repaired.output).toContain(words);
  expect(repaired.output).toContain(`rebuilt ${row?.day}: 1 hourly rows`);
  expect(repaired.output).toMatch(/OK\n$/);
  expect(
    await database.query(
      `select trigger, passed, failures[1] like '%' || $1 as named, drifted_buckets
       from analytics.data_quality_runs order by started_at desc limit 3`,
      [words],
    ),
  ).toEqual([
    { trigger: 'repair', passed: true, named: null, drifted_buckets: 0 },
    { trigger: 'command', passed: false, named: true, drifted_buckets: 1 },
    { trigger: 'command', passed: false, named: true, drifted_buckets: 1 },
  ]);
  expect(await rollupDifferences(database)).toEqual([]);
});

test('two verify at once: the second says that another is at work', async () => {
  const other = await startLocked(server.url, 7_102_004_003);
  try {
    expect(await command('verify')).toEqual({
      code: 1,
      output: 'verify: another run of verify is under way: try again later\n',
    });
  } finally {
    await other.release();
  }
});

test('verify names a day without a partition, and the refresh makes it', async () => {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  await database.query(`drop table analytics.usage_events_${tomorrow.replaceAll('-', '')}`);
  const missing = await command('verify');
  expect(missing.code).toBe(1);
  expect(missing.output).toContain(`FAILED: no partition for events of ${tomorrow}`);
  await command('refresh');
  expect(await command('verify')).toMatchObject({ code: 0 });
});

test('a staleness of more than five minutes fails verify', async () => {
  await database.query(
    `update analytics.stream_offsets set complete_through = clock_timestamp() - interval '6 minutes'`,
  );
  const stale = await command('verify');
  expect(stale).toMatchObject({
    code: 1,
    output: expect.stringMatching(/freshness lag is 36\d s/),
  });
  await command('refresh');
  expect(await command('verify')).toMatchObject({ code: 0 });
});

test('verify lists a restated export, and fails on one that nothing explains', async () => {
  const range = { startMs: Date.now() - 2 * 86_400_000, endMs: Date.now() + 60_000 };
  await createExportJob(database, {
    orgId: usageEvent().orgId,
    format: 'csv',
    granularity: 'day',
    timezone: 'UTC',
    models: null,
    range,
    initiatedBy: 'test',
    idempotencyKey: null,
  });
  const finish = (invocations: number) =>
    database.query(
      `update analytics.export_jobs
       set status = 'succeeded', started_at = clock_timestamp() - interval '1 hour',
           completed_at = clock_timestamp(), complete_through = range_end, totals = $1`,
      [
        JSON.stringify({
          invocations,
          errors: 0,
          inputTokens: String(invocations * 10),
          outputTokens: String(invocations * 20),
          costEstimateCents: String((invocations * 1_234) / 10_000),
        }),
      ],
    );
  await finish(50);
  expect((await command('verify')).output).toContain('1 of the last 30 days: 0 restated');
  // As if three of the 50 had come after it.
  await finish(47);
  const restated = await command('verify');
  expect(restated.output).toContain('1 restated by late events, 0 wrong');
  expect(restated.output).toContain('0.3702 cents, 3 invocations');
  expect(restated.output).not.toContain('do not tie');
  await finish(51);
  const wrong = await command('verify');
  expect(wrong.code).toBe(1);
  expect(wrong.output).toContain('1 exports do not tie with their window');
  await database.query('truncate analytics.export_jobs');
});

test('catalog takes all of a file or, naming every wrong row, nothing of it', async () => {
  const names = () =>
    database.query(
      'select name from analytics.orgs union select name from analytics.models order by 1',
    );
  const good = join(folder, 'good.csv');
  await writeFile(
    good,
    `kind,id,name\norg,00000000-0000-4000-8000-00000000000a,"Acme, Inc"\nmodel,00000000-0000-4000-8000-0000000000a1,chat\n`,
  );
  const bad = join(folder, 'bad.json');
  await writeFile(
    bad,
    JSON.stringify([
      { kind: 'org', id: '00000000-0000-4000-8000-00000000000b', name: 'Other' },
      { kind: 'team', id: 'x', name: '' },
    ]),
  );
  expect(await command('catalog', ['import', good])).toMatchObject({ code: 0 });
  const refused = await command('catalog', ['import', bad]);
  expect(refused.code).toBe(1);
  expect(refused.output).toMatch(/row 2: kind must be org or model, id must be a uuid, name must/);
  expect(await names()).toEqual([{ name: 'Acme, Inc' }, { name: 'chat' }]);
});

test('migrate brings an empty database up to date, and says so the second time', async () => {
  const empty = await emptyDatabase();
  try {
    expect(await command('migrate', [], empty.url)).toMatchObject({
      code: 0,
      output: expect.stringContaining('applied 0001_usage.sql'),
    });
    expect(await command('migrate', [], empty.url)).toMatchObject({
      code: 0,
      output: expect.stringContaining('already up to date'),
    });
  } finally {
    await empty.drop();
  }
});

/** A script that is no command of `analytics`. */
async function script(name: string, args: string[], environment: Record<string, string>) {
  const started = ['--import', 'tsx', `scripts/${name}.ts`, ...args];
  const { code, stdout, stderr } = await runProgram(started, environment);
  return { code, output: stdout + stderr };
}

test.each([
  ['migrate', 3, []],
  ['bootstrap', 1, ['--check-only']],
  ['refresh', 3, []],
  ['verify', 3, []],
  ['data-dictionary', 1, []],
  ['catalog', 3, ['import', 'names.json']],
  ['freshness', 3, ['--compare']],
])('%s asks the database by the driver that is set', async (name, expected, args) => {
  const file = join(folder, 'names.json');
  await writeFile(file, '[]');
  const { REDIS_URL } = services();
  // Without a key in the cache there is nothing to compare with the database.
  const redis = await createClient({ url: REDIS_URL }).connect();
  await redis.set(
    `${freshnessPrefix}${randomUUID()}:all`,
    JSON.stringify({ completeThrough: null, models: [] }),
    { expiration: { type: 'EX', value: 30 } },
  );
  redis.destroy();
  // Neon's driver wants Neon's proxy, and none is there.
  const given = args.map((arg) => arg.replace('names.json', file));
  const more = { DATABASE_DRIVER: 'neon', REDIS_URL };
  const { code, output } =
    expected === 3
      ? await command(name, given, server.url, more)
      : await script(name, given, { DATABASE_URL: server.url, ...more });
  expect(code).toBe(expected);
  expect(output).toContain('the database is not available');
});
