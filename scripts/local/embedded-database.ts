import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { embeddedBinDir } from '../services/embedded-postgres.ts';
import { rememberedPort } from '../services/free-port.ts';
import { type RunningPostgres, runPostgres } from '../services/postgres.ts';

/** PostgreSQL 18 with its data in a private folder, at the port it had the last time. */
export async function embeddedDatabase(dataFolder: string): Promise<RunningPostgres> {
  await mkdir(dataFolder, { recursive: true });
  return runPostgres({
    binDir: embeddedBinDir(18),
    dataDir: join(dataFolder, 'postgres'),
    port: await rememberedPort(join(dataFolder, 'postgres.port')),
    settings: {
      shared_buffers: '128MB',
      // A window of 400 days in a zone of odd minutes opens every partition there is.
      max_locks_per_transaction: 512,
    },
  });
}
