import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { migrate } from '../../shared/preparation/migrate.ts';

export interface BenchDatabase {
  url: string;
  drop(): Promise<void>;
}

/** A database of the bench's own on a server, migrated unless it is to be empty. */
export async function benchDatabase(
  serverUrl: string,
  { isEmpty = false } = {},
): Promise<BenchDatabase> {
  const name = `bench_${randomBytes(6).toString('hex')}`;
  await onServer(serverUrl, `create database ${name} template template0`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  if (!isEmpty) await migrate(url.href);
  return {
    url: url.href,
    drop: () => onServer(serverUrl, `drop database if exists ${name} with (force)`),
  };
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
