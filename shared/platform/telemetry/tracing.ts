import {
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { ServiceError } from '../errors.ts';
import { version } from '../version.ts';
import { schemaUrl } from './conventions.ts';

/**
 * Spans and their contexts, by OpenTelemetry's API alone: what is done here does nothing, at next
 * to no cost, until `startTelemetry` (telemetry.ts) has loaded an SDK.
 */

/** Where a trace goes on, as W3C Trace Context writes it: in messages, CloudEvents and requests. */
export interface TraceHeaders {
  traceparent: string;
  tracestate?: string;
}

const tracer = () =>
  trace.getTracerProvider().getTracer('analytics-service', version, { schemaUrl });
/** The SDK's own default; more would be dropped there. */
const linksMax = 128;

/** Whether an SDK runs: only then are headers worth reading. */
export function isTracing(): boolean {
  return propagation.fields().length > 0;
}

/**
 * Runs work in a span, which ends with it. What it throws is noted, of a ServiceError the message
 * too: other messages may hold values.
 *
 * @param parent where the trace goes on; else it is the active span's, or a new one
 */
export function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
  parent?: TraceHeaders,
): Promise<T> {
  const from = parent === undefined ? context.active() : propagation.extract(ROOT_CONTEXT, parent);
  return tracer().startActiveSpan(name, options, from, async (span) => {
    try {
      return await work(span);
    } catch (error) {
      noteError(span, error);
      throw error;
    } finally {
      span.end();
    }
  });
}

/** A span that is only described when there is one to be made. */
export interface SpanDescription extends SpanOptions {
  name: string;
}

/**
 * A call to another server as a span of its own. Only within a trace: probes and the consumer's
 * idle rounds would be traces of one span each, thousands a day.
 */
export function inClientSpan<T>(
  describe: () => SpanDescription,
  work: () => Promise<T>,
): Promise<T> {
  if (!isTraced()) return work();
  const { name, ...options } = describe();
  return inSpan(name, { kind: SpanKind.CLIENT, ...options }, work);
}

/** As `inClientSpan`, for an answer that comes piece by piece. */
export async function* clientSpanOver<T>(
  describe: () => SpanDescription,
  pieces: AsyncIterable<T>,
): AsyncGenerator<T, void, void> {
  if (!isTraced()) return yield* pieces;
  const { name, ...options } = describe();
  const span = tracer().startSpan(name, { kind: SpanKind.CLIENT, ...options });
  try {
    yield* pieces;
  } catch (error) {
    noteError(span, error);
    throw error;
  } finally {
    span.end();
  }
}

function isTraced(): boolean {
  return trace.getActiveSpan()?.isRecording() === true;
}

function noteError(span: Span, error: unknown): void {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const name = error instanceof Error ? error.name : typeof error;
  span.setAttribute('error.type', typeof code === 'string' ? code : name);
  span.setStatus({
    code: SpanStatusCode.ERROR,
    ...(error instanceof ServiceError ? { message: error.message } : {}),
  });
}

/** The active span's context, to be sent along; undefined where there is none. */
export function activeTrace(): TraceHeaders | undefined {
  const carrier: Record<string, unknown> = {};
  propagation.inject(context.active(), carrier);
  return traceIn(carrier);
}

const traceparentForm = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const tracestateMaxLength = 512;

/** The trace context among headers or attributes. A malformed one counts as none, by the standard. */
export function traceIn(headers: Readonly<Record<string, unknown>>): TraceHeaders | undefined {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string' || !traceparentForm.test(traceparent)) return undefined;
  return typeof tracestate === 'string' && tracestate.length <= tracestateMaxLength
    ? { traceparent, tracestate }
    : { traceparent };
}

/**
 * A link to each distinct context, at most 128: those that are sampled first, since only they lead
 * anywhere. None without an SDK; then the contexts are not even asked for.
 */
export function linksTo(contexts: Iterable<TraceHeaders>): Link[] {
  if (!isTracing()) return [];
  const distinct = new Map<string, TraceHeaders>();
  for (const headers of contexts) distinct.set(headers.traceparent, headers);
  const all = [...distinct.values()];
  return [...all.filter(isSampled), ...all.filter((headers) => !isSampled(headers))]
    .slice(0, linksMax)
    .flatMap((headers) => {
      const linked = trace.getSpanContext(propagation.extract(ROOT_CONTEXT, headers));
      return linked === undefined ? [] : [{ context: linked }];
    });
}

function isSampled({ traceparent }: TraceHeaders): boolean {
  return (Number.parseInt(traceparent.slice(-1), 16) & 1) === 1;
}
