import { pino } from 'pino';
import * as z from 'zod';
import type { Settings } from '../../shared/platform/env.ts';
import type { Logger } from '../../shared/platform/telemetry/telemetry.ts';

/** An audit line, exactly as the contract has it. */
export const auditLine = z.strictObject({
  timestamp: z.iso.datetime(),
  subject: z.string().nullable(),
  roles: z.array(z.string()),
  action: z.string(),
  orgId: z.string().nullable(),
  allowed: z.boolean(),
  reason: z.string().min(1),
  requestId: z.string(),
  crossOrg: z.literal(true).optional(),
});
export type AuditLine = z.output<typeof auditLine>;

export interface AuditLog {
  logger: Logger;
  /** The audit lines of a request, each checked against the contract. */
  of(requestId: string): AuditLine[];
}

/** A real logger whose lines a test can read. */
export function auditLog(level: Settings['LOG_LEVEL'] = 'info'): AuditLog {
  const lines: Record<string, unknown>[] = [];
  return {
    logger: pino({ level }, { write: (line: string) => lines.push(JSON.parse(line)) }),
    of: (requestId) =>
      lines
        .filter((line) => line.requestId === requestId && 'audit' in line)
        .map((line) => auditLine.parse(line.audit)),
  };
}
