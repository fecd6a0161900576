import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Settings, SettingsError } from '../../shared/platform/env.ts';

const dataFolder = fileURLToPath(new URL('../../.data/', import.meta.url));
const file = 'database-url';

/** Where `npm start` leaves the address of its embedded database for the other commands. */
export function databaseUrlFile(folder = dataFolder): string {
  return join(folder, file);
}

/**
 * DATABASE_URL, else the embedded database of a running `npm start`.
 *
 * @throws SettingsError when there is neither.
 */
export async function localDatabaseUrl({ DATABASE_URL }: Settings): Promise<string> {
  if (DATABASE_URL !== undefined) return DATABASE_URL;
  try {
    return (await readFile(databaseUrlFile(), 'utf8')).trim();
  } catch {
    throw new SettingsError(
      'no database: set DATABASE_URL, or let npm start run (its embedded database is then used)',
    );
  }
}
