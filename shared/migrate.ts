import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase, type Queryable } from './db.ts';
import type { Settings } from './env.ts';
import { messageOf } from './errors.ts';

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
 * @throws Error when an applied file has changed, or a statement fails (its file is named).
 */
export async function migrate(
  databaseUrl: string,
  {
    driver = 'auto',
    folder = fileURLToPath(new URL('../migrations/', import.meta.url)),
  }: MigrationOptions = {},
): Promise<MigrationReport> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
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
    for (const name of files) {
      const sql = await readFile(join(folder, name), 'utf8');
      const isNew = await database.transaction({ lockTimeoutMs: 120_000 }, (transaction) =>
        apply(transaction, name, sql),
      );
      if (isNew) applied.push(name);
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
    // Not preloaded, or not ours to create: native partitions do the same work.
    process.stderr.write(`TimescaleDB is available but not usable: ${messageOf(error)}\n`);
  }
}

async function apply(transaction: Queryable, name: string, sql: string): Promise<boolean> {
  const checksum = createHash('sha256').update(sql).digest('hex');
  await transaction.query('select pg_advisory_xact_lock($1)', [migrationLock]);
  await transaction.query('create schema if not exists analytics');
  await transaction.query(
    `create table if not exists analytics.migrations (
       name text primary key,
       checksum text not null,
       applied_at timestamptz not null default now()
     )`,
  );
  const [known] = await transaction.query<{ checksum: string }>(
    'select checksum from analytics.migrations where name = $1',
    [name],
  );
  if (known !== undefined) {
    if (known.checksum === checksum) return false;
    throw new Error(`migration ${name} was changed after it was applied: add a new one instead`);
  }
  await transaction.query('insert into analytics.migrations (name, checksum) values ($1, $2)', [
    name,
    checksum,
  ]);
  try {
    await transaction.query(sql);
  } catch (error) {
    throw new Error(`migration ${name} failed: ${messageOf(error)}`, { cause: error });
  }
  return true;
}
