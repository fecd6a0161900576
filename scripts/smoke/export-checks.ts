import { createHash } from 'node:crypto';
import { parse } from 'csv-parse/sync';
import * as z from 'zod';
import { tenantOf } from '../cli/actor.ts';
import { type Answer, readJson, sumsForm, unexpected } from './answer.ts';
import { type Seen, SkipCheck } from './check.ts';
import type { SmokeContext } from './context.ts';
import { addSums, smokeModelId, strangerOrgId, sumsText } from './events.ts';
import { eventually } from './wait.ts';

const jobForm = z.object({
  jobId: z.guid(),
  status: z.enum(['pending', 'running', 'succeeded', 'failed', 'expired']),
  rowCount: z.int().nullable(),
  bytes: z.int().nullable(),
  checksum: z.string().nullable(),
  totals: sumsForm.nullable(),
  error: z.string().nullable(),
});
export type ExportedJob = z.output<typeof jobForm>;

/** Asks for the days of the events as CSV, and waits until the file is there. */
export async function createExport(
  { api, as, plan, timeoutMs }: SmokeContext,
  isWanted: boolean,
): Promise<Seen<ExportedJob>> {
  if (!isWanted) throw new SkipCheck('--skip-exports');
  const path = `/orgs/${plan.orgId}/exports`;
  const wanted = {
    timeRange: plan.window,
    granularity: 'daily',
    format: 'csv',
    models: [smokeModelId],
  };
  const body = JSON.stringify(wanted);
  const created = await api.ask(path, { method: 'POST', as, body });
  const { jobId } = readJson(created, 202, jobForm);
  const job = await eventually(timeoutMs, async () => {
    const answer = await api.ask(`${path}/${jobId}`, { as });
    const polled = readJson(answer, 200, jobForm);
    const { status, error } = polled;
    if (status === 'succeeded') return polled;
    throw unexpected(answer, 'the export to succeed', {
      came: `${status}${error === null ? '' : `: ${error}`}`,
      section: error === null ? 'exports' : 'exportErrors',
      mayPass: status === 'pending' || status === 'running',
    });
  });
  return { seen: `${jobId}: ${job.rowCount} rows, ${job.bytes} bytes`, value: job };
}

const rowForm = z
  .object({
    client_id: z.string(),
    invocations: z.coerce.number(),
    errors: z.coerce.number(),
    input_tokens: z.coerce.number(),
    output_tokens: z.coerce.number(),
    cost_estimate_cents: z.string().regex(/^\d+(\.\d{1,4})?$/),
  })
  .transform((row) => ({
    clientId: row.client_id,
    invocations: row.invocations,
    errors: row.errors,
    inputTokens: row.input_tokens,
    outputTokens: row.output_tokens,
    costEstimateCents: row.cost_estimate_cents,
  }));

/**
 * Follows the signed link by hand, without a header of ours: whoever holds it may have the file,
 * and the store must not learn who we are. The file is the one of the job, and says the same as
 * the usage API.
 */
export async function download(
  { api, as, plan }: SmokeContext,
  job: ExportedJob,
): Promise<Seen<null>> {
  const path = `/orgs/${plan.orgId}/exports/${job.jobId}/download`;
  const signed = await api.ask(path, { as });
  const location = signed.headers.get('Location');
  if (signed.status !== 302 || location === null) {
    throw unexpected(signed, '302 to a signed link', { section: 'exportErrors' });
  }
  const file = await api.fetch(new URL(location, signed.url));
  if (file.status !== 200) {
    throw unexpected(file, '200', {
      section: 'exportErrors',
      hint: 'can S3_ENDPOINT be reached from outside?',
    });
  }
  const checksum = createHash('sha256').update(file.body).digest('hex');
  expectText(file, `SHA-256 ${job.checksum}`, `SHA-256 ${checksum}`);
  const rows = rowsOf(file);
  expectText(file, `${job.rowCount} rows`, `${rows.length} rows`);
  const told = job.totals === null ? 'sums, as the job should tell' : sumsText(job.totals);
  expectText(file, told, sumsText(addSums(rows)));
  const own = rows.filter(({ clientId }) => clientId === plan.clientId);
  expectText(file, sumsText(plan.sums), sumsText(addSums(own)));
  return { seen: `${file.body.length} bytes, SHA-256 and sums as told`, value: null };
}

function rowsOf(file: Answer) {
  try {
    return z.array(rowForm).parse(parse(file.body, { columns: true }));
  } catch {
    throw unexpected(file, 'CSV with the columns of docs/exports.md', { section: 'exportErrors' });
  }
}

function expectText(file: Answer, expected: string, came: string): void {
  if (expected !== came) throw unexpected(file, expected, { came, section: 'exportErrors' });
}

/** Another tenant is refused the org, and finds nothing of the job in its own. */
export async function hideExport(
  { api, as, plan }: SmokeContext,
  { jobId }: ExportedJob,
): Promise<Seen<null>> {
  const stranger = tenantOf(strangerOrgId, as);
  const seen: string[] = [];
  const paths = [`/orgs/${plan.orgId}/exports/${jobId}`, `/orgs/${strangerOrgId}/exports/${jobId}`];
  // By a token there is no stranger: the job must not be found in another org.
  for (const path of stranger === null ? paths.slice(1) : paths) {
    for (const end of ['', '/download']) {
      const answer = await api.ask(`${path}${end}`, { as: stranger ?? as });
      if (answer.status !== 403 && answer.status !== 404) {
        throw unexpected(answer, '403 or 404', { section: 'access' });
      }
      seen.push(String(answer.status));
    }
  }
  return { seen: `for another org ${seen.join(', ')}`, value: null };
}
