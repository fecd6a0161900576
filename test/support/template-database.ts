import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { migrate } from '../../shared/preparation/migrate.ts';

/**
 * Migrates a database once, to be cloned by every test file; gives its name, and what `make` makes
 * while it can still be connected to.
 */
export async function makeTemplate<Made>(
  serverUrl: string,
  make: (url: string) => Promise<Made>,
): Promise<{ name: string; made: Made }> {
  const name = `template_${randomBytes(6).toString('hex')}`;
  await withAdmin(serverUrl, (admin) => admin.query(`create database ${name}`));
  try {
    const url = databaseUrl(serverUrl, name);
    await migrate(url);
    const made = await make(url);
    // A database can be cloned only while nobody is connected to it, and TimescaleDB's background
    // workers connect to whatever they may.
    await withAdmin(serverUrl, async (admin) => {
      await admin.query(`alter database ${name} allow_connections false`);
      await admin.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
        [name],
      );
    });
    return { name, made };
  } catch (error) {
    await dropTemplate(serverUrl, name);
    throw error;
  }
}

export async function dropTemplate(serverUrl: string, name: string): Promise<void> {
  await withAdmin(serverUrl, (admin) =>
    admin.query(`drop database if exists ${name} with (force)`),
  );
}

/** The same server and user, another database. */
export function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** A short-lived connection for what can only be done from outside the database in question. */
export async function withAdmin<Result>(
  serverUrl: string,
  work: (admin: pg.Client) => Promise<Result>,
): Promise<Result> {
  const admin = new pg.Client({ connectionString: serverUrl });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}
