import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase, type Queryable, sqlState } from '../platform/database/db.ts';
import type { Settings } from '../platform/env.ts';
import { messageOf, ServiceError } from '../platform/errors.ts';

export interface MigrationOptions {
  driver?: Settings['DATABASE_DRIVER'];
  /** Of files that are applied in the order of their names. */
  folder?: string | undefined;
}

export interface MigrationReport {
  applied: string[];
  /** What stores the events here: decided by the server, not by configuration. */
  storage: 'timescaledb' | 'native partitions';
}

/** Any number, the same for all who migrate. */
const migrationLock = 7_102_004_001;

/**
 * Brings the schema `analytics` up to date: forward only, each file in a transaction of its own
 * with the row that records it, all migrators one after the other.
 *
 * @throws Error when a file's name is odd, an applied file has changed or is gone, a new one belongs
 * before an applied one, or a statement fails. The file is named, and nothing of it is done.
 */
export async function migrate(
  databaseUrl: string,
  {
    driver = 'auto',
    folder = fileURLToPath(new URL('../../migrations/', import.meta.url)),
  }: MigrationOptions = {},
): Promise<MigrationReport> {
  const files = await readMigrations(folder);
  const database = openDatabase({
    url: databaseUrl,
    driver,
    connectionsMax: 1,
    patienceMs: 10_000,
    statementTimeoutMs: 600_000,
    name: 'analytics-migrate',
  });
  try {
    await addTimescale(database);
    const applied: string[] = [];
    for (const file of files) {
      const isNew = await database.transaction({ lockTimeoutMs: 120_000 }, (transaction) =>
        apply(transaction, file, files),
      );
      if (isNew) applied.push(file.name);
    }
    const [table] = await database.query<{ relkind: string }>(
      `select relkind from pg_class where oid = 'analytics.usage_events'::regclass`,
    );
    return { applied, storage: table?.relkind === 'p' ? 'native partitions' : 'timescaledb' };
  } finally {
    await database.close();
  }
}

/**
 * Creates the extension where the server has it and this user may. Not on a database that already
 * stores events in native partitions: nothing would use it.
 */
async function addTimescale(database: Queryable): Promise<void> {
  const [server] = await database.query<{ wanted: boolean }>(
    `select exists (select from pg_available_extensions where name = 'timescaledb')
        and not exists (select from pg_extension where extname = 'timescaledb')
        and to_regclass('analytics.usage_events') is null as wanted`,
  );
  if (server?.wanted !== true) return;
  try {
    await database.query('create extension if not exists timescaledb');
  } catch (error) {
    // It went away, or somebody else keeps it busy: that must not decide where events are kept.
    if (error instanceof ServiceError || isTimeout(error)) throw error;
    // Not preloaded, which ends the session, or not ours to create. Which libraries are preloaded
    // not everybody may ask.
    process.stderr.write(
      `TimescaleDB is installed and not usable (${messageOf(error)}): ` +
        'events are stored in native partitions, which do the same work\n',
    );
  }
}

/** A statement that was canceled, or waited too long for a lock. */
function isTimeout(error: unknown): boolean {
  return /^(57014|55P03)$/.test(sqlState(error) ?? '');
}

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

/** Fixed width, so that the order of names is the order of numbers. */
const migrationName = /^\d{4}_[a-z0-9_]+\.sql$/;

/** All of them before the first is applied: what cannot be read stops nothing half-way. */
async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /\.sql$/i.test(name)).sort();
  const odd = names.find((name) => !migrationName.test(name));
  if (odd !== undefined) {
    throw new Error(`migration ${odd} must have a name such as 0007_what_it_does.sql`);
  }
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(folder, name), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function apply(
  transaction: Queryable,
  { name, sql, checksum }: Migration,
  files: readonly Migration[],
): Promise<boolean> {
  await transaction.query('select pg_advisory_xact_lock($1)', [migrationLock]);
  await transaction.query('create schema if not exists analytics');
  await transaction.query(
    `create table if not exists analytics.migrations (
       name text primary key,
       checksum text not null,
       applied_at timestamptz not null default now()
     )`,
  );
  const recorded = await transaction.query<{ name: string; checksum: string }>(
    'select name, checksum from analytics.migrations',
  );
  checkHistory(new Map(recorded.map((row) => [row.name, row.checksum])), files);
  if (recorded.some((row) => row.name === name)) return false;
  await transaction.query('insert into analytics.migrations (name, checksum) values ($1, $2)', [
    name,
    checksum,
  ]);
  await transaction.query(`select set_config('analytics.migration', $1, true)`, [sql]);
  try {
    // By EXECUTE, which refuses COMMIT and ROLLBACK: sent as it is, a file that has one of them
    // would be half applied, or recorded and not applied.
    await transaction.query(`do $$ begin execute current_setting('analytics.migration'); end $$`);
  } catch (error) {
    const reason = /transaction commands/.test(messageOf(error))
      ? 'it must not begin or end a transaction, since it runs in one of its own'
      : messageOf(error);
    throw new Error(`migration ${name} failed: ${reason}`, { cause: error });
  }
  return true;
}

/**
 * Every database must have had the same files in the same order. What is recorded beyond the last
 * file is of a newer release: an older one may run beside it, or come back.
 */
function checkHistory(recorded: ReadonlyMap<string, string>, files: readonly Migration[]): void {
  const last = files.at(-1)?.name ?? '';
  const lastRecorded = [...recorded.keys()].sort().at(-1) ?? '';
  const names = new Set(files.map(({ name }) => name));
  for (const name of recorded.keys()) {
    if (name < last && !names.has(name)) {
      throw new Error(`migration ${name} was applied and is gone: bring it back under its name`);
    }
  }
  for (const { name, checksum } of files) {
    const known = recorded.get(name);
    if (known !== undefined && known !== checksum) {
      throw new Error(`migration ${name} was changed after it was applied: add a new one instead`);
    }
    if (known === undefined && name < lastRecorded) {
      throw new Error(
        `migration ${name} is new and belongs before ${lastRecorded}, which is applied: ` +
          'give it a higher number',
      );
    }
  }
}
