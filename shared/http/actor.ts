import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { type AccessRequest, type Actor, type AuditLine, decide, roles } from '../access.ts';
import type { Settings } from '../env.ts';
import { ServiceError } from '../errors.ts';
import type { Logger } from '../telemetry.ts';
import type { AppEnv } from './context.ts';

export type AccessSettings = Pick<Settings, 'ENABLE_RBAC' | 'AUTH_MODE' | 'GATEWAY_SHARED_SECRET'>;

/** Reads the headers that the gateway sets once it knows who is asking. */
export function identifyActor(settings: AccessSettings): MiddlewareHandler<AppEnv> {
  return async function identifyActor(context, next) {
    const { actor, fault } = gatewayActor(context, settings);
    context.set('actor', actor);
    context.set('actorFault', fault);
    await next();
  };
}

function gatewayActor(
  context: Context<AppEnv>,
  { GATEWAY_SHARED_SECRET: secret }: AccessSettings,
): { actor: Actor | null; fault: string } {
  if (secret !== undefined && !sameSecret(context.req.header('X-Gateway-Secret') ?? '', secret)) {
    return { actor: null, fault: 'X-Gateway-Secret is missing or wrong' };
  }
  const subject = context.req.header('X-Actor-Subject')?.trim();
  if (!subject) return { actor: null, fault: 'the header X-Actor-Subject is missing' };
  return {
    actor: {
      subject,
      roles: list(context.req.header('X-Actor-Roles')),
      orgs: list(context.req.header('X-Actor-Orgs')).map((org) => org.toLowerCase()),
    },
    fault: '',
  };
}

function list(header: string | undefined): string[] {
  return (header ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** In constant time: hashes have the same length whatever was sent. */
function sameSecret(given: string, expected: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(expected));
}

/** Decides on requests and writes the audit line of each decision. */
export interface Access {
  /**
   * Lets the request's actor through, or refuses. Exactly one audit line either way.
   *
   * @throws ServiceError `unauthenticated` without an actor, `forbidden` without the right.
   */
  authorize(context: Context<AppEnv>, request: AccessRequest): Actor;
}

/** A level that hides information must not hide who was let in. */
function auditLogger({ var: { logger } }: Context<AppEnv>): Logger {
  return logger.level === 'silent' ? logger : logger.child({}, { level: 'info' });
}

/** Where checks are off everyone may do what an admin may. */
function unchecked(actor: Actor | null): Actor {
  return { orgs: [], ...actor, subject: actor?.subject ?? 'anonymous', roles: [roles.admin] };
}

export function createAccess(settings: AccessSettings): Access {
  return {
    authorize(context, request) {
      const { actor } = context.var;
      const audit = (allowed: boolean, reason: string, crossOrg = false) => {
        const line: AuditLine = {
          timestamp: new Date().toISOString(),
          subject: actor?.subject ?? null,
          roles: actor?.roles ?? [],
          action: request.action,
          orgId: request.orgId,
          allowed,
          reason,
          requestId: context.var.requestId,
          ...(crossOrg ? { crossOrg: true } : {}),
        };
        auditLogger(context).info({ audit: line }, 'access decision');
      };
      if (!settings.ENABLE_RBAC) {
        audit(true, 'RBAC is off');
        return unchecked(actor);
      }
      if (actor === null) {
        audit(false, context.var.actorFault);
        throw new ServiceError('unauthenticated', context.var.actorFault);
      }
      const { allowed, reason, crossOrg } = decide(actor, request);
      audit(allowed, reason, crossOrg);
      if (!allowed) throw new ServiceError('forbidden', reason);
      return actor;
    },
  };
}
