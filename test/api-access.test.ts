import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AuditLog, auditLog } from './support/audit-log.ts';
import { actorHeaders, eventJson, jsonPost } from './support/event-json.ts';
import { type System, startSystem } from './support/system.ts';

const own = randomUUID();
const other = randomUUID();
const day = (daysAgo: number) =>
  `${new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;
const window = `start=${day(2)}&end=${day(1)}`;

interface Route {
  method: 'GET' | 'POST';
  path: string;
  action: string;
  /** Null where no org is in the path. */
  orgId: string | null;
  /** Each of them opens it alone. */
  roles: string[];
}

function orgRoutes(orgId: string): Route[] {
  const read = ['analytics:usage:read', 'analytics:reliability:read'];
  const at = (name: string, query = '') => `/analytics/v1/orgs/${orgId}/${name}${query}`;
  return [
    ['usage', `?${window}`, read.slice(0, 1)] as const,
    ['reliability', `?${window}`, read.slice(1)] as const,
    ['freshness', '', read] as const,
    ['models', '', read] as const,
  ].map(([name, query, roles]) => ({
    method: 'GET',
    path: at(name, query),
    action: `${name}:read`,
    orgId,
    roles: [...roles],
  }));
}

const postEvents: Route = {
  method: 'POST',
  path: '/analytics/v1/events',
  action: 'events:write',
  orgId: null,
  roles: ['analytics:events:write'],
};
const validate: Route = {
  ...postEvents,
  path: '/analytics/v1/events/validate',
  action: 'events:validate',
  roles: [],
};
const listOrgs: Route = {
  method: 'GET',
  path: `/analytics/v1/orgs?${window}`,
  action: 'orgs:list',
  orgId: null,
  roles: ['admin'],
};
const everyRoute = [...orgRoutes(own), postEvents, validate, listOrgs];
const named = (routes: Route[]) =>
  routes.map((route) => [`${route.method} ${route.path.split('?')[0]}`, route] as const);

let audit: AuditLog;
let system: System;

beforeAll(async () => {
  audit = auditLog();
  system = await startSystem({ stream: false, logger: audit.logger });
});
afterAll(() => system?.close());

/** Sends a request and gives its answer beside its audit lines. */
async function ask(route: Route, headers: Record<string, string>, from = system, log = audit) {
  const requestId = randomUUID();
  const all = { ...headers, 'X-Request-Id': requestId };
  const init =
    route.method === 'POST' ? jsonPost(eventJson({ orgId: own }), all) : { headers: all };
  const response = await from.app.request(route.path, init);
  const text = await response.text();
  return {
    status: response.status,
    contentType: response.headers.get('Content-Type'),
    challenge: response.headers.get('WWW-Authenticate'),
    problem: response.status >= 400 ? JSON.parse(text) : null,
    lines: log.of(requestId),
    requestId,
  };
}

describe.each(named(everyRoute))('%s', (_, route) => {
  test('without an actor is a 401 that says what is missing, and one audit line', async () => {
    const { status, contentType, challenge, problem, lines, requestId } = await ask(route, {
      'X-Actor-Roles': 'admin',
      'X-Actor-Orgs': own,
    });
    expect(status).toBe(401);
    expect(contentType).toBe('application/problem+json');
    expect(challenge).toBe('Bearer');
    expect(problem).toEqual({
      type: 'urn:analytics:problem:unauthenticated',
      title: expect.any(String),
      status: 401,
      detail: 'the header X-Actor-Subject is missing',
      instance: route.path.split('?')[0],
    });
    expect(lines).toEqual([
      {
        timestamp: expect.any(String),
        subject: null,
        roles: [],
        action: route.action,
        orgId: route.orgId,
        allowed: false,
        reason: problem.detail,
        requestId,
      },
    ]);
  });

  test.each(route.roles.filter((role) => role !== 'admin'))(
    'opens to %s, with one audit line',
    async (role) => {
      const { status, lines, requestId } = await ask(route, actorHeaders([role], [own]));
      expect(status).toBeLessThan(300);
      expect(lines).toEqual([
        {
          timestamp: expect.any(String),
          subject: 'test-actor',
          roles: [role],
          action: route.action,
          orgId: route.orgId,
          allowed: true,
          reason: `role ${role}`,
          requestId,
        },
      ]);
      expect(Math.abs(Date.now() - Date.parse(lines[0]?.timestamp ?? ''))).toBeLessThan(10_000);
    },
  );

  test('opens to an admin of no org; that the org is not its own is in the audit line', async () => {
    const { status, lines } = await ask(route, actorHeaders(['admin']));
    expect(status).toBeLessThan(300);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ allowed: true, reason: 'role admin' });
    const crosses = route.orgId !== null || route === listOrgs;
    expect(lines[0]?.crossOrg).toBe(crosses ? true : undefined);
  });

  test('an admin of the org itself crosses orgs only by reading all of them', async () => {
    const { lines } = await ask(route, actorHeaders(['admin'], [own.toUpperCase()]));
    expect(lines).toHaveLength(1);
    expect(lines[0]?.crossOrg).toBe(route === listOrgs ? true : undefined);
  });
});

describe.each(named(everyRoute.filter(({ roles }) => roles.length > 0)))('%s', (_, route) => {
  test('refuses every other role, and says which would do', async () => {
    const every = [...everyRoute.flatMap(({ roles }) => roles), 'Admin', 'analytics:usage'];
    const wrong = every.filter((role) => role !== 'admin' && !route.roles.includes(role));
    const { status, problem, lines } = await ask(route, actorHeaders(wrong, [own]));
    expect(status).toBe(403);
    for (const role of route.roles) expect(problem.detail).toContain(role);
    expect(problem.detail).toMatch(/^missing role: one of .*admin$/);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      allowed: false,
      reason: problem.detail,
      action: route.action,
      roles: wrong,
    });
  });
});

test.each(named(orgRoutes(other)))('%s is refused to an actor of another org', async (_, route) => {
  const { status, contentType, problem, lines } = await ask(
    route,
    actorHeaders(route.roles, [own]),
  );
  expect(status).toBe(403);
  expect(contentType).toBe('application/problem+json');
  expect(problem).toMatchObject({
    type: 'urn:analytics:problem:forbidden',
    status: 403,
    detail: `org ${other} is not among the actor's orgs`,
  });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ allowed: false, orgId: other, reason: problem.detail });
});

test('a refusal comes before the query is looked at: strangers learn nothing of it', async () => {
  const route = { ...orgRoutes(other)[0], path: `/analytics/v1/orgs/${other}/usage?nonsense=1` };
  const { status } = await ask(route as Route, actorHeaders(['analytics:usage:read'], [own]));
  expect(status).toBe(403);
});

test('an actor may name several roles and orgs, spaced and in any case', async () => {
  const { status } = await ask(orgRoutes(own)[0] as Route, {
    'X-Actor-Subject': ' someone ',
    'X-Actor-Roles': ' x , analytics:usage:read,,',
    'X-Actor-Orgs': `${other}, ${own.toUpperCase()} `,
  });
  expect(status).toBe(200);
});

test('a path that needs no actor writes no audit line', async () => {
  const { status, lines } = await ask(
    { ...listOrgs, path: '/analytics/v1/status/healthz' },
    actorHeaders([]),
  );
  expect(status).toBe(200);
  expect(lines).toEqual([]);
});

test('decisions are audited even where only errors are logged', async () => {
  const log = auditLog('error');
  const quiet = await startSystem({ stream: false, logger: log.logger });
  try {
    const [allowed, denied] = [actorHeaders(['admin']), actorHeaders([])];
    expect((await ask(listOrgs, allowed, quiet, log)).lines).toHaveLength(1);
    expect((await ask(listOrgs, denied, quiet, log)).lines).toHaveLength(1);
  } finally {
    await quiet.close();
  }
});

describe('with GATEWAY_SHARED_SECRET', () => {
  const secret = 'a-secret-of-enough-length';
  let guarded: System;
  let log: AuditLog;

  beforeAll(async () => {
    log = auditLog();
    guarded = await startSystem({
      stream: false,
      logger: log.logger,
      environment: { GATEWAY_SHARED_SECRET: secret },
    });
  });
  afterAll(() => guarded?.close());

  test.each([
    ['missing', {}],
    ['wrong', { 'X-Gateway-Secret': `${secret}x` }],
    ['empty', { 'X-Gateway-Secret': '' }],
  ] as [string, Record<string, string>][])(
    'headers beside a %s secret name nobody',
    async (_, headers) => {
      for (const route of everyRoute) {
        const { status, problem, lines } = await ask(
          route,
          { ...actorHeaders(['admin']), ...headers },
          guarded,
          log,
        );
        expect(status).toBe(401);
        expect(problem.detail).toBe('X-Gateway-Secret is missing or wrong');
        expect(lines).toHaveLength(1);
        expect(lines[0]).toMatchObject({ subject: null, allowed: false, reason: problem.detail });
      }
    },
  );

  test('beside the right one they count', async () => {
    for (const route of everyRoute) {
      const headers = { ...actorHeaders(['admin']), 'X-Gateway-Secret': secret };
      expect((await ask(route, headers, guarded, log)).status).toBeLessThan(300);
    }
  });
});

describe('with ENABLE_RBAC=false', () => {
  let open: System;
  let log: AuditLog;

  beforeAll(async () => {
    log = auditLog();
    open = await startSystem({
      stream: false,
      logger: log.logger,
      environment: { ENABLE_RBAC: 'false' },
    });
  });
  afterAll(() => open?.close());

  test.each([
    ['nobody', {}, null],
    ['an actor without roles or orgs', actorHeaders([]), 'test-actor'],
  ] as [string, Record<string, string>, string | null][])(
    '%s may do everything, and it is audited',
    async (_, headers, subject) => {
      for (const route of everyRoute) {
        const { status, lines } = await ask(route, headers, open, log);
        expect(status).toBeLessThan(300);
        expect(lines).toHaveLength(1);
        expect(lines[0]).toMatchObject({
          subject,
          allowed: true,
          reason: 'RBAC is off',
          action: route.action,
        });
      }
    },
  );

  test.each([
    ['nobody', {}],
    ['an actor without orgs', actorHeaders([])],
  ] as [string, Record<string, string>][])('%s may send events of any org', async (_, headers) => {
    const response = await open.app.request('/analytics/v1/events', jsonPost(eventJson(), headers));
    expect(await response.json()).toMatchObject({ accepted: 1, rejected: 0 });
  });
});
