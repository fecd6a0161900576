import { SpanKind } from '@opentelemetry/api';
import { within } from '../platform/deadline.ts';
import { activeTrace, inSpan } from '../platform/telemetry/tracing.ts';
import type { ExportJob } from './job.ts';

export const exportRequestedType = 'ai.analytics.export.requested.v1';
const source = '/analytics/exports';

/** Tells a worker that a job waits. Best effort: the schedule finds every job. */
export type AnnounceExport = (job: ExportJob) => Promise<void>;

/** The caller of the API waits meanwhile. */
const answerMaxMs = 500;

/**
 * Sends a CloudEvent in binary mode to the sink that the platform configured (`K_SINK`), with the
 * active trace in its extension for distributed tracing, which brokers leave as it is, and in the
 * request's own headers.
 *
 * @throws Error when the sink does not take it in time.
 */
export function announceTo(sink: string): AnnounceExport {
  return ({ jobId, orgId }) => {
    const attributes = {
      'cloudevents.event_id': jobId,
      'cloudevents.event_source': source,
      'cloudevents.event_type': exportRequestedType,
      'cloudevents.event_spec_version': '1.0',
      'cloudevents.event_subject': orgId ?? 'all',
    };
    const name = `CloudEvents Create ${exportRequestedType}`;
    return inSpan(name, { kind: SpanKind.PRODUCER, attributes }, async () => {
      const response = await within(
        answerMaxMs,
        post(sink, jobId, orgId),
        'the sink does not answer',
      );
      await response.body?.cancel();
      if (!response.ok) throw new Error(`the sink answered ${response.status}`);
    });
  };
}

function post(sink: string, jobId: string, orgId: string | null): Promise<Response> {
  const trace = Object.entries(activeTrace() ?? {});
  return fetch(sink, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'ce-specversion': '1.0',
      'ce-type': exportRequestedType,
      'ce-source': source,
      'ce-id': jobId,
      'ce-subject': orgId ?? 'all',
      'ce-time': new Date().toISOString(),
      ...Object.fromEntries(
        trace.flatMap(([name, value]) => [
          [name, value],
          [`ce-${name}`, value],
        ]),
      ),
    },
    body: JSON.stringify({ jobId, orgId }),
    signal: AbortSignal.timeout(10 * answerMaxMs),
  });
}
