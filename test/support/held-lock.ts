import pg from 'pg';
import { directDatabaseUrl } from './hosted.ts';

/** Holds an advisory lock in a session of its own, as another process would, until `release`. */
export async function startLocked(
  url: string,
  lock: number,
): Promise<{ release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: directDatabaseUrl(url) });
  await client.connect();
  await client.query('select pg_advisory_lock($1)', [lock]);
  return { release: () => client.end() };
}
