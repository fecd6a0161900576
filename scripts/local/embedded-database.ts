import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { embeddedBinDir } from '../services/embedded-postgres.ts';
import { rememberedPort } from '../services/free-port.ts';
import { type RunningPostgres, runPostgres } from '../services/postgres.ts';

/** PostgreSQL 18 with its data in a private folder, at the port it had the last time. */
export async function embeddedDatabase(dataFolder: string): Promise<RunningPostgres> {
  await mkdir(dataFolder, { recursive: true });
  await refuseWhileRunning(join(dataFolder, 'postgres'));
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

/** @throws Error when another run has this folder; its log and port must not be touched. */
async function refuseWhileRunning(dataDir: string): Promise<void> {
  const [pid = ''] = (
    await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')
  ).split('\n');
  if (pid === '' || !(await isPostgres(pid.trim()))) return;
  throw new Error(
    `another npm start runs on ${dataDir} (PostgreSQL is process ${pid.trim()}): stop it, or give ` +
      'this one a folder of its own with --data',
  );
}

/** A process id that was left behind by a crash may be anyone's by now. */
async function isPostgres(pid: string): Promise<boolean> {
  try {
    process.kill(Number(pid), 0);
  } catch {
    return false;
  }
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => 'postgres');
  return command.includes('postgres');
}
