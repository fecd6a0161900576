/** Who may do what (the contract's table), and the audit line of every decision. */

import { cutText } from './platform/telemetry/line-bounds.ts';

export const roles = {
  usageRead: 'analytics:usage:read',
  reliabilityRead: 'analytics:reliability:read',
  exportsCreate: 'analytics:exports:create',
  exportsRead: 'analytics:exports:read',
  exportsDownload: 'analytics:exports:download',
  eventsWrite: 'analytics:events:write',
  admin: 'admin',
} as const;
export type Role = (typeof roles)[keyof typeof roles];

/** Longer names are nobody's: each is in every audit line. */
export const subjectMaxLength = 256;

/** An org's id has 36: what is longer is a caller's text, and each is in a line and an answer. */
const orgIdMaxLength = 64;

export function orgText(orgId: string): string {
  return cutText(orgId, orgIdMaxLength);
}

export interface Actor {
  subject: string;
  roles: readonly string[];
  /** Lower-case org ids. */
  orgs: readonly string[];
}

/** What an actor wants: one of `anyOf` grants it; an org of null means no org in particular. */
export interface AccessRequest {
  /** Names the deed in the audit line, for example `usage:read`. */
  action: string;
  /** Roles that grant it; empty when any actor may. `admin` always may. */
  anyOf: readonly Role[];
  orgId: string | null;
  /** Reads all orgs, whatever the actor's list. */
  everyOrg?: true;
}

export interface Decision {
  allowed: boolean;
  reason: string;
  /** An admin who acts on an org outside its own list. */
  crossOrg: boolean;
}

export interface AuditLine {
  timestamp: string;
  subject: string | null;
  roles: readonly string[];
  action: string;
  orgId: string | null;
  allowed: boolean;
  reason: string;
  requestId: string;
  crossOrg?: true;
}

/** A role grants the action, the org list says where; `admin` may do everything everywhere. */
export function decide(actor: Actor, { anyOf, orgId, everyOrg }: AccessRequest): Decision {
  const isOwn = !everyOrg && (orgId === null || actor.orgs.includes(orgId));
  if (actor.roles.includes(roles.admin)) {
    return { allowed: true, reason: 'role admin', crossOrg: !isOwn };
  }
  const granting = anyOf.find((role) => actor.roles.includes(role));
  if (anyOf.length > 0 && granting === undefined) {
    return refuse(`missing role: one of ${[...new Set([...anyOf, roles.admin])].join(', ')}`);
  }
  if (!isOwn) return refuse(`org ${orgText(String(orgId))} is not among the actor's orgs`);
  return {
    allowed: true,
    reason: granting === undefined ? 'any actor' : `role ${granting}`,
    crossOrg: false,
  };
}

function refuse(reason: string): Decision {
  return { allowed: false, reason, crossOrg: false };
}
