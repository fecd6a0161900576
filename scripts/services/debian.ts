import { existsSync, readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './run-command.ts';
import type { ServiceName } from './service-env.ts';

/** What Debian calls the servers, and the programs by which we see that they are there. */
const PACKAGES: Record<ServiceName, Readonly<Record<string, () => boolean>>> = {
  postgres: { postgresql: () => postgresBinDir() !== undefined },
  rabbitmq: { 'rabbitmq-server': () => existsSync(RABBITMQ_SERVER) },
  redis: { 'redis-server': () => onPath('redis-server') },
  s3: {
    'ceph-mon': () => onPath('ceph-mon'),
    'ceph-osd': () => onPath('ceph-osd'),
    radosgw: () => onPath('radosgw'),
    'ceph-common': () => onPath('ceph'),
  },
};

/** Not the one in /usr/sbin, which switches to the `rabbitmq` user and its folders. */
export const RABBITMQ_SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';

/** Debian keeps each major version apart; the newest is taken. */
export function postgresBinDir(): string | undefined {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).map(Number) : [];
  return versions
    .toSorted((a, b) => b - a)
    .map((version) => join(root, String(version), 'bin'))
    .find((dir) => existsSync(join(dir, 'initdb')));
}

/** Installs through apt-get what the named services lack. */
export async function ensureDebianPackages(
  services: readonly ServiceName[],
  log: (line: string) => void,
): Promise<void> {
  const missing = services.flatMap((service) =>
    Object.entries(PACKAGES[service])
      .filter(([, isThere]) => !isThere())
      .map(([name]) => name),
  );
  if (missing.length === 0) return;
  if (!canInstall()) {
    throw new Error(
      `cannot start ${services.join(', ')}: missing Debian packages ${missing.join(' ')} (not root, or no apt-get here); set DATABASE_URL, RABBITMQ_URL, REDIS_URL and S3_ENDPOINT to running servers, or have a Docker engine with Compose`,
    );
  }
  await install(missing, log);
}

/**
 * Installs Prometheus, which comes with promtool: no server that the service needs, but its rules
 * are tried with both. False where they are neither there nor to be had.
 */
export function ensurePrometheus(log: (line: string) => void): Promise<boolean> {
  return ensurePrograms('prometheus', ['prometheus', 'promtool'], log);
}

/** Installs pika, Python's AMQP client, for Debian's own Python. False where it is not to be had. */
export function ensurePika(log: (line: string) => void): Promise<boolean> {
  const isThere = () => existsSync('/usr/lib/python3/dist-packages/pika');
  return ensurePackage('python3-pika', isThere, log);
}

/** Installs PgBouncer, behind which the database is tried. False where it is not to be had. */
export function ensurePgBouncer(log: (line: string) => void): Promise<boolean> {
  return ensurePrograms('pgbouncer', ['pgbouncer'], log);
}

/** Installs Chromium, in which the console is tried. False where it is not to be had. */
export function ensureChromium(log: (line: string) => void): Promise<boolean> {
  return ensurePrograms('chromium', ['chromium'], log);
}

/**
 * Installs libfaketime, by which a process is told another time, and gives the library to preload.
 * Undefined where it is not to be had.
 */
export async function ensureFaketime(log: (line: string) => void): Promise<string | undefined> {
  const found = faketimeLibrary();
  if (found !== undefined || !canInstall()) return found;
  await install(['libfaketime'], log);
  return faketimeLibrary();
}

function faketimeLibrary(): string | undefined {
  const root = '/usr/lib';
  return readdirSync(root)
    .map((folder) => join(root, folder, 'faketime', 'libfaketime.so.1'))
    .find((file) => existsSync(file));
}

function ensurePrograms(
  name: string,
  programs: readonly string[],
  log: (line: string) => void,
): Promise<boolean> {
  return ensurePackage(name, () => programs.every(onPath), log);
}

async function ensurePackage(
  name: string,
  isThere: () => boolean,
  log: (line: string) => void,
): Promise<boolean> {
  if (isThere()) return true;
  if (!canInstall()) return false;
  await install([name], log);
  return true;
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}

async function install(packages: readonly string[], log: (line: string) => void): Promise<void> {
  log(`installing ${packages.join(' ')}`);
  await withoutServiceStart(async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    // The lock may be held by the system's own unattended upgrade for a while.
    const apt = ['-o', 'DPkg::Lock::Timeout=120', '-qq'];
    await runCommand('apt-get', [...apt, 'update'], { env, timeoutMs: 180_000 });
    const install = [...apt, 'install', '--yes', '--no-install-recommends', ...packages];
    await runCommand('apt-get', install, { env, timeoutMs: 600_000 });
  });
}

/**
 * Debian starts a server as it installs it, on the default port and for good. A policy-rc.d that
 * answers 101 forbids it; one that is there already is the machine's own business.
 */
async function withoutServiceStart(work: () => Promise<void>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  const ours = await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
  try {
    await work();
  } finally {
    if (ours) await rm(policy, { force: true });
  }
}

/** Whether a program is there, be it where only root's shell looks. */
function onPath(program: string): boolean {
  const path = (process.env.PATH ?? '').split(':');
  return [...path, '/usr/bin', '/usr/sbin'].some((dir) => existsSync(join(dir, program)));
}
