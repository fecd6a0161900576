import { type Span, SpanKind } from '@opentelemetry/api';
import { inSpan, isTracing, linksTo, type TraceHeaders } from '../platform/telemetry/tracing.ts';
import type { IngestBatch, IngestResult } from './ingest.ts';

/**
 * A batch on its way into the database, as a span that links to where each of its messages was
 * made. Its own context is stored with the batch (see `ingest`), and the fold links to that: one
 * goes from a publish to the aggregate link by link.
 *
 * Where every message comes from one context, and only then, that one is the span's parent too: the
 * whole way is one trace. The conventions ask for the links, and allow the parent where no other
 * span is active, which a consumer's loop never has:
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/#consumer-spans
 *
 * @param origins one for each message; read only while there is an SDK to tell
 */
export function inBatchSpan(
  batch: Pick<IngestBatch, 'stream' | 'events' | 'rejected' | 'position'>,
  origins: Iterable<TraceHeaders | undefined>,
  store: () => Promise<IngestResult>,
): Promise<IngestResult> {
  if (!isTracing()) return store();
  const { stream, rejected, position } = batch;
  const all = [...origins];
  const [first] = all;
  const isOneTrace = all.every((origin) => origin?.traceparent === first?.traceparent);
  const options = {
    // Without a stream the batch is part of the request that brought it.
    kind: position === null ? SpanKind.INTERNAL : SpanKind.CONSUMER,
    attributes:
      position === null
        ? {}
        : {
            'messaging.system': 'rabbitmq',
            'messaging.operation.name': 'process',
            'messaging.operation.type': 'process',
            'messaging.destination.name': stream,
            'messaging.batch.message_count': all.length,
          },
    links: linksTo(all.filter((origin) => origin !== undefined)),
  };
  const work = async (span: Span) => {
    const result = await store();
    describeResult(span, batch.events, rejected, result);
    return result;
  };
  const parent = position !== null && isOneTrace ? first : undefined;
  const name = position === null ? 'store batch' : `process ${stream}`;
  return inSpan(name, options, work, parent);
}

function describeResult(
  span: Span,
  events: IngestBatch['events'],
  rejected: number,
  { batchId, stored, duplicates, conflicts }: IngestResult,
): void {
  if (!span.isRecording()) return;
  let inputTokens = 0;
  let outputTokens = 0;
  for (const event of events) {
    inputTokens += event.inputTokens;
    outputTokens += event.outputTokens;
  }
  const [model] = events;
  const isOneModel = events.every(({ modelId }) => modelId === model?.modelId);
  span.setAttributes({
    'analytics.batch.id': batchId,
    'analytics.batch.stored': stored,
    'analytics.batch.duplicates': duplicates,
    'analytics.batch.conflicts': conflicts,
    'analytics.batch.rejected': rejected,
    'gen_ai.usage.input_tokens': inputTokens,
    'gen_ai.usage.output_tokens': outputTokens,
    // A batch of many models has no one name to give.
    ...(isOneModel && model !== undefined ? { 'gen_ai.request.model': model.modelId } : {}),
  });
}
