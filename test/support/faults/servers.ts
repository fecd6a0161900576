import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureDebianPackages, postgresBinDir } from '../../../scripts/services/debian.ts';
import { freePort } from '../../../scripts/services/free-port.ts';
import type { LocalServer } from '../../../scripts/services/local-server.ts';
import { runPostgres, throwawaySettings } from '../../../scripts/services/postgres.ts';
import { isAlive, type ProcessRef } from '../../../scripts/services/process-ref.ts';
import { runRabbitmq } from '../../../scripts/services/rabbitmq.ts';
import { runRedis } from '../../../scripts/services/redis.ts';
import { createSupervisor, type Supervisor } from '../../../scripts/services/supervisor.ts';
import { until } from '../until.ts';

/** A server of the test's own, which may be killed. */
export interface FaultServer {
  /** The same after every start. */
  readonly url: string;
  /** SIGKILL to its main process, and to what stands beside it; returns once they are gone. */
  kill(): Promise<void>;
  /** Starts it again on what it left behind, unless it runs. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface FaultServers {
  postgres: FaultServer;
  rabbitmq: FaultServer;
  redis: FaultServer;
  stop(): Promise<void>;
}

/** @throws Error where Debian's packages are neither there nor to be had. */
export async function startFaultServers(): Promise<FaultServers> {
  await ensureDebianPackages(['postgres', 'rabbitmq', 'redis'], console.log);
  const started = await Promise.allSettled([
    // Few enough that a test can take them all.
    startPostgres({ max_connections: 60 }),
    startServer('rabbitmq', async (server) => (await runRabbitmq(server)).RABBITMQ_URL),
    startServer('redis', async (server) => (await runRedis(server)).REDIS_URL),
  ]);
  const running = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const stop = async () => {
    await Promise.all(running.map((server) => server.stop()));
  };
  const [postgres, rabbitmq, redis] = running;
  if (postgres === undefined || rabbitmq === undefined || redis === undefined) {
    await stop();
    throw started.find((one) => one.status === 'rejected')?.reason;
  }
  return { postgres, rabbitmq, redis, stop };
}

/**
 * A PostgreSQL server, in a folder of the caller's or one that goes with it. Its `settings` go over those of a server whose data nobody wants back. The
 * page cache outlives its processes, so that nothing depends on fsync while the machine stays up.
 */
export function startPostgres(
  settings: Readonly<Record<string, string | number>> = {},
  folder?: string,
  givenPort?: number,
): Promise<FaultServer> {
  let port = givenPort;
  return startServer(
    'postgres',
    async (server) => {
      const binDir = postgresBinDir();
      if (binDir === undefined) throw new Error('no PostgreSQL below /usr/lib/postgresql');
      port ??= await freePort();
      const running = await runPostgres({
        binDir,
        dataDir: join(server.folder, 'data'),
        port,
        settings: { ...throwawaySettings, ...settings },
        supervisor: server.supervisor,
      });
      return running.url;
    },
    folder,
  );
}

async function startServer(
  name: string,
  run: (server: LocalServer) => Promise<string>,
  givenFolder?: string,
): Promise<FaultServer> {
  const supervisor = createSupervisor();
  try {
    const folder = givenFolder ?? (await supervisor.temporaryFolder(`fault-${name}`));
    const server = { folder, supervisor, keep: true };
    const url = await run(server);
    return {
      url,
      kill: () => killAll(supervisor),
      start: async () => {
        if (living(supervisor).length === 0) await startAgain(name, url, server, run);
      },
      stop: () => supervisor.stop(),
    };
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
}

/** Its own children find out by themselves, as on a machine that runs out of memory. */
async function killAll(supervisor: Supervisor): Promise<void> {
  const killed = living(supervisor).map(({ pid }) => pid);
  for (const pid of killed) process.kill(pid, 'SIGKILL');
  // A process of many threads is a zombie before the last of them is gone, and its port with it.
  await until('the server is gone', async () => !killed.some(isThere), { everyMs: 5 });
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function living(supervisor: Supervisor): readonly ProcessRef[] {
  return supervisor.holdings().processes.filter((ref) => isAlive(ref));
}

/** PostgreSQL does not start while backends of the one that was killed still hold its memory. */
async function startAgain(
  name: string,
  url: string,
  server: LocalServer,
  run: (server: LocalServer) => Promise<string>,
): Promise<void> {
  const attemptsMax = 20;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const again = await run(server);
      if (again !== url) throw new Error(`${name} came back at another address`);
      return;
    } catch (error) {
      if (attempt === attemptsMax) throw error;
      await killAll(server.supervisor);
      await sleep(250);
    }
  }
}
