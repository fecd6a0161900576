import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { roles as everyRole } from '../shared/access.ts';
import { openDatabase } from '../shared/platform/database/db.ts';
import { openFolderStore } from '../shared/platform/object-store/folder-store.ts';
import { type AuditLog, auditLine, auditLog } from './support/audit-log.ts';
import { actorHeaders, eventJson, jsonPost } from './support/event-json.ts';
import { logLines } from './support/log-lines.ts';
import { type System, type SystemOptions, startSystem } from './support/system.ts';

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
  /** What is sent, where it is not an event. */
  body?: object;
  /** It is about all orgs, which are more than an admin's own. */
  everyOrg?: boolean;
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
  everyOrg: true,
};

/** Exports that are done: one of the actor's org, one of all orgs. */
const [jobId, allJobId] = [randomUUID(), randomUUID()];

/** Exports of an org, or those over all orgs, which are an admin's. */
function exportRoutes(orgId: string | null): Route[] {
  const home = `/analytics/v1${orgId === null ? '' : `/orgs/${orgId}`}/exports`;
  const job = `${home}/${orgId === null ? allJobId : jobId}`;
  const body = { timeRange: { start: day(2), end: day(1) } };
  return [
    ['create', home, 'analytics:exports:create', 'POST'] as const,
    ['list', home, 'analytics:exports:read', 'GET'] as const,
    ['read', job, 'analytics:exports:read', 'GET'] as const,
    ['manifest', `${job}/manifest`, 'analytics:exports:read', 'GET'] as const,
    ['download', `${job}/download`, 'analytics:exports:download', 'GET'] as const,
  ].map(([deed, path, role, method]) => ({
    method,
    path,
    action: `exports:${deed}`,
    orgId,
    roles: [orgId === null ? 'admin' : role],
    body,
    everyOrg: orgId === null,
  }));
}

const everyRoute = [
  ...orgRoutes(own),
  postEvents,
  validate,
  listOrgs,
  ...exportRoutes(own),
  ...exportRoutes(null),
];
const named = (routes: Route[]) =>
  routes.map((route) => [`${route.method} ${route.path.split('?')[0]}`, route] as const);

let audit: AuditLog;
let system: System;
/** Holds the files of both exports, for every system here. */
let folder: string;

beforeAll(async () => {
  audit = auditLog();
  folder = await mkdtemp(join(tmpdir(), 'analytics-access-'));
  system = await start({ logger: audit.logger });
});
afterAll(async () => {
  await system?.close();
  await rm(folder, { recursive: true });
});

/** The service with both exports done. */
async function start(options: SystemOptions): Promise<System> {
  const started = await startSystem({
    stream: false,
    exportsFolder: folder,
    ...options,
    environment: { S3_ENDPOINT: '', ...options.environment },
  });
  const store = openFolderStore(folder);
  const database = openDatabase({ url: started.settings.DATABASE_URL ?? '' });
  for (const [id, org] of [
    [jobId, own],
    [allJobId, null],
  ] as const) {
    const stem = `analytics/exports/${org ?? 'all'}/${id}`;
    const file = { contentType: 'text/csv', metadata: {} };
    const { etag } = await store.put(`${stem}.csv`, Buffer.from('a\r\n'), file);
    await store.put(`${stem}.manifest.json`, Buffer.from('{}'), file);
    await database.query(
      `insert into analytics.export_jobs
         (job_id, org_id, status, format, granularity, timezone, range_start, range_end,
          initiated_by, completed_at, expires_at, object_key, object_etag)
       values ($1, $2, 'succeeded', 'csv', 'day', 'UTC', $3, $4, 'a test', now(),
               now() + interval '1 day', $5, $6)`,
      [id, org, day(2), day(1), `${stem}.csv`, etag],
    );
  }
  await database.close();
  return started;
}

/** An answer below it was given; a download is a redirect. */
const opened = 303;

/** Sends a request and gives its answer beside its audit lines. */
async function ask(route: Route, headers: Record<string, string>, from = system, log = audit) {
  const requestId = randomUUID();
  const all = { ...headers, 'X-Request-Id': requestId };
  const init =
    route.method === 'POST'
      ? jsonPost(route.body ?? eventJson({ orgId: own }), all)
      : { headers: all };
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
      expect(status).toBeLessThan(opened);
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
    expect(status).toBeLessThan(opened);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ allowed: true, reason: 'role admin' });
    const crosses = route.orgId !== null || route.everyOrg === true;
    expect(lines[0]?.crossOrg).toBe(crosses ? true : undefined);
  });

  test('an admin of the org itself crosses orgs only by reading all of them', async () => {
    const { lines } = await ask(route, actorHeaders(['admin'], [own.toUpperCase()]));
    expect(lines).toHaveLength(1);
    expect(lines[0]?.crossOrg).toBe(route.everyOrg === true ? true : undefined);
  });
});

describe.each(named(everyRoute.filter(({ roles }) => roles.length > 0)))('%s', (_, route) => {
  test('opens to just the roles that the contract gives it, each alone', async () => {
    const opens: string[] = [];
    for (const role of Object.values(everyRole)) {
      const { status, lines } = await ask(route, actorHeaders([role], [own]));
      expect(status < opened ? 'opened' : status).toBe(lines[0]?.allowed ? 'opened' : 403);
      expect(lines).toHaveLength(1);
      if (status < opened) opens.push(role);
    }
    expect(opens.sort()).toEqual([...new Set([...route.roles, 'admin'])].sort());
  });

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

test.each(named([...orgRoutes(other), ...exportRoutes(other)]))(
  '%s is refused to an actor of another org',
  async (_, route) => {
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
  },
);

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

/** Open by design: no decision is taken, so there is nothing to audit. */
const openRoutes =
  /^\/analytics\/(console\b|v1\/(status\/|openapi\.json$|llms\.txt$|docs\b|exports\/files\/))/;

test('every route of the service is tried here, or open to all', () => {
  const tried = new Set(
    everyRoute.map(({ method, path }) => {
      const [bare = ''] = path.split('?');
      const template = bare
        .replace(own, ':orgId')
        .replace(jobId, ':jobId')
        .replace(allJobId, ':jobId');
      return `${method} ${template}`;
    }),
  );
  const served = system.app.routes
    .filter(({ method, path }) => method !== 'ALL' && path.startsWith('/analytics/'))
    .filter(({ path }) => !openRoutes.test(path))
    .map(({ method, path }) => `${method} ${path}`);
  expect([...new Set(served)].sort()).toEqual([...tried].sort());
});

/** The whole line, as whoever collects the log reads it. */
const loggedDecision = z.strictObject({
  level: z.literal('info'),
  time: z.iso.datetime(),
  service: z.literal('analytics-service'),
  function: z.string(),
  requestId: z.uuid(),
  msg: z.literal('access decision'),
  audit: auditLine.extend({
    action: z.string().regex(/^[a-z]+:[a-z]+$/),
    orgId: z.uuid().nullable(),
    requestId: z.uuid(),
  }),
});

test('allowed or denied, each request of each route leaves one line that fits its schema', async () => {
  const lines = logLines({ LOG_LEVEL: 'info' });
  const logged = await start({ logger: lines.logger });
  try {
    for (const route of everyRoute) {
      for (const [headers, allowed] of [
        [actorHeaders(['admin'], [own]), true],
        // Where no role is asked for, any actor may.
        [actorHeaders(['nothing'], [own]), route.roles.length === 0],
        [{}, false],
      ] as const) {
        const { requestId } = await ask(route, headers, logged);
        const found = lines.all().filter((line) => line.requestId === requestId && 'audit' in line);
        expect(found).toHaveLength(1);
        const { audit: decision, requestId: id } = loggedDecision.parse(found[0]);
        expect(decision).toMatchObject({
          allowed,
          action: route.action,
          orgId: route.orgId,
          requestId: id,
        });
      }
    }
  } finally {
    await logged.close();
  }
});

test.each(['//orgs', '/orgs/x%5c/usage', '/orgs/a%2Fb/usage'])(
  'a path that can be read in two ways is refused with one audit line: %s',
  async (path) => {
    const { status, lines } = await ask(
      { ...listOrgs, path: `/analytics/v1${path}` },
      actorHeaders(['admin']),
    );
    expect(status).toBe(400);
    expect(lines).toEqual([
      expect.objectContaining({
        subject: null,
        action: 'path:refuse',
        allowed: false,
        reason: expect.stringMatching(/^the path must not have .*: \/analytics\/v1/),
      }),
    ]);
  },
);

test('a request over the limit is refused with one audit line', async () => {
  const log = auditLog();
  const limited = await start({
    logger: log.logger,
    environment: { RATE_LIMIT_PER_MINUTE: '1' },
  });
  try {
    const actor = actorHeaders(['admin']);
    expect((await ask(listOrgs, actor, limited, log)).status).toBe(200);
    const { status, lines } = await ask(listOrgs, actor, limited, log);
    expect(status).toBe(429);
    expect(lines).toEqual([
      expect.objectContaining({ action: 'rate:limit', allowed: false, roles: ['admin'] }),
    ]);
    // The others of the minute are told in its sum.
    expect((await ask(listOrgs, actor, limited, log)).lines).toEqual([]);
  } finally {
    await limited.close();
  }
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
  const quiet = await start({ logger: log.logger });
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
    guarded = await start({
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
      expect((await ask(route, headers, guarded, log)).status).toBeLessThan(opened);
    }
  });
});

describe('with ENABLE_RBAC=false', () => {
  let open: System;
  let log: AuditLog;

  beforeAll(async () => {
    log = auditLog();
    open = await start({
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
        expect(status).toBeLessThan(opened);
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
