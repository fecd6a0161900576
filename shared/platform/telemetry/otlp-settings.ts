import { getStringFromEnv } from '@opentelemetry/core';

/** What the standard OTEL_* variables, which have a form for each signal, say of sending it. */
export type Signal = 'TRACES' | 'METRICS';
export type OtlpProtocol = 'http/json' | 'http/protobuf';

export function isSent(signal: Signal): boolean {
  return getStringFromEnv(`OTEL_${signal}_EXPORTER`) !== 'none';
}

export function otlpProtocol(signal: Signal, report: (reason: string) => void): OtlpProtocol {
  const protocol =
    getStringFromEnv(`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`) ??
    getStringFromEnv('OTEL_EXPORTER_OTLP_PROTOCOL') ??
    'http/protobuf';
  if (protocol === 'http/json' || protocol === 'http/protobuf') return protocol;
  report(`OTEL_EXPORTER_OTLP_PROTOCOL ${protocol} is not known here: http/protobuf it is`);
  return 'http/protobuf';
}
