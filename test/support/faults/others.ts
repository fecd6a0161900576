import pg from 'pg';
import type { Queryable } from '../../../shared/platform/database/db.ts';
import { until } from '../until.ts';

/** Somebody else's session on our database, who is never the one to give way. */
export async function openSession(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'somebody else' });
  // A session that the server ends is no concern of ours.
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Waits until a session of ours waits for a lock of `session`'s. Gives what it was about to do. */
export async function waitedFor(database: Queryable, session: pg.Client): Promise<string> {
  const { rows } = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
  return until(
    'somebody waits for the lock',
    async () => {
      const [waiting] = await database.query<{ query: string }>(
        `select query from pg_stat_activity where $1 = any(pg_blocking_pids(pid))`,
        [rows[0]?.pid],
      );
      return waiting?.query;
    },
    { everyMs: 10 },
  );
}

/** Takes every connection that the server has, those that its other sessions leave included. */
export async function takeConnections(url: string): Promise<{ release(): Promise<void> }> {
  const held: pg.Client[] = [];
  let isReleased = false;
  const tooMany = '53300';
  const takeMore = async () => {
    while (!isReleased) {
      try {
        held.push(await openSession(url));
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === tooMany) return;
        throw error;
      }
    }
  };
  await takeMore();
  const timer = setInterval(() => void takeMore().catch(() => {}), 20);
  return {
    release: async () => {
      isReleased = true;
      clearInterval(timer);
      await Promise.all(held.map((client) => client.end().catch(() => {})));
    },
  };
}
