import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { postgresBinDir } from '../../../scripts/services/debian.ts';
import { freePort } from '../../../scripts/services/free-port.ts';
import { runCommand } from '../../../scripts/services/run-command.ts';
import { createSupervisor } from '../../../scripts/services/supervisor.ts';
import { unprivilegedUser } from '../../../scripts/services/unprivileged-user.ts';
import { withAdmin } from '../template-database.ts';
import { until } from '../until.ts';
import { type FaultServer, startPostgres } from './servers.ts';

/** A PostgreSQL server that another can take the place of. */
export interface ReplicatedPostgres {
  url: string;
  /** Until the standby is there, which streams from the server asynchronously. */
  hasStandby(): Promise<void>;
  /**
   * The standby stops receiving, the primary goes on while `unseen` works, and dies; the standby
   * takes its address. It lacks what it did not receive, and can only be read until promoted.
   */
  failOver(unseen: () => Promise<void>): Promise<void>;
  promote(): Promise<void>;
  stop(): Promise<void>;
}

export async function startReplicated(): Promise<ReplicatedPostgres> {
  const supervisor = createSupervisor();
  const primary = await startPostgres();
  const { url } = primary;
  const { hostname, port, username, password } = new URL(url);
  const started: FaultServer[] = [primary];
  let folder = '';
  let standby: FaultServer | undefined;

  const start = async (settings: Record<string, string>, at: number) => {
    standby = await startPostgres(settings, folder, at);
    started.push(standby);
  };
  const addStandby = async () => {
    const user = unprivilegedUser();
    const { uid, gid } = user;
    folder = await supervisor.temporaryFolder('fault-standby');
    if (uid !== undefined && gid !== undefined) await chown(folder, uid, gid);
    const dataDir = join(folder, 'data');
    await runCommand(
      join(postgresBinDir() ?? '', 'pg_basebackup'),
      [
        ...['-h', hostname, '-p', port, '-U', username, '-D', dataDir],
        ...['--write-recovery-conf', '--checkpoint=fast', '--no-sync'],
      ],
      { timeoutMs: 60_000, cwd: '/', env: { ...process.env, PGPASSWORD: password }, ...user },
    );
    // Where the server's URL is made from.
    await writeFile(`${dataDir}.password`, `${password}\n`, { mode: 0o600 });
    await start({}, await freePort());
    await until('the standby receives', () =>
      withAdmin(url, async (admin) => {
        const { rows } = await admin.query(
          `select from pg_stat_replication where state = 'streaming'`,
        );
        return rows.length > 0;
      }),
    );
  };
  // The service may start meanwhile.
  const added = addStandby();
  added.catch(() => {});
  return {
    url,
    hasStandby: () => added,
    failOver: async (unseen) => {
      await standby?.stop();
      await unseen();
      await primary.kill();
      await start({ primary_conninfo: '' }, Number(port));
    },
    promote: () =>
      withAdmin(url, async (admin) => {
        await admin.query('select pg_promote()');
      }),
    stop: async () => {
      await added.catch(() => {});
      await Promise.all(started.map((server) => server.stop()));
      await supervisor.stop();
    },
  };
}
