import type { Job } from '../answers.ts';
import { factsText } from '../table.ts';

/** Everything about an export, for people. */
export function jobText(job: Job, nameOf: (modelId: string) => string): string {
  return factsText({
    export: job.jobId,
    org: job.orgId ?? 'all',
    status: job.error === null ? job.status : `${job.status}: ${job.error}`,
    window: windowText(job),
    contents: `${job.granularity} ${job.format}, ${job.timezone}`,
    models: job.models === null ? 'all' : job.models.map(nameOf).join(', '),
    'asked for': `${job.createdAt} by ${job.initiatedBy}`,
    attempts: job.attempts,
    completed: job.completedAt,
    expires: job.expiresAt,
    'complete through': job.completeThrough,
    rows: job.rowCount,
    bytes: job.bytes,
    'SHA-256': job.checksum,
    invocations: job.totals?.invocations ?? null,
    'cost (cents)': job.totals?.costEstimateCents ?? null,
  });
}

export function windowText({ timeRange: { start, end } }: Job): string {
  return `${start} to ${end}`;
}
