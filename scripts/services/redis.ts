import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { rememberedPort } from './free-port.ts';
import type { LocalServer } from './local-server.ts';
import { ensureSecret } from './secret-file.ts';
import type { EnvOf } from './service-env.ts';

/** Redis on 127.0.0.1 with a password; keeps its data only where `keep` asks for it. */
export async function runRedis({ folder, supervisor, keep }: LocalServer): Promise<EnvOf<'redis'>> {
  const port = await rememberedPort(join(folder, 'port'));
  const password = await ensureSecret(join(folder, 'password'));
  const config = join(folder, 'redis.conf');
  // In a file and not on the command line, where every user could read the password.
  await writeFile(
    config,
    [
      'bind 127.0.0.1',
      `port ${port}`,
      `requirepass ${password}`,
      `dir "${folder}"`,
      'daemonize no',
      ...(keep ? ['appendonly yes'] : ['save ""', 'appendonly no']),
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  const server = supervisor.start({
    name: 'redis',
    command: 'redis-server',
    args: [config],
    logFile: join(folder, 'redis.log'),
    // Under `npm run test:clock` its allocator would ask for the time before that is moved, and hang.
    // What it keeps expires after a while, not at a time, so it need not agree with others.
    env: { ...process.env, LD_PRELOAD: undefined },
  });
  const url = `redis://:${password}@127.0.0.1:${port}`;
  await server.ready(() => answers(url), 20_000);
  return { REDIS_URL: url };
}

async function answers(url: string): Promise<void> {
  const client = createClient({ url, socket: { reconnectStrategy: false, connectTimeout: 2_000 } });
  client.on('error', () => {});
  await client.connect();
  await client.ping();
  client.destroy();
}
