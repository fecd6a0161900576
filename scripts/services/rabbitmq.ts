import { cp, mkdir, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { connect } from 'amqplib';
import { RABBITMQ_SERVER } from './debian.ts';
import { freePort, rememberedPort } from './free-port.ts';
import type { LocalServer } from './local-server.ts';
import { ensureSecret } from './secret-file.ts';
import type { EnvOf } from './service-env.ts';

const USER = 'analytics';

/** RabbitMQ as a node of its own: private folder, cookie, port mapper and configuration. */
export async function runRabbitmq({ folder, supervisor }: LocalServer): Promise<EnvOf<'rabbitmq'>> {
  const port = await rememberedPort(join(folder, 'port'));
  const password = await ensureSecret(join(folder, 'password'));
  const env = await nodeEnv(folder, port, password);

  // Erlang starts its port mapper by itself where it finds none, as a daemon that stays for ever.
  // Ours runs in the foreground on a port of its own and ends with the node.
  const epmd = supervisor.start({
    name: 'epmd',
    command: 'epmd',
    args: ['-port', env.ERL_EPMD_PORT ?? '', '-address', '127.0.0.1'],
    logFile: join(folder, 'epmd.log'),
    env,
    stopTimeoutMs: 1_000,
  });
  await epmd.ready(async () => {}, 5_000);
  const server = supervisor.start({
    name: 'rabbitmq',
    command: await serverWithoutPlugins(folder),
    args: [],
    logFile: join(folder, 'rabbitmq.log'),
    env,
    // SIGTERM is an orderly stop for the Erlang machine.
    stopTimeoutMs: 20_000,
  });
  const url = `amqp://${USER}:${password}@127.0.0.1:${port}`;
  await server.ready(() => answers(url), 90_000);
  return { RABBITMQ_URL: url };
}

/** By which `rabbitmqctl` finds the node that runs in `folder`, and is let in. */
export async function controlEnv(folder: string): Promise<NodeJS.ProcessEnv> {
  return {
    // Erlang keeps its cookie in the home folder.
    HOME: join(folder, 'home'),
    ERL_EPMD_PORT: (await readFile(join(folder, 'epmd-port'), 'utf8')).trim(),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: 'analytics@localhost',
  };
}

/**
 * The server's script in a home that has, of the 70 applications of RabbitMQ's own, only those that
 * the server needs: the others are plugins, none of which is enabled here. Erlang looks for each
 * module in every one's folder, and the boot loads them all: without them it takes half of
 * the time (3.3 s, not 6.9 s).
 */
async function serverWithoutPlugins(folder: string): Promise<string> {
  const home = dirname(dirname(await realpath(RABBITMQ_SERVER)));
  const own = join(folder, 'server');
  // The server may have been upgraded since.
  await rm(own, { recursive: true, force: true });
  await mkdir(join(own, 'plugins'), { recursive: true });
  // The script takes its home from where it lies, links followed.
  await cp(join(home, 'sbin'), join(own, 'sbin'), { recursive: true });
  const plugins = join(home, 'plugins');
  for (const name of await neededApplications(plugins)) {
    await symlink(join(plugins, name), join(own, 'plugins', name));
  }
  return join(own, 'sbin', 'rabbitmq-server');
}

/** The folders of `rabbit` and of whatever it needs, such as `rabbit-3.10.8`. */
async function neededApplications(plugins: string): Promise<ReadonlySet<string>> {
  const folders = await readdir(plugins);
  const needed = new Set<string>();
  const waiting = ['rabbit'];
  for (const application of waiting) {
    const folder = folders.find((name) => name.replace(/-[\d.]+$/, '') === application);
    // Others come with Erlang.
    if (folder === undefined || needed.has(folder)) continue;
    needed.add(folder);
    const resource = await readFile(join(plugins, folder, 'ebin', `${application}.app`), 'utf8');
    for (const [, list] of resource.matchAll(/\bapplications\s*,\s*\[([^\]]*)\]/g)) {
      waiting.push(...(list?.match(/\w+/g) ?? []));
    }
  }
  return needed;
}

async function nodeEnv(folder: string, port: number, password: string): Promise<NodeJS.ProcessEnv> {
  const at = (name: string) => join(folder, name);
  await mkdir(at('home'), { recursive: true });
  await rememberedPort(at('epmd-port'));
  await writeFile(
    at('rabbitmq.conf'),
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      `default_user = ${USER}`,
      `default_pass = ${password}`,
      // The default of 50 MB blocks publishers on a nearly full laptop; tests write little.
      'disk_free_limit.absolute = 10MB',
      'log.console = true',
      'log.console.level = info',
      'log.file = false',
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  await writeFile(at('enabled_plugins'), '[].\n');
  await writeFile(at('rabbitmq-env.conf'), '');
  // Nothing of the machine's own RabbitMQ may leak in, nor our RABBITMQ_URL and its relatives.
  const clean = Object.entries(process.env).filter(([name]) => !/^(RABBITMQ|ERL)_/.test(name));
  return {
    ...Object.fromEntries(clean),
    ...(await controlEnv(folder)),
    RABBITMQ_DIST_PORT: String(await freePort()),
    RABBITMQ_MNESIA_BASE: at('mnesia'),
    RABBITMQ_LOG_BASE: at('log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_PID_FILE: at('rabbitmq.pid'),
    RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: at('advanced.config'),
    RABBITMQ_CONF_ENV_FILE: at('rabbitmq-env.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: at('enabled_plugins'),
    // The start script then becomes the Erlang machine instead of waiting beside it, so that the
    // pid we know is the server's; without `-noinput` it would read commands from its input.
    RABBITMQ_ALLOW_INPUT: '1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-noinput -kernel inet_dist_use_interface {127,0,0,1} +stbt u',
  };
}

async function answers(url: string): Promise<void> {
  const connection = await connect(url, { timeout: 3_000 });
  connection.on('error', () => {});
  await connection.close();
}
