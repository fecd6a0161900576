import type { Context } from 'hono';
import { type Actor, type AuditLine, orgText } from '../access.ts';
import type { Logger } from '../platform/telemetry/telemetry.ts';
import type { AppEnv } from './context.ts';

/** What was decided on a request, and of whom. */
export interface AuditedDecision {
  /** Undefined where nobody is known to ask, or not yet. */
  actor: Actor | undefined;
  action: string;
  orgId: string | null;
  allowed: boolean;
  reason: string;
  crossOrg?: boolean;
}

/** Writes the audit line of a decision. */
export function audit(context: Context<AppEnv>, decision: AuditedDecision): void {
  const { actor, action, orgId, allowed, reason, crossOrg = false } = decision;
  const line: AuditLine = {
    timestamp: new Date().toISOString(),
    subject: actor?.subject ?? null,
    roles: actor?.roles ?? [],
    action,
    orgId: orgId === null ? null : orgText(orgId),
    allowed,
    reason,
    requestId: context.var.requestId,
    ...(crossOrg ? { crossOrg: true } : {}),
  };
  auditLogger(context).info({ audit: line }, 'access decision');
}

/** A level that hides information must not hide who was let in. */
function auditLogger({ var: { logger } }: Context<AppEnv>): Logger {
  return logger.level === 'silent' ? logger : logger.child({}, { level: 'info' });
}
