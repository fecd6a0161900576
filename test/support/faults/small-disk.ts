import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  folder: string;
  /** Takes every byte that is left. */
  fill(): void;
  /** Gives them back. */
  free(): void;
  remove(): void;
}

/** Why no disk of a fixed size can be made here, or undefined. */
export function noSmallDisk(): string | undefined {
  try {
    makeSmallDisk(1).remove();
    return undefined;
  } catch (error) {
    return `a tmpfs cannot be mounted here: ${String(error).split('\n')[0]}`;
  }
}

/** @throws Error where we may not mount. */
export function makeSmallDisk(megabytes: number): SmallDisk {
  const folder = mkdtempSync(join(tmpdir(), 'analytics-small-disk-'));
  const mounting = spawnSync(
    'mount',
    ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0711`, 'tmpfs', folder],
    { encoding: 'utf8' },
  );
  if (mounting.status !== 0) {
    rmdirSync(folder);
    throw new Error(mounting.stderr?.trim() || String(mounting.error));
  }
  chmodSync(folder, 0o711);
  const ballast = join(folder, 'ballast');
  return {
    folder,
    fill: () => {
      // It takes what there is, and says that there was not enough.
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64k'], { stdio: 'ignore' });
    },
    free: () => rmSync(ballast, { force: true }),
    remove: () => {
      execFileSync('umount', ['--lazy', folder]);
      rmdirSync(folder);
    },
  };
}
