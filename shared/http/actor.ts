import type { Context, MiddlewareHandler } from 'hono';
import { type AccessRequest, type Actor, decide, roles } from '../access.ts';
import type { Settings } from '../platform/env.ts';
import { ServiceError } from '../platform/errors.ts';
import { audit } from './audit.ts';
import type { AppEnv } from './context.ts';
import { gatewayActor } from './gateway-actor.ts';
import { limitRate } from './rate-limit.ts';
import { tokenActor } from './token-actor.ts';

/** What an app has before routes that ask who is there: who it is, and whether too often. */
export function actorsOf(settings: Settings): MiddlewareHandler<AppEnv>[] {
  return [identifyActor(settings), limitRate(settings.RATE_LIMIT_PER_MINUTE)];
}

/**
 * Finds out who asks: in gateway mode by the gateway's headers alone, in jwt mode by the bearer
 * token alone. What belongs to the other mode counts for nothing. Refuses nobody, as some routes are
 * open to all.
 */
function identifyActor(settings: Settings): MiddlewareHandler<AppEnv> {
  const identify = settings.AUTH_MODE === 'jwt' ? tokenActor(settings) : gatewayActor(settings);
  return async function identifyActor(context, next) {
    context.set('actor', await identify(context));
    await next();
  };
}

/** Decides on requests and writes the audit line of each decision. */
export interface Access {
  /**
   * Lets the request's actor through, or refuses. Exactly one audit line either way.
   *
   * @throws ServiceError `forbidden` without the right; why there is no actor, where there is none:
   * `unauthenticated`, `invalid_token`, or `unavailable` while the issuer's keys are.
   */
  authorize(context: Context<AppEnv>, request: AccessRequest): Actor;
}

/** Where checks are off everyone may do what an admin may. */
function unchecked(actor: Actor | undefined): Actor {
  return { orgs: [], ...actor, subject: actor?.subject ?? 'anonymous', roles: [roles.admin] };
}

export function createAccess(settings: Pick<Settings, 'ENABLE_RBAC'>): Access {
  return {
    authorize(context, request) {
      const identity = context.var.actor;
      const actor = identity instanceof ServiceError ? undefined : identity;
      const { action, orgId } = request;
      const note = (allowed: boolean, reason: string, crossOrg = false) =>
        audit(context, { actor, action, orgId, allowed, reason, crossOrg });
      if (!settings.ENABLE_RBAC) {
        note(true, 'RBAC is off');
        return unchecked(actor);
      }
      if (identity instanceof ServiceError) {
        note(false, identity.message);
        throw identity;
      }
      const { allowed, reason, crossOrg } = decide(identity, request);
      note(allowed, reason, crossOrg);
      if (!allowed) throw new ServiceError('forbidden', reason);
      return identity;
    },
  };
}
