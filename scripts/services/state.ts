import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive } from './process-ref.ts';
import type { ServiceEnv, ServiceName } from './service-env.ts';
import type { Holdings } from './supervisor.ts';

/** What one `up` started. */
export interface Run {
  names: ServiceName[];
  env: Partial<ServiceEnv>;
  holdings: Holdings[];
}

export interface State {
  runs: Run[];
}

export async function readState(folder: string): Promise<State> {
  try {
    return JSON.parse(await readFile(fileIn(folder), 'utf8')) as State;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { runs: [] };
    throw error;
  }
}

/** For our eyes only: it holds passwords. */
export async function writeState(folder: string, state: State): Promise<void> {
  await mkdir(folder, { recursive: true });
  const fresh = `${fileIn(folder)}.new`;
  await writeFile(fresh, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  await rename(fresh, fileIn(folder));
}

export async function clearState(folder: string): Promise<void> {
  await rm(fileIn(folder), { force: true });
}

/** Containers look after themselves; of our own processes none may be missing. */
export function isRunning({ holdings }: Run): boolean {
  return holdings.every(({ processes }) => processes.every(isAlive));
}

function fileIn(folder: string): string {
  return join(folder, 'state.json');
}
