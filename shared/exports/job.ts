import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { decimal } from '../decimal-json.ts';
import type { Database, Queryable } from '../platform/database/db.ts';
import { ServiceError } from '../platform/errors.ts';
import type { Granularity } from '../queries/time-window.ts';

export const exportFormats = ['csv', 'focus', 'events'] as const;
export type ExportFormatName = (typeof exportFormats)[number];
export const exportStatuses = ['pending', 'running', 'succeeded', 'failed', 'expired'] as const;
export type ExportStatus = (typeof exportStatuses)[number];

/** What an export is to hold. An org of null is every org, for admins alone. */
export interface ExportRequest {
  orgId: string | null;
  format: ExportFormatName;
  granularity: Granularity;
  timezone: string;
  /** Null for all. */
  models: readonly string[] | null;
  range: { startMs: number; endMs: number };
}

/** Sums over a file's rows; tokens and cost are decimals in PostgreSQL's text form. */
export interface ExportTotals {
  invocations: number;
  errors: number;
  inputTokens: string;
  outputTokens: string;
  costEstimateCents: string;
}

export interface ExportJob extends ExportRequest {
  jobId: string;
  status: ExportStatus;
  initiatedBy: string;
  attempts: number;
  createdAt: Date;
  startedAt: Date | null;
  completedAt: Date | null;
  expiresAt: Date | null;
  completeThrough: Date | null;
  rowCount: number | null;
  bytes: number | null;
  /** SHA-256 of the file, hexadecimal. */
  checksum: string | null;
  totals: ExportTotals | null;
  objectKey: string | null;
  objectEtag: string | null;
  /** Why the last attempt failed. */
  error: string | null;
  /** Of a scheduled monthly export: 1, then one more for each restatement. */
  revision: number | null;
}

const text = z.string().nullable();
const time = z.date().nullable();
const jobRow = z.object({
  job_id: z.string(),
  org_id: text,
  status: z.enum(exportStatuses),
  format: z.enum(exportFormats),
  granularity: z.enum(['hour', 'day', 'month']),
  timezone: z.string(),
  models: z.array(z.string()).nullable(),
  range_start: z.date(),
  range_end: z.date(),
  initiated_by: z.string(),
  attempts: z.number(),
  created_at: z.date(),
  started_at: time,
  completed_at: time,
  expires_at: time,
  complete_through: time,
  row_count: z.number().nullable(),
  bytes: z.number().nullable(),
  checksum: text,
  totals: z
    .object({
      invocations: z.number(),
      errors: z.number(),
      inputTokens: z.string(),
      outputTokens: z.string(),
      costEstimateCents: z.string(),
    })
    .nullable(),
  object_key: text,
  object_etag: text,
  error: text,
  revision: z.number().nullable(),
});

/** A row of export_jobs as a job. Past its time it has expired, whether or not its file is gone. */
export function toExportJob(row: unknown): ExportJob {
  const job = jobRow.parse(row);
  const isOver = job.status === 'succeeded' && (job.expires_at?.getTime() ?? 0) <= Date.now();
  return {
    jobId: job.job_id,
    orgId: job.org_id,
    status: isOver ? 'expired' : job.status,
    format: job.format,
    granularity: job.granularity,
    timezone: job.timezone,
    models: job.models,
    range: { startMs: job.range_start.getTime(), endMs: job.range_end.getTime() },
    initiatedBy: job.initiated_by,
    attempts: job.attempts,
    createdAt: job.created_at,
    startedAt: job.started_at,
    completedAt: job.completed_at,
    expiresAt: job.expires_at,
    completeThrough: job.complete_through,
    rowCount: job.row_count,
    bytes: job.bytes,
    checksum: job.checksum,
    totals: job.totals,
    objectKey: job.object_key,
    objectEtag: job.object_etag,
    error: job.error,
    revision: job.revision,
  };
}

/** Granularities as requests and jobs name them. */
export const granularityNames = { hour: 'hourly', day: 'daily', month: 'monthly' } as const;

/** Totals as the API writes them: numbers, digit for digit. */
export function totalsAnswer(totals: ExportTotals): object {
  return {
    invocations: totals.invocations,
    errors: totals.errors,
    inputTokens: decimal(totals.inputTokens),
    outputTokens: decimal(totals.outputTokens),
    costEstimateCents: decimal(totals.costEstimateCents),
  };
}

/** One tenant's requests must not keep the others waiting for ever. */
const waitingPerOrgMax = 50;

export interface NewExport extends ExportRequest {
  initiatedBy: string;
  /** A request of the same person with the same key gets the first job. */
  idempotencyKey: string | null;
}

/**
 * Writes down a job for the worker.
 *
 * @throws ServiceError `conflict` when the key was used for another request; `too_many_requests`
 * when the org already has 50 jobs waiting.
 */
export async function createExportJob(database: Database, wanted: NewExport): Promise<ExportJob> {
  const { orgId, format, granularity, timezone, models, range, initiatedBy } = wanted;
  return database.transaction({ tenant: orgId }, async (transaction) => {
    const [created] = await transaction.query(
      `insert into export_jobs
         (job_id, org_id, format, granularity, timezone, models, range_start, range_end,
          initiated_by, idempotency_key)
       select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
       where (select count(*) from export_jobs
              where org_id is not distinct from $2 and status in ('pending', 'running')) < $11
       on conflict (org_id, initiated_by, idempotency_key) where idempotency_key is not null
         do nothing
       returning *`,
      [
        randomUUID(),
        orgId,
        format,
        granularity,
        timezone,
        models,
        new Date(range.startMs),
        new Date(range.endMs),
        initiatedBy,
        wanted.idempotencyKey,
        waitingPerOrgMax,
      ],
    );
    if (created !== undefined) return toExportJob(created);
    const first = await firstOfKey(transaction, wanted);
    if (first === null) {
      const detail = `${waitingPerOrgMax} exports are already waiting: ask again when some of them are done`;
      throw new ServiceError('too_many_requests', detail);
    }
    if (isSameRequest(first, wanted)) return first;
    const message = 'was used for another export: take a new key for a new request';
    throw new ServiceError('conflict', `Idempotency-Key ${message}`, [
      { path: 'Idempotency-Key', message },
    ]);
  });
}

async function firstOfKey(transaction: Queryable, wanted: NewExport): Promise<ExportJob | null> {
  if (wanted.idempotencyKey === null) return null;
  const [row] = await transaction.query(
    `select * from export_jobs
     where org_id is not distinct from $1 and initiated_by = $2 and idempotency_key = $3`,
    [wanted.orgId, wanted.initiatedBy, wanted.idempotencyKey],
  );
  return row === undefined ? null : toExportJob(row);
}

function isSameRequest(a: ExportRequest, b: ExportRequest): boolean {
  const form = ({ format, granularity, timezone, models, range }: ExportRequest) =>
    JSON.stringify([format, granularity, timezone, models, range.startMs, range.endMs]);
  return form(a) === form(b);
}

/** An org's job, or one over all orgs where `orgId` is null. */
export async function readExportJob(
  database: Database,
  orgId: string | null,
  jobId: string,
): Promise<ExportJob | null> {
  const [row] = await database.transaction({ mode: 'snapshot', tenant: orgId }, (snapshot) =>
    snapshot.query(
      'select * from export_jobs where job_id = $1 and org_id is not distinct from $2',
      [jobId, orgId],
    ),
  );
  return row === undefined ? null : toExportJob(row);
}

/** Where a page begins: after this job. `createdAt` is text, since a Date would lose digits. */
export interface ExportCursor {
  createdAt: string;
  jobId: string;
}

/** An org's jobs, newest first, or those over all orgs; and where the next page begins. */
export async function listExportJobs(
  database: Database,
  orgId: string | null,
  status: ExportStatus | null,
  limit: number,
  after: ExportCursor | null,
): Promise<{ items: ExportJob[]; next: ExportCursor | null }> {
  const rows = await database.transaction({ mode: 'snapshot', tenant: orgId }, (snapshot) =>
    snapshot.query<{ cursor_at: string }>(
      `select *, created_at::text as cursor_at from export_jobs
       where org_id is not distinct from $1
         and ($2::text is null
              or $2 = case when status = 'succeeded' and expires_at <= clock_timestamp()
                           then 'expired' else status end)
         and ($3::timestamptz is null or (created_at, job_id) < ($3, $4::uuid))
       order by created_at desc, job_id desc
       limit $5`,
      [orgId, status, after?.createdAt ?? null, after?.jobId ?? null, limit + 1],
    ),
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const lastJob = last === undefined ? null : toExportJob(last);
  return {
    items: page.map(toExportJob),
    next:
      rows.length > limit && last !== undefined && lastJob !== null
        ? { createdAt: last.cursor_at, jobId: lastJob.jobId }
        : null,
  };
}

const folder = 'analytics/exports';

/** Everything below this prefix is ours. */
export const exportsPrefix = `${folder}/`;

/** Where a job's file and its manifest are kept. */
export function objectKeysOf(job: Pick<ExportJob, 'jobId' | 'orgId' | 'revision' | 'range'>): {
  file: string;
  manifest: string;
} {
  const home = `${folder}/${job.orgId ?? 'all'}`;
  return { file: `${home}/${fileStem(job)}.csv`, manifest: `${home}/${job.jobId}.manifest.json` };
}

function fileStem({ jobId, revision, range }: Pick<ExportJob, 'jobId' | 'revision' | 'range'>) {
  if (revision === null) return jobId;
  const month = new Date(range.startMs).toISOString().slice(0, 7).replace('-', '');
  return revision === 1 ? month : `${month}.r${revision}`;
}
