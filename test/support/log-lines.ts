import { readSettings } from '../../shared/platform/env.ts';
import { createLogger, type Logger } from '../../shared/platform/telemetry/telemetry.ts';

export type LogLine = Record<string, unknown>;

export interface LogLines {
  logger: Logger;
  /** Everything written, as it was written. */
  text(): string;
  /** The lines of one message. */
  saying(message: string): LogLine[];
  all(): LogLine[];
}

/** The service's own logger, into memory. */
export function logLines(environment: Record<string, string> = {}): LogLines {
  const written: string[] = [];
  const settings = readSettings({ LOG_LEVEL: 'trace', ...environment });
  const all = () => written.map((line) => JSON.parse(line));
  return {
    logger: createLogger(settings, 'test', { write: (line) => void written.push(line) }),
    text: () => written.join(''),
    all,
    saying: (message) => all().filter(({ msg }) => msg === message),
  };
}
