import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, type Role, roles } from './access.ts';

const own = '11111111-1111-4111-8111-111111111111';
const other = '22222222-2222-4222-8222-222222222222';
const actor = (granted: string[], orgs: string[] = [own]) => ({
  subject: 'someone',
  roles: granted,
  orgs,
});
const read: Role[] = [roles.usageRead, roles.reliabilityRead];

describe('decide', () => {
  test.each<[string, string[], Role[], string | null, boolean, string]>([
    [
      'a role that grants it, own org',
      [roles.usageRead],
      read,
      own,
      true,
      'role analytics:usage:read',
    ],
    [
      'another that grants it',
      [roles.reliabilityRead],
      read,
      own,
      true,
      'role analytics:reliability:read',
    ],
    [
      'no role',
      [],
      read,
      own,
      false,
      'missing role: one of analytics:usage:read, analytics:reliability:read, admin',
    ],
    [
      'a role for other things',
      [roles.exportsRead],
      [roles.usageRead],
      own,
      false,
      'missing role: one of analytics:usage:read, admin',
    ],
    [
      'another org',
      [roles.usageRead],
      read,
      other,
      false,
      `org ${other} is not among the actor's orgs`,
    ],
    [
      'no org in particular',
      [roles.eventsWrite],
      [roles.eventsWrite],
      null,
      true,
      'role analytics:events:write',
    ],
    ['what anyone may', [], [], null, true, 'any actor'],
    [
      'what anyone may, elsewhere',
      [],
      [],
      other,
      false,
      `org ${other} is not among the actor's orgs`,
    ],
    [
      'what admins may',
      [roles.usageRead],
      [roles.admin],
      null,
      false,
      'missing role: one of admin',
    ],
    [
      'a role in capitals',
      ['ADMIN'],
      read,
      own,
      false,
      'missing role: one of analytics:usage:read, analytics:reliability:read, admin',
    ],
  ])('%s', (_, granted, anyOf, orgId, allowed, reason) => {
    expect(decide(actor(granted), { action: 'x', anyOf, orgId })).toEqual({
      allowed,
      reason,
      crossOrg: false,
    });
  });

  test('an admin may do everything everywhere; elsewhere it crosses orgs', () => {
    const admin = actor([roles.admin]);
    for (const [orgId, crossOrg] of [
      [own, false],
      [other, true],
      [null, false],
    ] as const) {
      expect(decide(admin, { action: 'x', anyOf: read, orgId })).toEqual({
        allowed: true,
        reason: 'role admin',
        crossOrg,
      });
    }
  });

  test('allowed means: an admin, or one of the roles and the org', () => {
    const role = fc.constantFrom(...Object.values(roles));
    const org = fc.constantFrom(own, other);
    fc.assert(
      fc.property(
        fc.array(role),
        fc.array(org),
        fc.array(role),
        fc.option(org),
        (granted, orgs, anyOf, orgId) => {
          const { allowed, reason } = decide(actor(granted, orgs), { action: 'x', anyOf, orgId });
          const hasRole = anyOf.length === 0 || anyOf.some((wanted) => granted.includes(wanted));
          const hasOrg = orgId === null || orgs.includes(orgId);
          expect(allowed).toBe(granted.includes(roles.admin) || (hasRole && hasOrg));
          expect(reason).not.toBe('');
        },
      ),
    );
  });
});
