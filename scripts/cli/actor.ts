import { roles } from '../../shared/access.ts';

/** Who asks: named as the gateway would, or by a token that says so itself. */
export type Actor =
  | {
      kind: 'gateway';
      subject: string;
      roles: readonly string[];
      orgs: readonly string[];
      /** For X-Gateway-Secret; null where the service asks for none. */
      secret: string | null;
    }
  | { kind: 'token'; token: string };

/** What it takes to do all that is checked, and no more. */
export const tenantRoles = Object.values(roles).filter((role) => role !== roles.admin);

export function actorHeaders(actor: Actor): Record<string, string> {
  if (actor.kind === 'token') return { Authorization: `Bearer ${actor.token}` };
  return {
    'X-Actor-Subject': actor.subject,
    'X-Actor-Roles': actor.roles.join(','),
    'X-Actor-Orgs': actor.orgs.join(','),
    ...(actor.secret === null ? {} : { 'X-Gateway-Secret': actor.secret }),
  };
}

/** Somebody of `orgId` alone, who may do there what a tenant may. Null: a token is one person's. */
export function tenantOf(orgId: string, actor: Actor): Actor | null {
  if (actor.kind === 'token') return null;
  return { ...actor, subject: `${actor.subject}-stranger`, roles: tenantRoles, orgs: [orgId] };
}
