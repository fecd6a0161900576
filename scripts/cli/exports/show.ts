import type { Job } from '../answers.ts';
import { jobForm, jobsForm } from '../answers.ts';
import type { Told } from '../api.ts';
import { readModelNames } from '../models.ts';
import { say, sayJsonText } from '../output.ts';
import { pageQuery, pageText } from '../page-options.ts';
import { tableText } from '../table.ts';
import { jobText, windowText } from './job-text.ts';
import { type ExportsOptions, type ExportsPlace, placeOf } from './place.ts';
import { waitForExport } from './wait.ts';

type ListOptions = ExportsOptions & {
  status?: string | undefined;
  limit: number;
  cursor?: string | undefined;
};

/** A page of exports, newest first. */
export async function listExports(options: ListOptions): Promise<undefined> {
  const { api, path } = placeOf(options);
  const { status } = options;
  const query = new URLSearchParams({
    ...pageQuery(options),
    ...(status === undefined ? {} : { status }),
  });
  const { value, json } = await api.ask(path, jobsForm, { query });
  if (options.json) {
    sayJsonText(json);
    return;
  }
  say(
    tableText(value.items, [
      { title: 'export', cell: ({ jobId }) => jobId },
      { title: 'status', cell: (job) => job.status },
      { title: 'contents', cell: ({ granularity, format }) => `${granularity} ${format}` },
      { title: 'window', cell: windowText },
      { title: 'rows', align: 'right', cell: ({ rowCount }) => rowCount },
      { title: 'bytes', align: 'right', cell: ({ bytes }) => bytes },
      { title: 'asked for', cell: ({ createdAt }) => createdAt },
      { title: 'by', cell: ({ initiatedBy }) => initiatedBy },
    ]),
  );
  say(`\n${pageText(value, 'exports, newest first')}`);
}

/** One export. */
export async function showExport(options: ExportsOptions, jobId: string): Promise<undefined> {
  const place = placeOf(options);
  await tellJob(place, options, await place.api.ask(`${place.path}/${jobId}`, jobForm));
}

/** One export, once it is made. */
export async function awaitExport(
  options: ExportsOptions & { timeout: number },
  jobId: string,
): Promise<undefined> {
  const place = placeOf(options);
  await tellJob(place, options, await waitForExport(place, jobId, options.timeout));
}

async function tellJob(
  { api, orgId }: ExportsPlace,
  { json }: ExportsOptions,
  told: Told<Job>,
): Promise<void> {
  if (json) {
    sayJsonText(told.json);
    return;
  }
  const needsNames = orgId !== null && told.value.models !== null;
  const { nameOf } = needsNames ? await readModelNames(api, orgId) : { nameOf: String };
  say(jobText(told.value, nameOf));
}
