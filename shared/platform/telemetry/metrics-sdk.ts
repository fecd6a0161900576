import { getNumberFromEnv } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import type { Registry } from 'prom-client';
import type { OtlpProtocol } from './otlp-settings.ts';
import { registryProducer } from './registry-producer.ts';

/** OpenTelemetry's own defaults. */
const exportEveryMs = 60_000;
const exportMaxMs = 30_000;

/**
 * Sends what a registry holds, every minute or OTEL_METRIC_EXPORT_INTERVAL, and once more at the
 * end: a function that lives for seconds between two scrapes is counted all the same. Nothing is
 * measured twice, as the numbers are those that are kept for Prometheus.
 *
 * @returns how to send the last numbers and stop
 */
export async function startMetricExport(
  resource: Resource,
  registry: Registry,
  protocol: OtlpProtocol,
): Promise<() => Promise<void>> {
  const everyMs = msFromEnv('OTEL_METRIC_EXPORT_INTERVAL', exportEveryMs);
  const reader = new PeriodicExportingMetricReader({
    exporter: await openExporter(protocol),
    exportIntervalMillis: everyMs,
    // The reader refuses one that is longer than the interval.
    exportTimeoutMillis: Math.min(msFromEnv('OTEL_METRIC_EXPORT_TIMEOUT', exportMaxMs), everyMs),
    metricProducers: [registryProducer(registry)],
  });
  const provider = new MeterProvider({ resource, readers: [reader] });
  return () => provider.shutdown();
}

async function openExporter(protocol: OtlpProtocol) {
  const { OTLPMetricExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-metrics-otlp-http')
      : await import('@opentelemetry/exporter-metrics-otlp-proto');
  return new OTLPMetricExporter();
}

function msFromEnv(name: string, fallbackMs: number): number {
  const ms = getNumberFromEnv(name) ?? fallbackMs;
  return ms > 0 ? ms : fallbackMs;
}
