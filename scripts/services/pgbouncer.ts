import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { postgresAnswers } from './postgres.ts';
import type { Supervisor } from './supervisor.ts';
import { unprivilegedUser } from './unprivileged-user.ts';

export interface PgBouncerOptions {
  /** Its own, private, existing folder. */
  folder: string;
  supervisor: Supervisor;
  /** The PostgreSQL server behind it, with the user and password that clients log in with too. */
  databaseUrl: string;
  /** Its address with other users and passwords that clients may log in with. */
  otherLogins?: readonly string[];
  /** How many of the server's sessions the clients of a database share. */
  poolSize: number;
}

export interface PgBouncer {
  /** The address of a database of that server by way of the pooler. */
  through(url: string): string;
}

/**
 * Debian's PgBouncer on 127.0.0.1 in transaction mode, as behind Neon's pooled addresses: a client
 * has a session of the server for a transaction and no longer.
 */
export async function runPgBouncer(options: PgBouncerOptions): Promise<PgBouncer> {
  const { folder, supervisor, databaseUrl, otherLogins = [], poolSize } = options;
  const server = new URL(databaseUrl);
  const user = unprivilegedUser();
  const port = await freePort();
  const users = join(folder, 'users.txt');
  const config = join(folder, 'pgbouncer.ini');
  const write = async (file: string, lines: string[]) => {
    await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
    if (user.uid !== undefined && user.gid !== undefined) await chown(file, user.uid, user.gid);
  };
  const quoted = (text: string) => `"${decodeURIComponent(text).replaceAll('"', '""')}"`;
  const logins = [server, ...otherLogins.map((url) => new URL(url))];
  await write(
    users,
    logins.map(({ username, password }) => `${quoted(username)} ${quoted(password)}`),
  );
  await write(config, [
    '[databases]',
    `* = host=${server.hostname} port=${server.port || 5432}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    // What Neon asks for too, inside of TLS: its driver takes long to hash a password.
    'auth_type = plain',
    `auth_file = ${users}`,
    'pool_mode = transaction',
    `default_pool_size = ${poolSize}`,
  ]);
  const pooler = supervisor.start({
    name: 'pgbouncer',
    command: 'pgbouncer',
    args: [config],
    logFile: join(folder, 'pgbouncer.log'),
    cwd: folder,
    ...user,
  });
  const through = (url: string) => {
    const address = new URL(url);
    address.hostname = '127.0.0.1';
    address.port = String(port);
    return address.href;
  };
  await pooler.ready(() => postgresAnswers(through(databaseUrl)), 20_000);
  return { through };
}
