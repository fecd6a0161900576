import { setTimeout as sleep } from 'node:timers/promises';
import { type Job, jobForm } from '../answers.ts';
import type { Told } from '../api.ts';
import { UnavailableError } from '../failure.ts';
import { note } from '../output.ts';
import { cut } from '../printable.ts';
import type { ExportsPlace } from './place.ts';

const everyMs = { first: 250, max: 5_000 };

/**
 * Asks until the export is made. Says how it stands where that changes, and on a terminal how long
 * it takes. That nobody answers for a while is no end of waiting.
 *
 * @throws Error when it failed or has expired, or when the time is over
 */
export async function waitForExport(
  { api, path }: ExportsPlace,
  jobId: string,
  timeoutMs: number,
): Promise<Told<Job>> {
  const startedMs = performance.now();
  const seconds = () => Math.round((performance.now() - startedMs) / 1_000);
  const watch = openWatch(process.stderr);
  let intervalMs = everyMs.first;
  let last = 'not known';
  try {
    for (;;) {
      try {
        const told = await api.ask(`${path}/${jobId}`, jobForm);
        const { status, error } = told.value;
        last = error === null ? status : `${status}, after: ${error}`;
        if (status === 'succeeded') {
          watch.say(`${jobId} succeeded after ${seconds()} s`);
          return told;
        }
        if (status === 'failed') throw new Error(`export ${jobId} failed: ${error}`);
        if (status === 'expired') throw new Error(`export ${jobId} has expired: ask for it anew`);
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error;
        last = error.message;
        if (performance.now() - startedMs > timeoutMs) throw error;
      }
      if (performance.now() - startedMs > timeoutMs) {
        throw new Error(
          `export ${jobId} is ${last} after ${seconds()} s: analytics exports wait ${jobId} waits on`,
        );
      }
      watch.say(`${jobId} ${last}`, `${seconds()} s`);
      await sleep(intervalMs);
      intervalMs = Math.min(intervalMs * 1.5, everyMs.max);
    }
  } finally {
    watch.end();
  }
}

/** A line that is written over where a person watches; elsewhere one for each change. */
function openWatch(stream: NodeJS.WriteStream) {
  let said = '';
  return {
    say: (line: string, more = '') => {
      const words = cut(line, 150);
      if (stream.isTTY) stream.write(`\r\u001b[K${words} ${more}`);
      else if (words !== said) note(words);
      said = words;
    },
    end: () => {
      if (stream.isTTY) stream.write('\r\u001b[K');
    },
  };
}
