import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../scripts/services/free-port.ts';
import { runCommand } from '../../scripts/services/run-command.ts';
import { databaseUrl, withAdmin } from './template-database.ts';
import type { Timescale } from './timescale.ts';
import { until } from './until.ts';

/**
 * Starts and stops a private server: `up FOLDER PORT`, `down FOLDER --wipe`. Another program with these
 * arguments may stand in for it.
 */
const beside = fileURLToPath(new URL('../../../shared/servers/timescaledb', import.meta.url));
const script = process.env.TIMESCALE_SERVER ?? beside;
const given = process.env.TIMESCALE_DATABASE_URL;
const hasScript =
  process.env.TIMESCALE_SERVER !== undefined || (existsSync(beside) && isNewEnough());

export const isThere = {
  /** One with Community features. */
  timescale: given !== undefined || hasScript,
  /** With Apache features alone, or not preloaded: as the script starts it. */
  ownServer: hasScript,
};

/**
 * The script upgrades Debian's PostgreSQL where it is older. No test may: every server that runs from
 * those files would then load libraries that do not fit it.
 */
function isNewEnough(): boolean {
  const program = '/usr/lib/postgresql/15/bin/postgres';
  if (!existsSync(program)) return false;
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' });
  return Number(/ 15\.(\d+)/.exec(version)?.[1] ?? 0) >= 20;
}

export interface NativeOptions {
  license?: 'timescale' | 'apache';
  /** False is how Debian's package leaves it: installed, and not among the libraries preloaded. */
  isPreloaded?: boolean;
}

/**
 * An empty database on a native TimescaleDB, which has what the one in WebAssembly has not: sessions
 * at the same time, locks that are waited for, time-outs, background workers and FATAL.
 */
export async function startNativeTimescale({
  license = 'timescale',
  isPreloaded = true,
}: NativeOptions = {}): Promise<Timescale> {
  if (given !== undefined && license === 'timescale' && isPreloaded) return databaseOn(given);
  const folder = await mkdtemp(join(tmpdir(), 'timescale-'));
  // The server runs as a user of its own.
  await chmod(folder, 0o755);
  const run = (env: NodeJS.ProcessEnv, ...args: string[]) =>
    runCommand(script, args, { timeoutMs: 110_000, env: { ...process.env, ...env } });
  const stop = async () => {
    await run({}, 'down', folder, '--wipe').catch(() => {});
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const port = await freePort();
    await run({ PRELOAD: isPreloaded ? 'yes' : 'no' }, 'up', folder, String(port));
    const url = `postgresql://postgres@127.0.0.1:${port}/postgres`;
    if (isPreloaded && license === 'apache') await choose(url, license);
    // Not a clone of a database that background workers may be at.
    const { url: own } = await databaseOn(url);
    return { url: own, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function databaseOn(server: string): Promise<Timescale> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await withAdmin(server, (admin) => admin.query(`create database ${name} template template0`));
  return {
    url: databaseUrl(server, name),
    stop: () =>
      withAdmin(server, async (admin) => {
        await admin.query(`drop database if exists ${name} with (force)`);
      }),
  };
}

/** Only a configuration file may choose the licence, and ALTER SYSTEM knows none before the extension. */
async function choose(url: string, license: string): Promise<void> {
  await withAdmin(url, async (admin) => {
    const { rows } = await admin.query('show config_file');
    await appendFile(rows[0].config_file, `\ntimescaledb.license = '${license}'\n`);
    await admin.query('select pg_reload_conf()');
  });
  await until('the licence is read', () =>
    withAdmin(url, async (admin) => {
      const { rows } = await admin.query(
        `select current_setting('timescaledb.license', true) as now`,
      );
      return rows[0]?.now === license;
    }),
  );
}
