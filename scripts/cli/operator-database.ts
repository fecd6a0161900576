import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { localDatabaseUrl } from '../local/database-url.ts';

/** People wait longer for a server than requests do, and for statements over all that is stored. */
const patienceMs = 5_000;
const statementTimeoutMs = 600_000;

/** The database that a command works on: DATABASE_URL's, else that of a running `npm start`. */
export async function openOperatorDatabase(
  settings: Settings,
  connectionsMax: number,
): Promise<Database> {
  return openDatabase({
    url: await localDatabaseUrl(settings),
    driver: settings.DATABASE_DRIVER,
    connectionsMax,
    patienceMs,
    statementTimeoutMs,
  });
}
