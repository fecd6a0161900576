import { isOver } from '../expiry.ts';
import type { Queryable } from '../platform/database/db.ts';
import type { AttemptFailure } from './failure.ts';
import { type ExportJob, type ExportTotals, toExportJob } from './job.ts';

/** A job that one worker holds: whoever claims it later has another `owner`. */
export interface ClaimedJob {
  job: ExportJob;
  owner: string;
  /** The worker before let its lease run out: it died, or could not reach the database. */
  wasAbandoned: boolean;
}

/** Thrown inside an attempt whose job another worker has taken over. */
export class JobLostError extends Error {
  override name = 'JobLostError';
}

export const attemptsMax = 5;
const backoffFirstMs = 10_000;
const backoffFactor = 3;

/** How long to wait after a failed attempt: 10, 30, 90, 270 s, less up to a fifth by chance. */
export function backoffMs(attempts: number, random = Math.random()): number {
  return backoffFirstMs * backoffFactor ** (attempts - 1) * (1 - random / 5);
}

/**
 * Adds a failed attempt to the total that alerts watch, in the statement that notes it: counted
 * apart from it, one of the two could be done without the other.
 */
function countFailureOf(rows: string): string {
  return `insert into analytics.counters as c (name, value)
       select 'export_failures', 1 from ${rows}
       on conflict (name) do update set value = c.value + 1`;
}

/**
 * Claims the job that has been due longest, or null when none is due. Jobs of a worker whose lease
 * ran out are due at once. Each claim counts as an attempt, an abandoned one as a failed one.
 */
export async function claimExportJob(
  database: Queryable,
  owner: string,
  leaseMs: number,
): Promise<ClaimedJob | null> {
  const [row] = await database.query<{ was_abandoned: boolean }>(
    `with due as (
       select job_id, status from analytics.export_jobs
       where (status = 'pending' and next_attempt_at <= clock_timestamp())
          or (status = 'running' and ${isOver('lease_expires_at')})
       order by next_attempt_at, created_at
       limit 1
       for update skip locked
     ), claimed as (
       update analytics.export_jobs j
       set status = 'running', attempts = attempts + 1, lease_owner = $1,
           lease_expires_at = clock_timestamp() + make_interval(secs => $2 / 1000.0),
           started_at = clock_timestamp()
       from due
       where j.job_id = due.job_id
       returning j.*, due.status = 'running' as was_abandoned
     ), counted as (
       ${countFailureOf('claimed where was_abandoned')}
     )
     select * from claimed`,
    [owner, leaseMs],
  );
  if (row === undefined) return null;
  return { job: toExportJob(row), owner, wasAbandoned: row.was_abandoned };
}

/** @throws JobLostError when the job is no longer this worker's. */
export async function renewExportLease(
  database: Queryable,
  { job, owner }: ClaimedJob,
  leaseMs: number,
): Promise<void> {
  const renewed = await database.query(
    `update analytics.export_jobs
     set lease_expires_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
     where job_id = $1 and lease_owner = $2 and status = 'running'
     returning job_id`,
    [job.jobId, owner, leaseMs],
  );
  if (renewed.length === 0) throw jobLost(job);
}

/** A written file, as the job remembers it. */
export interface WrittenExport {
  objectKey: string;
  objectEtag: string;
  rowCount: number;
  bytes: number;
  checksum: string;
  totals: ExportTotals;
  completeThrough: Date | null;
}

/** @throws JobLostError when the job is no longer this worker's: its file is not the job's. */
export async function completeExportJob(
  database: Queryable,
  { job, owner }: ClaimedJob,
  written: WrittenExport,
  retentionDays: number,
): Promise<void> {
  const completed = await database.query(
    `update analytics.export_jobs
     set status = 'succeeded', lease_owner = null, lease_expires_at = null, error = null,
         error_reason = null,
         completed_at = clock_timestamp(),
         expires_at = clock_timestamp() + make_interval(days => $3),
         object_key = $4, object_etag = $5, row_count = $6, bytes = $7, checksum = $8,
         totals = $9, complete_through = $10
     where job_id = $1 and lease_owner = $2 and status = 'running'
     returning job_id`,
    [
      job.jobId,
      owner,
      retentionDays,
      written.objectKey,
      written.objectEtag,
      written.rowCount,
      written.bytes,
      written.checksum,
      JSON.stringify(written.totals),
      written.completeThrough,
    ],
  );
  if (completed.length === 0) throw jobLost(job);
}

/**
 * Notes a failed attempt: the job waits for its next one, or has failed for good after five, or
 * at once where trying again cannot help. A claim beyond the fifth, of a job whose workers all
 * died, was no attempt and is not counted as one.
 *
 * @returns what became of the job; null when it was no longer this worker's
 */
export async function failExportAttempt(
  database: Queryable,
  { job, owner }: ClaimedJob,
  { told, reason }: AttemptFailure,
  canRetry: boolean,
): Promise<'retrying' | 'failed' | null> {
  const isOver = !canRetry || job.attempts >= attemptsMax;
  const noted = await database.query(
    `with noted as (
       update analytics.export_jobs
       set status = case when $3 then 'failed' else 'pending' end, error = $4,
           error_reason = $8, attempts = least(attempts, $6), lease_owner = null, lease_expires_at = null,
           completed_at = case when $3 then clock_timestamp() end,
           next_attempt_at = clock_timestamp() + make_interval(secs => $5 / 1000.0)
       where job_id = $1 and lease_owner = $2 and status = 'running'
       returning job_id
     ), counted as (
       ${countFailureOf('noted where $7')}
     )
     select * from noted`,
    [
      job.jobId,
      owner,
      isOver,
      told,
      backoffMs(job.attempts),
      attemptsMax,
      job.attempts <= attemptsMax,
      reason,
    ],
  );
  if (noted.length === 0) return null;
  return isOver ? 'failed' : 'retrying';
}

/** Gives a job back untried, for a worker that is told to stop. */
export async function releaseExportJob(
  database: Queryable,
  { job, owner }: ClaimedJob,
): Promise<void> {
  await database.query(
    `update analytics.export_jobs
     set status = 'pending', attempts = attempts - 1, lease_owner = null, lease_expires_at = null,
         next_attempt_at = clock_timestamp()
     where job_id = $1 and lease_owner = $2 and status = 'running'`,
    [job.jobId, owner],
  );
}

function jobLost({ jobId }: ExportJob): JobLostError {
  return new JobLostError(`the lease of export ${jobId} is another worker's by now`);
}
