import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runCeph } from './ceph.ts';
import { hasComposeEngine, runCompose } from './compose.ts';
import { ensureDebianPackages, postgresBinDir } from './debian.ts';
import { rememberedPort } from './free-port.ts';
import type { LocalServer } from './local-server.ts';
import { runPostgres, throwawaySettings } from './postgres.ts';
import { runRabbitmq } from './rabbitmq.ts';
import { runRedis } from './redis.ts';
import {
  type EnvOf,
  givenEnv,
  SERVICE_NAMES,
  type ServiceEnv,
  type ServiceName,
} from './service-env.ts';
import { createSupervisor, type Holdings, type Supervisor } from './supervisor.ts';

export interface StartOptions<Name extends ServiceName = ServiceName> {
  only?: readonly Name[];
  log?: (line: string) => void;
  /** Data is kept in this folder; else it is gone after the stop. */
  keepIn?: string;
  /** Where the addresses of servers that run already are looked up. */
  environment?: NodeJS.ProcessEnv;
}

export interface StartedServices<Name extends ServiceName = ServiceName> {
  env: EnvOf<Name>;
  /** What was started, for whoever has to stop it from another process; one entry a server. */
  holdings: Holdings[];
  /** Lets the servers outlive this process, with which they would end otherwise. */
  detach(): Promise<void>;
  /** Leaves neither processes nor, unless they are kept, folders behind. */
  stop(): Promise<void>;
}

/**
 * The servers the service needs: each by the address in the environment, else by Docker Compose
 * where an engine answers, else from Debian's packages on free ports of 127.0.0.1.
 */
export async function startServices<Name extends ServiceName = ServiceName>({
  only,
  log = () => {},
  keepIn,
  environment = process.env,
}: StartOptions<Name> = {}): Promise<StartedServices<Name>> {
  const wanted: readonly ServiceName[] = only ?? SERVICE_NAMES;
  const env: Partial<ServiceEnv> = {};
  const missing = wanted.filter((name) => {
    const given = givenEnv(name, environment);
    if (given) log(`${name}: from the environment`);
    Object.assign(env, given);
    return given === undefined;
  });

  const supervisors: Supervisor[] = [];
  const supervise = (): Supervisor => {
    const supervisor = createSupervisor();
    supervisors.push(supervisor);
    return supervisor;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(supervisors.map((supervisor) => supervisor.stop()));
  };

  const starts: Promise<Partial<ServiceEnv>>[] = [];
  try {
    if (missing.length > 0 && (await hasComposeEngine())) {
      log(`${missing.join(', ')}: starting with Docker Compose`);
      starts.push(runCompose(missing, { supervisor: supervise(), keepIn }));
    } else {
      await ensureDebianPackages(missing, log);
      for (const name of missing) starts.push(startLocal(name, supervise(), keepIn, log));
    }
    for (const part of await Promise.all(starts)) Object.assign(env, part);
  } catch (error) {
    // The others are still starting: stopping makes them fail, and then nothing is in the way of
    // removing their folders.
    await stop().catch(() => {});
    await Promise.allSettled(starts);
    await stop();
    throw error;
  }
  return {
    env: env as ServiceEnv,
    holdings: supervisors.map((supervisor) => supervisor.holdings()),
    detach: async () => void (await Promise.all(supervisors.map((one) => one.detach()))),
    stop,
  };
}

const LOCAL: Record<ServiceName, (server: LocalServer) => Promise<Partial<ServiceEnv>>> = {
  postgres: runDebianPostgres,
  rabbitmq: runRabbitmq,
  redis: runRedis,
  s3: runCeph,
};

async function startLocal(
  name: ServiceName,
  supervisor: Supervisor,
  keepIn: string | undefined,
  log: (line: string) => void,
): Promise<Partial<ServiceEnv>> {
  const startedAt = performance.now();
  const folder = keepIn ? join(keepIn, name) : await supervisor.temporaryFolder(name);
  // Only PostgreSQL runs as somebody else, who has to pass.
  await mkdir(folder, { recursive: true, mode: name === 'postgres' ? 0o711 : 0o700 });
  const env = await LOCAL[name]({ folder, supervisor, keep: keepIn !== undefined });
  log(`${name}: started in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  return env;
}

async function runDebianPostgres({
  folder,
  supervisor,
  keep,
}: LocalServer): Promise<EnvOf<'postgres'>> {
  const binDir = postgresBinDir();
  if (binDir === undefined) throw new Error('no PostgreSQL below /usr/lib/postgresql');
  const { url } = await runPostgres({
    binDir,
    dataDir: join(folder, 'data'),
    port: await rememberedPort(join(folder, 'port')),
    // Same lock table and connection limits either way; only kept data is worth an fsync.
    settings: keep ? { max_connections: 200, max_locks_per_transaction: 256 } : throwawaySettings,
    supervisor,
  });
  return { DATABASE_URL: url };
}
