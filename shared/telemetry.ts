import { type Attributes, SpanStatusCode, trace } from '@opentelemetry/api';
import { type Logger as PinoLogger, pino } from 'pino';
import type { Settings } from './env.ts';
import { messageOf } from './errors.ts';

export type Logger = PinoLogger;

/**
 * JSON lines on standard output, each with the service, the function and, in a span, the trace.
 * Where one process runs several functions, each names itself in a child.
 */
export function createLogger(
  settings: Pick<Settings, 'SERVICE_NAME' | 'LOG_LEVEL'>,
  functionName?: string,
): Logger {
  return pino({
    level: settings.LOG_LEVEL,
    base: {
      service: settings.SERVICE_NAME,
      ...(functionName === undefined ? {} : { function: functionName }),
    },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    mixin: () => {
      const traceId = trace.getActiveSpan()?.spanContext().traceId;
      return traceId === undefined ? {} : { traceId };
    },
  });
}

/** Runs work in a span. Without an OpenTelemetry SDK this costs next to nothing. */
export function inSpan<T>(
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  return trace
    .getTracer('analytics-service')
    .startActiveSpan(name, { attributes }, async (span) => {
      try {
        return await work();
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
        throw error;
      } finally {
        span.end();
      }
    });
}
