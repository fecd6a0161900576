import type { Database } from '../platform/database/db.ts';
import type { ObjectStore } from '../platform/object-store/object-store.ts';
import { type ExportJob, exportsPrefix, objectKeysOf, toExportJob } from './job.ts';

const jobsPerRun = 200;
/** No upload of ours takes that long: whoever began it is dead. */
const uploadMaxMs = 24 * 3_600_000;
/** An expired or failed job is still listed for as long as the events it was about are kept. */
const jobsKeptDays = 400;

/**
 * Removes the files of exports past their time, then says so in their jobs: in this order, so that
 * a file is never left behind. At most 200 of them; the rest goes the next time.
 *
 * @returns how many expired
 */
export async function expireExports(database: Database, store: ObjectStore): Promise<number> {
  const rows = await database.query(
    `select * from analytics.export_jobs
     where status = 'succeeded' and expires_at < clock_timestamp()
     order by expires_at
     limit $1`,
    [jobsPerRun],
  );
  const jobs = rows.map(toExportJob);
  if (jobs.length > 0) {
    await store.delete(jobs.flatMap(filesOf));
    await database.query(
      `update analytics.export_jobs set status = 'expired'
       where job_id = any($1::uuid[]) and status = 'succeeded'`,
      [jobs.map(({ jobId }) => jobId)],
    );
  }
  await database.query(
    `delete from analytics.export_jobs
     where status in ('expired', 'failed')
       and created_at < clock_timestamp() - make_interval(days => $1)`,
    [jobsKeptDays],
  );
  return jobs.length;
}

/** Ends uploads that nobody will complete; stores bill for their parts. */
export async function endStaleUploads(store: ObjectStore, nowMs: number): Promise<number> {
  return store.abortUploads(exportsPrefix, new Date(nowMs - uploadMaxMs));
}

function filesOf(job: ExportJob): string[] {
  const { file, manifest } = objectKeysOf(job);
  return [job.objectKey ?? file, manifest];
}
