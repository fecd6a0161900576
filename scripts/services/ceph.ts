import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureBucket } from './bucket.ts';
import { rememberedPort } from './free-port.ts';
import type { LocalServer } from './local-server.ts';
import { runCommand } from './run-command.ts';
import { type EnvOf, S3_DEFAULTS } from './service-env.ts';

const ACCESS_KEY = 'analytics';

/**
 * A real S3 server from Debian's packages: Ceph's RADOS Gateway over a cluster of one monitor and
 * one storage daemon, in memory, or in a file where the data is to be kept.
 */
export async function runCeph({ folder, supervisor, keep }: LocalServer): Promise<EnvOf<'s3'>> {
  const cluster = await prepare(folder, keep);
  const { conf, osdUuid } = cluster;
  const ceph = (program: string, ...args: string[]) =>
    runCommand(program, ['--conf', conf, ...args], { timeoutMs: 60_000, cwd: folder });
  const daemon = (name: string, program: string, ...args: string[]) =>
    supervisor.start({
      name,
      command: program,
      args: ['--foreground', '--conf', conf, ...args],
      logFile: join(folder, `${name}.log`),
      cwd: folder,
      // What is in memory only needs no goodbye, and the gateway's takes seconds.
      stopSignal: keep ? 'SIGTERM' : 'SIGKILL',
      stopTimeoutMs: 15_000,
    });

  if (!existsSync(cluster.madeMark))
    await ceph('ceph-mon', '--mkfs', '--id', 'a', ...cluster.monMkfs);
  const mon = daemon('ceph-mon', 'ceph-mon', '--id', 'a');
  // Answers once the monitor leads its quorum of one.
  await mon.ready(
    async () => void (await ceph('ceph', '--connect-timeout', '10', 'osd', 'new', osdUuid, '0')),
    30_000,
  );
  if (!existsSync(cluster.madeMark)) {
    // The same UUID as above, else the daemon never comes up.
    await ceph('ceph-osd', '--mkfs', '--id', '0', '--osd-uuid', osdUuid);
    await writeFile(cluster.madeMark, '');
  }
  daemon('ceph-osd', 'ceph-osd', '--id', '0');

  const gateway = daemon('radosgw', 'radosgw', '--name', 'client.rgw');
  const env = {
    S3_ENDPOINT: `http://127.0.0.1:${cluster.s3Port}`,
    S3_ACCESS_KEY: ACCESS_KEY,
    S3_SECRET_KEY: await ensureUser(ceph, join(folder, 'secret-key')),
    ...S3_DEFAULTS,
  };
  await gateway.ready(() => ensureBucket(env), 90_000);
  return env;
}

interface Cluster {
  conf: string;
  osdUuid: string;
  s3Port: number;
  monMkfs: string[];
  /** Written once monitor and storage daemon have their data folders. */
  madeMark: string;
}

async function prepare(folder: string, keep: boolean): Promise<Cluster> {
  const at = (name: string) => join(folder, name);
  const madeMark = at('made');
  const made = existsSync(madeMark);
  const s3Port = await rememberedPort(at('s3-port'));
  const monPort = await monitorPort(at('mon-port'), made);
  const fsid = await keptUuid(at('fsid'));
  const osdUuid = await keptUuid(at('osd-uuid'));
  await mkdir(at('mon'), { recursive: true });
  await mkdir(at('osd'), { recursive: true });
  await writeFile(at('ceph.conf'), configuration({ folder, fsid, monPort, s3Port, keep }));
  if (!made) {
    await makeKeys(at('keyring'), at('osd/keyring'));
    const address = `[v2:127.0.0.1:${monPort}]`;
    await runCommand(
      'monmaptool',
      ['--create', '--clobber', '--fsid', fsid, '--addv', 'a', address, at('monmap')],
      { timeoutMs: 10_000 },
    );
  }
  return {
    conf: at('ceph.conf'),
    osdUuid,
    s3Port,
    monMkfs: ['--monmap', at('monmap'), '--keyring', at('keyring')],
    madeMark,
  };
}

/** The monitor's port is part of the cluster's map, which cannot be changed by configuration. */
async function monitorPort(file: string, made: boolean): Promise<number> {
  const before = made ? Number(await readFile(file, 'utf8')) : undefined;
  const port = await rememberedPort(file);
  if (before !== undefined && before !== port) {
    await writeFile(file, `${before}\n`);
    throw new Error(`port ${before} on 127.0.0.1, which the kept Ceph cluster needs, is taken`);
  }
  return port;
}

function configuration(o: {
  folder: string;
  fsid: string;
  monPort: number;
  s3Port: number;
  keep: boolean;
}): string {
  const at = (name: string) => join(o.folder, name);
  return `[global]
fsid = ${o.fsid}
mon_host = [v2:127.0.0.1:${o.monPort}/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
keyring = ${at('keyring')}
run_dir = ${o.folder}
crash_dir = ${o.folder}
pid_file =
# A socket's path may hold 107 bytes, a checkout's path more; nobody asks these sockets anything.
admin_socket =
log_to_stderr = true
log_to_file = false
mon_cluster_log_to_file = false
mon_cluster_log_to_stderr = false
debug_rocksdb = 0/0
debug_bluefs = 0/0
debug_bluestore = 0/0
debug_ms = 0/0
auth_allow_insecure_global_id_reclaim = false

# One of everything.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
osd_max_pg_per_osd_hard_ratio = 10

[mon]
mon_data = ${at('mon')}
# The first start writes some 20 maps, each of which would otherwise wait a second for company.
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mon_osd_min_down_reporters = 1
# The disk belongs to somebody else: stop for lack of space only at the very end.
mon_data_avail_warn = 2
mon_data_avail_crit = 1

[osd]
osd_data = ${at('osd')}
osd_objectstore = ${o.keep ? 'bluestore' : 'memstore'}
memstore_device_bytes = 8589934592
# A sparse file: it takes the room that its contents need.
bluestore_block_size = 21474836480
osd_memory_target = 939524096
osd_class_update_on_start = true

[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:${o.s3Port}
rgw_data = ${at('rgw')}
rgw_thread_pool_size = 32
rgw_enable_apis = s3
rgw_run_sync_thread = false
rgw_enable_quota_threads = false
`;
}

/** The gateway insists on cephx, so everybody gets a key; one keyring serves all but the OSD. */
async function makeKeys(keyring: string, osdKeyring: string): Promise<void> {
  const all = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mgr', 'allow *'];
  const add = (file: string, name: string, ...caps: string[]) =>
    runCommand('ceph-authtool', [file, '--gen-key', '--name', name, ...caps], {
      timeoutMs: 10_000,
    });
  await writeFile(keyring, '', { mode: 0o600 });
  await add(keyring, 'mon.', '--cap', 'mon', 'allow *');
  await add(keyring, 'client.admin', ...all);
  await add(keyring, 'client.rgw', ...all);
  await add(keyring, 'osd.0', '--cap', 'mon', 'allow profile osd', '--cap', 'osd', 'allow *');
  const key = await runCommand('ceph-authtool', [keyring, '--print-key', '--name', 'osd.0'], {
    timeoutMs: 10_000,
  });
  await writeFile(osdKeyring, `[osd.0]\n\tkey = ${key.trim()}\n`, { mode: 0o600 });
}

/**
 * The user's secret key, chosen by the gateway when the user is made: given on the command line it
 * could be read by every user of the machine.
 */
async function ensureUser(
  ceph: (program: string, ...args: string[]) => Promise<string>,
  secretFile: string,
): Promise<string> {
  const known = await readFile(secretFile, 'utf8').catch(() => undefined);
  if (known !== undefined) return known.trim();
  const make = ['user', 'create', '--uid', ACCESS_KEY, '--display-name', 'Analytics service'];
  const output = await ceph('radosgw-admin', ...make, '--access-key', ACCESS_KEY, '--gen-secret');
  const user = JSON.parse(output) as { keys: { secret_key: string }[] };
  const secret = user.keys[0]?.secret_key;
  if (secret === undefined) throw new Error('radosgw-admin made a user without a key');
  await writeFile(secretFile, `${secret}\n`, { mode: 0o600 });
  return secret;
}

async function keptUuid(file: string): Promise<string> {
  if (!existsSync(file)) await writeFile(file, `${randomUUID()}\n`);
  return (await readFile(file, 'utf8')).trim();
}
