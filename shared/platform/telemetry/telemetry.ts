import { randomUUID } from 'node:crypto';
import { trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';
import type { Registry } from 'prom-client';
import type { Settings } from '../env.ts';
import { lineBounds } from './line-bounds.ts';
import { redactor } from './redaction.ts';

export type Logger = PinoLogger;

/**
 * JSON lines on standard output, each with the service, the function and, in a span, the trace;
 * without secrets, and of bounded length. Where one process runs several functions, each names itself in a child.
 *
 * @param destination for tests that read the lines
 */
export function createLogger(
  settings: Pick<Settings, 'SERVICE_NAME' | 'LOG_LEVEL'> & Partial<Settings>,
  functionName?: string,
  destination: DestinationStream = pino.destination(1),
): Logger {
  const clean = redactor(settings);
  return pino(
    {
      level: settings.LOG_LEVEL,
      base: {
        service: settings.SERVICE_NAME,
        ...(functionName === undefined ? {} : { function: functionName }),
      },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: lineBounds(clean) },
      hooks: { streamWrite: clean },
      mixin: () => {
        const traceId = trace.getActiveSpan()?.spanContext().traceId;
        return traceId === undefined ? {} : { traceId };
      },
    },
    destination,
  );
}

/**
 * Sends spans, and what the registry holds, to `OTEL_EXPORTER_OTLP_ENDPOINT`. Without one nothing
 * happens, and nothing of the SDK is even loaded.
 *
 * @param registry the process's metrics; null where it keeps none
 * @returns how to send what is left, in 3 s at most, and stop
 */
export async function startTelemetry(
  settings: Settings,
  functionName: string,
  logger: Logger,
  registry: Registry | null,
): Promise<() => Promise<void>> {
  if (settings.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return async () => {};
  const { startSdk } = await import('./telemetry-sdk.ts');
  return startSdk({
    resource: {
      'service.name': settings.SERVICE_NAME,
      'deployment.environment.name': settings.ENVIRONMENT,
      'faas.name': functionName,
      // Replicas count each for itself.
      'service.instance.id': randomUUID(),
    },
    registry,
    onFault: (reason) => logger.warn({ reason }, 'telemetry is lost'),
  });
}
