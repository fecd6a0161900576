import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedMajor, embeddedBinDir } from '../scripts/services/embedded-postgres.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { runPostgres, throwawaySettings } from '../scripts/services/postgres.ts';
import { createSupervisor } from '../scripts/services/supervisor.ts';
import { eventStorage } from '../shared/events/event-storage.ts';
import { openDatabase, type Queryable } from '../shared/platform/database/db.ts';
import { migrate } from '../shared/preparation/migrate.ts';
import { emptyDatabase, type TestDatabase } from './support/database.ts';
import { isThere, startNativeTimescale } from './support/native-timescale.ts';
import { schemaSnapshot, snapshotFile } from './support/schema-snapshot.ts';
import { databaseUrl } from './support/template-database.ts';
import { startTimescale } from './support/timescale.ts';

const migrations = fileURLToPath(new URL('../migrations/', import.meta.url));

interface Server {
  url: string;
  stop(): Promise<void>;
}

async function embedded(major: EmbeddedMajor): Promise<Server> {
  const supervisor = createSupervisor();
  try {
    const folder = await supervisor.temporaryFolder('migrations');
    const { url } = await runPostgres({
      binDir: embeddedBinDir(major),
      dataDir: join(folder, 'data'),
      port: await freePort(),
      settings: throwawaySettings,
      supervisor,
    });
    return { url, stop: () => supervisor.stop() };
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
}

async function withDatabase<T>(url: string, work: (database: Queryable) => Promise<T>): Promise<T> {
  const database = openDatabase({ url, patienceMs: 5_000 });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

const snapshotOf = (url: string) => withDatabase(url, schemaSnapshot);

const applied = (url: string) =>
  withDatabase(url, (database) =>
    database.query<{ name: string; at: string }>(
      'select name, applied_at::text as at from analytics.migrations order by name',
    ),
  );

async function fileNames(): Promise<string[]> {
  return (await readdir(migrations)).filter((name) => name.endsWith('.sql')).sort();
}

/** Left out where there is none. */
const nativeTimescale: [string, () => Promise<Server>, string][] = [];
if (isThere.timescale) {
  nativeTimescale.push(['a native TimescaleDB', () => startNativeTimescale(), 'timescaledb']);
}
if (isThere.ownServer) {
  nativeTimescale.push(
    [
      'a native TimescaleDB, Apache',
      () => startNativeTimescale({ license: 'apache' }),
      'timescaledb',
    ],
    [
      'a native TimescaleDB that is not preloaded',
      () => startNativeTimescale({ isPreloaded: false }),
      'native partitions',
    ],
  );
}

const servers: [string, () => Promise<Server>, string][] = [
  ['PostgreSQL 15', () => embedded(15), 'native partitions'],
  ['PostgreSQL 16', () => embedded(16), 'native partitions'],
  ['PostgreSQL 17', () => embedded(17), 'native partitions'],
  ['PostgreSQL 18', () => embedded(18), 'native partitions'],
  ['TimescaleDB Community', () => startTimescale({ license: 'timescale' }), 'timescaledb'],
  ['TimescaleDB Apache', () => startTimescale({ license: 'apache' }), 'timescaledb'],
  ...nativeTimescale,
];

describe.each(servers)('on %s', (name, start, storage) => {
  let server: Server;

  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server?.stop());

  // First, since what they have in common is made by the first of them.
  test.runIf(storage === 'native partitions')(
    'several databases of a new server are migrated at once, though its roles belong to all',
    async () => {
      const names = ['one', 'two', 'three', 'four'];
      await withDatabase(server.url, async (database) => {
        for (const other of names) await database.query(`create database ${other}`);
      });
      const urls = names.map((other) => databaseUrl(server.url, other));
      const reports = await Promise.all(urls.map((url) => migrate(url)));
      expect(new Set(reports.map(({ applied }) => applied.length))).toEqual(
        new Set([(await fileNames()).length]),
      );
      const right = `select has_schema_privilege('analytics_tenant', 'analytics_tenant', 'usage') as may`;
      for (const url of urls) {
        expect(await withDatabase(url, (database) => database.query(right))).toEqual([
          { may: true },
        ]);
      }
    },
  );

  test('an empty database gets every migration, and the schema of the snapshot', async () => {
    expect(await migrate(server.url)).toEqual({ applied: await fileNames(), storage });
    const snapshot = await snapshotOf(server.url);
    if (process.env.UPDATE_SNAPSHOT === '1' && name === 'PostgreSQL 15') {
      await writeFile(snapshotFile, snapshot);
    }
    expect(snapshot).toBe(await readFile(snapshotFile, 'utf8'));
  });

  test('migrating again changes nothing', async () => {
    const before = await applied(server.url);
    expect(await migrate(server.url)).toEqual({ applied: [], storage });
    expect(await applied(server.url)).toEqual(before);
  });

  test('days of events leave the schema as it is', async () => {
    const database = openDatabase({ url: server.url, patienceMs: 5_000 });
    try {
      const retention = { rawRetentionDays: 400, compressAfterDays: 7 };
      await eventStorage(database).upkeep(retention, Date.now());
      expect(await schemaSnapshot(database)).toBe(await readFile(snapshotFile, 'utf8'));
    } finally {
      await database.close();
    }
  });
});

describe('migrating', () => {
  let database: TestDatabase;
  let folder: string;

  beforeAll(async () => {
    database = await emptyDatabase();
    folder = await mkdtemp(join(tmpdir(), 'migrations-'));
    await cp(migrations, folder, { recursive: true });
  });
  afterAll(async () => {
    await database?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  test('several migrators at once on an empty database all succeed, each file is applied once', async () => {
    const reports = await Promise.all(Array.from({ length: 6 }, () => migrate(database.url)));
    expect(reports.flatMap((report) => report.applied).sort()).toEqual(await fileNames());
    expect((await applied(database.url)).map((row) => row.name)).toEqual(await fileNames());
    expect(await snapshotOf(database.url)).toBe(await readFile(snapshotFile, 'utf8'));
  });

  test('a failing migration is named and leaves nothing; mended, it is applied', async () => {
    const file = join(folder, '9001_broken.sql');
    await writeFile(file, 'create table analytics.half (n int);\nselect 1 / 0;\n');
    await writeFile(join(folder, '9002_after.sql'), 'create table analytics.after (n int);\n');
    const before = await snapshotOf(database.url);
    await expect(migrate(database.url, { folder })).rejects.toThrow(
      /^migration 9001_broken\.sql failed: division by zero$/,
    );
    expect(await snapshotOf(database.url)).toBe(before);
    expect((await applied(database.url)).map((row) => row.name)).toEqual(await fileNames());

    await writeFile(file, 'create table analytics.half (n int);\n');
    const report = await migrate(database.url, { folder });
    expect(report.applied).toEqual(['9001_broken.sql', '9002_after.sql']);
    expect(await snapshotOf(database.url)).toContain('table half\n  n integer');
  });

  test('an applied file that has changed is refused by name', async () => {
    await writeFile(join(folder, '9002_after.sql'), 'create table analytics.after (m int);\n');
    await expect(migrate(database.url, { folder })).rejects.toThrow(
      /^migration 9002_after\.sql was changed after it was applied: add a new one instead$/,
    );
  });

  test('views that are made again keep their comments, and the rights that others were given', async () => {
    const readers = ['one', 'two'].map((one) => `reader_${one}_${process.pid}`);
    const [reader, other] = readers;
    const own = await emptyDatabase();
    const before = await mkdtemp(join(tmpdir(), 'migrations-before-'));
    try {
      await cp(migrations, before, {
        recursive: true,
        // Without this and what came after it.
        filter: (file) => (/\d{4}_\w+\.sql$/.exec(file)?.[0] ?? '') < '0011',
      });
      await migrate(own.url, { folder: before });
      await withDatabase(own.url, async (database) => {
        for (const role of readers) await database.query(`create role ${role}`);
        await database.query(`grant usage on schema analytics to ${readers}`);
        await database.query(
          `grant select on analytics.usage_by_hour to ${reader} with grant option`,
        );
        await database.query(
          `grant select (org_id, latency_p95_ms) on analytics.usage_by_day to ${other}`,
        );
      });
      const columns = () =>
        withDatabase(own.url, (database) =>
          database.query(
            `select attrelid::regclass::text as view, attname as name, attnum as place,
                    col_description(attrelid, attnum) as comment,
                    obj_description(attrelid, 'pg_class') as comment_of_view,
                    has_column_privilege($1, attrelid, attnum, 'select with grant option') as reader,
                    has_column_privilege($2, attrelid, attnum, 'select') as other
             from pg_attribute
             where attrelid in ('analytics.usage_by_hour'::regclass, 'analytics.usage_by_day'::regclass)
             order by 1, attnum`,
            readers,
          ),
        );
      const was = await columns();
      await migrate(own.url);
      expect(await columns()).toEqual(was);
      expect(was).toContainEqual(expect.objectContaining({ name: 'latency_p95_ms', other: true }));
      expect(await snapshotOf(own.url)).toBe(await readFile(snapshotFile, 'utf8'));
    } finally {
      await withDatabase(own.url, async (database) => {
        for (const role of readers)
          await database.query(`drop owned by ${role}; drop role ${role}`);
      });
      await own.drop();
      await rm(before, { recursive: true });
    }
  });
});
