import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, lstat, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Whom a server runs as. Empty unless we are root: then PostgreSQL refuses to run as ourselves. */
export interface RunAs {
  uid?: number;
  gid?: number;
}

export function unprivilegedUser(): RunAs {
  if (process.getuid?.() !== 0) return {};
  return lookUp('postgres') ?? lookUp('nobody') ?? { uid: 65534, gid: 65534 };
}

/**
 * The folder of the programs as that user can run them: itself, or a copy when the checkout lies
 * where only root can look (`/root` with mode 700). The copy, some 60 MB, lives in `temporary` and
 * so as long as the server: a kept one would have to be checked against every update.
 */
export async function reachableBinaries(
  binDir: string,
  user: RunAs,
  temporary: () => Promise<string>,
): Promise<string> {
  const works = (dir: string) => canRun(join(dir, 'postgres'), ['--version'], user);
  if (user.uid === undefined || works(binDir)) return binDir;
  const copy = join(await temporary(), 'native');
  await cp(dirname(binDir), copy, { recursive: true, verbatimSymlinks: true });
  if (works(join(copy, 'bin'))) return join(copy, 'bin');
  throw new Error(`user ${user.uid} can run PostgreSQL neither in ${binDir} nor in ${copy}`);
}

/**
 * A folder that user can write, made if need be: the one asked for, or one under /var/tmp that
 * belongs to the same path, when the user cannot get there.
 */
export async function reachableFolder(folder: string, user: RunAs): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o711 });
  if (user.uid === undefined || canRun('/bin/ls', ['-d', `${folder}/.`], user)) return folder;
  return privateVarTmp(`data-${digest(folder)}`);
}

async function privateVarTmp(name: string): Promise<string> {
  const folder = join('/var/tmp', `analytics-service-${name}`);
  await mkdir(folder, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  // The name can be guessed, and everyone may create names here: trust nothing that is not ours.
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0) {
    throw new Error(`${folder} exists and is not a folder of ours; remove it`);
  }
  await chmod(folder, 0o755);
  await writeFile(join(folder, 'README'), 'Local PostgreSQL data of analytics-service.\n');
  return folder;
}

function canRun(command: string, args: string[], { uid, gid }: RunAs): boolean {
  const ids = { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
  return (
    spawnSync(command, args, { ...ids, cwd: '/', stdio: 'ignore', timeout: 10_000 }).status === 0
  );
}

function lookUp(user: string): RunAs | undefined {
  try {
    const id = (flag: string) =>
      Number(
        execFileSync('id', [flag, user], { stdio: ['ignore', 'pipe', 'ignore'], timeout: 5_000 }),
      );
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined;
  }
}

function digest(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 12);
}
