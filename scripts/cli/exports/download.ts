import { retrying, TryAgainError } from '../../publish/retry.ts';
import { type Job, jobForm } from '../answers.ts';
import { note, say, sayJson } from '../output.ts';
import { printable } from '../printable.ts';
import { openProgress } from '../progress.ts';
import { type ExportsOptions, type ExportsPlace, placeOf } from './place.ts';
import { FileFault, fetchFile, refuseTaken, saveFile } from './save-file.ts';

export interface SaveOptions {
  /** Where the file goes; by default a name made of the export's id. */
  output?: string | undefined;
  force: boolean;
}

const retries = { triesMax: 3, firstWaitMs: 1_000, waitMaxMs: 5_000 };

/**
 * Saves the file of an export, checked against the job's own size and SHA-256. A download that
 * breaks begins anew, with a new link, at most three times.
 *
 * @throws Error when it is not what the job says; nothing is left of it then
 */
export async function downloadExport(
  options: ExportsOptions & SaveOptions,
  jobId: string,
): Promise<undefined> {
  const place = placeOf(options);
  const { value: job } = await place.api.ask(`${place.path}/${jobId}`, jobForm);
  const expected = expectedOf(job);
  const path = options.output ?? `export-${jobId}.csv`;
  await refuseTaken(path, options.force);
  const progress = openProgress('download', 'bytes');
  try {
    await retrying(async () => {
      try {
        const link = await signedLink(place, jobId);
        await saveFile(path, options.force, async (file) => {
          progress.start(expected.bytes);
          await fetchFile(link, file, expected, progress.update);
        });
      } catch (error) {
        progress.stop();
        if (!(error instanceof FileFault)) throw error;
        throw new TryAgainError(`the download broke: ${error.message}`);
      }
    }, retries);
  } finally {
    progress.stop();
  }
  const { bytes, checksum } = expected;
  if (options.json) sayJson({ jobId, path, bytes, checksum });
  else {
    note(printable(`${bytes} bytes, SHA-256 ${checksum} as the export says`));
    say(printable(path));
  }
}

interface Expected {
  bytes: number;
  checksum: string;
}

/** @throws Error where there is no file, with what to do */
function expectedOf({ jobId, status, bytes, checksum, error }: Job): Expected {
  if (status === 'succeeded' && bytes !== null && checksum !== null) return { bytes, checksum };
  const way = {
    pending: `analytics exports wait ${jobId} waits for it`,
    running: `analytics exports wait ${jobId} waits for it`,
    failed: error ?? 'ask for it anew',
    expired: 'ask for it anew',
    succeeded: 'but says nothing of its file',
  };
  throw new Error(`export ${jobId} is ${status}: ${way[status]}`);
}

/** @throws Error as the API refuses it */
async function signedLink({ api, path }: ExportsPlace, jobId: string): Promise<URL> {
  const where = `${path}/${jobId}/download`;
  const { headers } = await api.answer(where, [302]);
  const location = headers.get('Location') ?? '';
  const link = URL.canParse(location, api.url) ? new URL(location, api.url) : null;
  if (link !== null && /^https?:$/.test(link.protocol)) return link;
  throw new Error(`${where} leads nowhere: is --url the address of the API?`);
}
