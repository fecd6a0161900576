import { within } from './deadline.ts';
import type { ExportJob } from './export-job.ts';

export const exportRequestedType = 'ai.analytics.export.requested.v1';

/** Tells a worker that a job waits. Best effort: the schedule finds every job. */
export type AnnounceExport = (job: ExportJob) => Promise<void>;

/** The caller of the API waits meanwhile. */
const answerMaxMs = 500;

/**
 * Sends a CloudEvent in binary mode to the sink that the platform configured (`K_SINK`).
 *
 * @throws Error when the sink does not take it in time.
 */
export function announceTo(sink: string): AnnounceExport {
  return async ({ jobId, orgId }) => {
    const response = await within(
      answerMaxMs,
      fetch(sink, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'ce-specversion': '1.0',
          'ce-type': exportRequestedType,
          'ce-source': '/analytics/exports',
          'ce-id': jobId,
          'ce-subject': orgId ?? 'all',
          'ce-time': new Date().toISOString(),
        },
        body: JSON.stringify({ jobId, orgId }),
        signal: AbortSignal.timeout(10 * answerMaxMs),
      }),
      'the sink does not answer',
    );
    await response.body?.cancel();
    if (!response.ok) throw new Error(`the sink answered ${response.status}`);
  };
}
