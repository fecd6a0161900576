import { readFile, writeFile } from 'node:fs/promises';

type Pid = number | 'self';

/** High-water mark of a process's resident memory, in MB. */
export function peakMb(pid: Pid): Promise<number> {
  return statusMb(pid, 'VmHWM');
}

/** Resident memory of a process now, in MB. */
export function residentMb(pid: Pid): Promise<number> {
  return statusMb(pid, 'VmRSS');
}

/** From now on `peakMb` of this process counts anew, where the system lets us say so. */
export async function resetPeak(): Promise<void> {
  await writeFile('/proc/self/clear_refs', '5').catch(() => {});
}

async function statusMb(pid: Pid, field: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1_024;
}
