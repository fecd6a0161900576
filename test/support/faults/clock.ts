import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureFaketime } from '../../../scripts/services/debian.ts';

/** The clock of a machine that processes with `environment` believe to be on. */
export interface FakeClock {
  environment: Record<string, string>;
  /** From now on it is off by so many seconds; the time that passes stays right, as on a machine. */
  set(offSeconds: number): Promise<void>;
  remove(): Promise<void>;
}

/** Undefined where libfaketime is neither there nor to be had. */
export async function fakeClock(): Promise<FakeClock | undefined> {
  const library = await ensureFaketime(console.log);
  if (library === undefined) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'fault-clock-'));
  const file = join(folder, 'time');
  const set = async (offSeconds: number) => {
    const text = `${offSeconds < 0 ? '' : '+'}${offSeconds}\n`;
    // At once: whoever reads half of it is at another time.
    await writeFile(`${file}.new`, text, { mode: 0o644 });
    await rename(`${file}.new`, file);
  };
  await set(0);
  return {
    environment: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    set,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
