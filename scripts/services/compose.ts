import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureBucket } from './bucket.ts';
import { rememberedPort } from './free-port.ts';
import { runCommand } from './run-command.ts';
import { ensureSecret } from './secret-file.ts';
import { S3_DEFAULTS, type ServiceEnv, type ServiceName } from './service-env.ts';
import type { Supervisor } from './supervisor.ts';

const COMPOSE_FILE = fileURLToPath(new URL('../../compose.yaml', import.meta.url));
const USER = 'analytics';

/** Whether an engine answers and has the Compose plugin. A client alone is often installed. */
export async function hasComposeEngine(): Promise<boolean> {
  try {
    await runCommand('docker', ['info', '--format', '{{.ServerVersion}}'], { timeoutMs: 5_000 });
    await runCommand('docker', ['compose', 'version'], { timeoutMs: 5_000 });
    return true;
  } catch {
    return false;
  }
}

/** Starts services of `compose.yaml` as a project of its own, so that several can run at once. */
export async function runCompose(
  names: readonly ServiceName[],
  { supervisor, keepIn }: { supervisor: Supervisor; keepIn: string | undefined },
): Promise<Partial<ServiceEnv>> {
  const folder = keepIn ? join(keepIn, 'compose') : await supervisor.temporaryFolder('compose');
  await mkdir(folder, { recursive: true });
  const project = keepIn ? 'analytics-services' : `analytics-${randomBytes(6).toString('hex')}`;
  const compose = ['docker', 'compose', '--project-name', project, '--file', COMPOSE_FILE];
  const password = await ensureSecret(join(folder, 'password'));
  const port = (name: ServiceName) => rememberedPort(join(folder, `${name}-port`));
  const settings = {
    LOCAL_PASSWORD: password,
    POSTGRES_PORT: String(await port('postgres')),
    RABBITMQ_PORT: String(await port('rabbitmq')),
    REDIS_PORT: String(await port('redis')),
    S3_PORT: String(await port('s3')),
  };
  // Registered first: an `up` that fails half-way leaves containers too.
  supervisor.onStop([...compose, 'down', '--timeout', '10', ...(keepIn ? [] : ['--volumes'])]);
  const [docker = 'docker', ...args] = compose;
  await runCommand(
    docker,
    [...args, 'up', '--detach', '--wait', '--wait-timeout', '180', ...names],
    {
      env: { ...process.env, ...settings },
      // Long, because the first time it fetches the images.
      timeoutMs: 900_000,
    },
  );
  const env: ServiceEnv = {
    DATABASE_URL: `postgresql://postgres:${password}@127.0.0.1:${settings.POSTGRES_PORT}/postgres`,
    RABBITMQ_URL: `amqp://${USER}:${password}@127.0.0.1:${settings.RABBITMQ_PORT}`,
    REDIS_URL: `redis://:${password}@127.0.0.1:${settings.REDIS_PORT}`,
    S3_ENDPOINT: `http://127.0.0.1:${settings.S3_PORT}`,
    S3_ACCESS_KEY: USER,
    S3_SECRET_KEY: password,
    ...S3_DEFAULTS,
  };
  if (names.includes('s3')) await ensureBucket(env);
  const isStarted = (variable: string) => names.some((name) => variable.startsWith(PREFIX[name]));
  return Object.fromEntries(Object.entries(env).filter(([variable]) => isStarted(variable)));
}

const PREFIX: Record<ServiceName, string> = {
  postgres: 'DATABASE_',
  rabbitmq: 'RABBITMQ_',
  redis: 'REDIS_',
  s3: 'S3_',
};
