import { context, DiagLogLevel, diag, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  getBooleanFromEnv,
  getStringFromEnv,
  setGlobalErrorHandler,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { within } from './deadline.ts';
import { messageOf } from './errors.ts';

export interface SdkOptions {
  /** What the spans are about; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count before it. */
  resource: Record<string, string>;
  /** Told what goes wrong with sending, at most once a minute. */
  onFault: (reason: string) => void;
}

const faultEveryMs = 60_000;
/** An endpoint that is away must not keep a process from ending. */
const flushMaxMs = 3_000;

/**
 * Registers the OpenTelemetry SDK: spans go to the OTLP endpoint in the background, 2,048 wait at
 * most, and what cannot be sent is dropped. Endpoint, headers, sampler, limits and the rest are the
 * standard OTEL_* variables, which the SDK reads by itself. Nothing but `startTracing` imports this:
 * it would double a cold start.
 *
 * @returns how to send what is left and stop
 */
export async function startSdk({ resource, onFault }: SdkOptions): Promise<() => Promise<void>> {
  if (getBooleanFromEnv('OTEL_SDK_DISABLED')) return async () => {};
  const report = seldom(faultEveryMs, onFault);
  const silent = () => {};
  diag.setLogger(
    { verbose: silent, debug: silent, info: silent, warn: report, error: report },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler((error) => report(messageOf(error)));
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes(resource).merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(await openExporter(report))],
  });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  return async () => {
    await within(flushMaxMs, provider.shutdown(), 'the OTLP endpoint does not answer').catch(
      (error: unknown) => report(messageOf(error)),
    );
    trace.disable();
    context.disable();
    propagation.disable();
    diag.disable();
  };
}

async function openExporter(report: (reason: string) => void) {
  const protocol =
    getStringFromEnv('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') ??
    getStringFromEnv('OTEL_EXPORTER_OTLP_PROTOCOL') ??
    'http/protobuf';
  if (protocol === 'http/json') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
    return new OTLPTraceExporter();
  }
  if (protocol !== 'http/protobuf') {
    report(`OTEL_EXPORTER_OTLP_PROTOCOL ${protocol} is not known here: http/protobuf it is`);
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter();
}

function seldom(everyMs: number, report: (reason: string) => void): (reason: string) => void {
  let againAtMs = 0;
  return (reason) => {
    const nowMs = performance.now();
    if (nowMs < againAtMs) return;
    againAtMs = nowMs + everyMs;
    report(reason);
  };
}
