import { randomBytes } from 'node:crypto';
import { chown, lstat, readFile, writeFile } from 'node:fs/promises';
import type { RunAs } from './unprivileged-user.ts';

/**
 * A random secret, written once with mode 0600 and read back ever after. Local servers have
 * passwords too: every user of the machine can reach its loopback ports.
 */
export async function ensureSecret(file: string, reader: RunAs = {}): Promise<string> {
  try {
    const secret = randomBytes(24).toString('hex');
    await writeFile(file, `${secret}\n`, { mode: 0o600, flag: 'wx' });
    if (reader.uid !== undefined && reader.gid !== undefined) {
      await chown(file, reader.uid, reader.gid);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!(await lstat(file)).isFile()) throw new Error(`${file} is not a file`);
  }
  return (await readFile(file, 'utf8')).trim();
}
