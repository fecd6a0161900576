import { execFileSync } from 'node:child_process';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Makes a folder that is a whole PATH: what is not in it is really missing.
 *
 * @param stubs texts of `sh` scripts that stand in for programs
 * @param real names of programs of this machine
 */
export async function writePrograms(
  folder: string,
  stubs: Readonly<Record<string, string>>,
  real: readonly string[],
): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(stubs)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  for (const name of real) {
    const path = name === 'node' ? process.execPath : whereIs(name);
    await symlink(path, join(folder, name));
  }
}

function whereIs(name: string): string {
  return execFileSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
}
