import { DiagLogLevel, diag } from '@opentelemetry/api';
import { getBooleanFromEnv, setGlobalErrorHandler } from '@opentelemetry/core';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import type { Registry } from 'prom-client';
import { within } from '../deadline.ts';
import { messageOf } from '../errors.ts';
import { version } from '../version.ts';
import { schemaUrl } from './conventions.ts';
import { startMetricExport } from './metrics-sdk.ts';
import { isSent, otlpProtocol } from './otlp-settings.ts';
import { startSpanExport } from './tracing-sdk.ts';

export interface SdkOptions {
  /** What it is about; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count before it. */
  resource: Record<string, string>;
  /** Whose metrics are sent; null where the process keeps none. */
  registry: Registry | null;
  /** Told what goes wrong with sending, at most once a minute. */
  onFault: (reason: string) => void;
}

const faultEveryMs = 60_000;
/** An endpoint that is away must not keep a process from ending. */
const flushMaxMs = 3_000;

/**
 * Starts OpenTelemetry's SDK: spans and metrics go to the OTLP endpoint in the background, and what
 * cannot be sent is dropped. Endpoint, headers, sampler, limits and the rest are the standard OTEL_*
 * variables. Nothing but `startTelemetry` imports this: it would double a cold start.
 *
 * @returns how to send what is left and stop
 */
export async function startSdk(options: SdkOptions): Promise<() => Promise<void>> {
  if (getBooleanFromEnv('OTEL_SDK_DISABLED')) return async () => {};
  const { registry } = options;
  const report = seldom(faultEveryMs, options.onFault);
  const silent = () => {};
  diag.setLogger(
    { verbose: silent, debug: silent, info: silent, warn: report, error: report },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler((error) => report(messageOf(error)));
  // The default has telemetry.sdk.*: which library tells this.
  const resource = defaultResource()
    .merge(
      resourceFromAttributes({ 'service.version': version, ...options.resource }, { schemaUrl }),
    )
    .merge(detectResources({ detectors: [envDetector] }));
  const stops: (() => Promise<void>)[] = [];
  if (isSent('TRACES')) stops.push(await startSpanExport(resource, otlpProtocol('TRACES', report)));
  if (isSent('METRICS') && registry !== null) {
    stops.push(await startMetricExport(resource, registry, otlpProtocol('METRICS', report)));
  }
  return async () => {
    const stopping = Promise.all(stops.map((stop) => stop()));
    await within(flushMaxMs, stopping, 'the OTLP endpoint does not answer').catch(
      (error: unknown) => report(messageOf(error)),
    );
    diag.disable();
  };
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
