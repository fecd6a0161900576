import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';

/** A connection for each export under way and one for its lease, and statements that may be long. */
export function openWorkerDatabase(url: string, settings: Settings): Database {
  return openDatabase({
    url,
    driver: settings.DATABASE_DRIVER,
    name: 'export-worker',
    connectionsMax: 2 * settings.EXPORT_WORKER_CONCURRENCY + 1,
    patienceMs: 5_000,
    statementTimeoutMs: 1_800_000,
  });
}
