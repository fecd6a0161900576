import { type ExportJob, granularityNames, totalsAnswer } from '../../shared/exports/job.ts';
import { localTime } from '../../shared/queries/time-window.ts';

/** A job as the API tells it, and where it is found. */
export function jobAnswer(job: ExportJob): { self: string; job: object } {
  const home = job.orgId === null ? '' : `/orgs/${job.orgId}`;
  const self = `/analytics/v1${home}/exports/${job.jobId}`;
  const time = (at: Date | null) => at?.toISOString() ?? null;
  return {
    self,
    job: {
      jobId: job.jobId,
      orgId: job.orgId,
      status: job.status,
      granularity: granularityNames[job.granularity],
      timezone: job.timezone,
      models: job.models,
      format: job.format,
      timeRange: {
        start: localTime(job.range.startMs, job.timezone),
        end: localTime(job.range.endMs, job.timezone),
      },
      createdAt: time(job.createdAt),
      startedAt: time(job.startedAt),
      completedAt: time(job.completedAt),
      expiresAt: time(job.expiresAt),
      completeThrough: time(job.completeThrough),
      rowCount: job.rowCount,
      bytes: job.bytes,
      checksum: job.checksum,
      totals: job.totals === null ? null : totalsAnswer(job.totals),
      outputUri: job.status === 'succeeded' ? `${self}/download` : null,
      error: job.error,
      attempts: job.attempts,
      initiatedBy: job.initiatedBy,
    },
  };
}
