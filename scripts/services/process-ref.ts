import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A server process as it can be written to a file and found again by another command. A pid alone
 * is not enough: the number may have been given to a stranger since, so the start time goes with it.
 */
export interface ProcessRef {
  name: string;
  pid: number;
  startedAt: string;
  /** What asks this server to stop in an orderly way. */
  stopSignal: NodeJS.Signals;
  stopTimeoutMs: number;
}

/** The start time of a live process in whatever unit the system has; undefined when it is gone. */
export function startTimeOf(pid: number): string | undefined {
  return process.platform === 'linux' ? startTimeFromProc(pid) : startTimeFromPs(pid);
}

export function isAlive(ref: Pick<ProcessRef, 'pid' | 'startedAt'>): boolean {
  return startTimeOf(ref.pid) === ref.startedAt;
}

/** Asks politely, waits, then kills. Resolves once the process is gone. */
export async function stopProcess(ref: ProcessRef): Promise<void> {
  if (!isAlive(ref)) return;
  signal(ref.pid, ref.stopSignal);
  if (await goneWithin(ref, ref.stopTimeoutMs)) return;
  signal(ref.pid, 'SIGKILL');
  if (await goneWithin(ref, 5_000)) return;
  throw new Error(`${ref.name} (pid ${ref.pid}) does not go away`);
}

async function goneWithin(ref: ProcessRef, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (!isAlive(ref)) return true;
    await sleep(20);
  }
  return !isAlive(ref);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function startTimeFromProc(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may itself hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // A zombie has stopped; in a container whose first process reaps nobody it stays listed for ever.
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return fields[19];
}

function startTimeFromPs(pid: number): string | undefined {
  if (process.platform === 'win32') return isSignalable(pid) ? 'alive' : undefined;
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      timeout: 5_000,
    }).trim();
    return line === '' || line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
  } catch {
    return undefined;
  }
}

function isSignalable(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
