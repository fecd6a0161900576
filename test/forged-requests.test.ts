import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Server, serve } from '../shared/http/serve.ts';
import { type AuditLog, auditLog } from './support/audit-log.ts';
import { rawRequest } from './support/raw-http.ts';
import { type System, startSystem } from './support/system.ts';
import { sign, startTokenIssuer, type TokenIssuer, validClaims } from './support/token-issuer.ts';

const own = randomUUID();
const other = randomUUID();
const secret = 'a-secret-of-enough-length';

let audit: AuditLog;
let system: System;
let server: Server;

beforeAll(async () => {
  audit = auditLog();
  [system, server] = await start({ GATEWAY_SHARED_SECRET: secret });
});
afterAll(() => stop(system, server));

/** The service behind a real socket, which shows requests as they are sent. */
async function start(environment: Record<string, string>): Promise<[System, Server]> {
  const started = await startSystem({ stream: false, logger: audit.logger, environment });
  return [started, await serve(started.app, { PORT: 0, HTTP_PORT: 0, HTTP_HOST: '127.0.0.1' })];
}

async function stop(started: System | undefined, served: Server | undefined): Promise<void> {
  await served?.close();
  await started?.close();
}

const pathOf = (orgId: string) => `/analytics/v1/orgs/${orgId}/models`;
const actor = (orgs = own, roles = 'analytics:usage:read') => [
  'X-Actor-Subject: someone',
  `X-Actor-Roles: ${roles}`,
  `X-Actor-Orgs: ${orgs}`,
];
const gateway = `X-Gateway-Secret: ${secret}`;

async function ask(path: string, headers: string[], { method = 'GET', port = server.port } = {}) {
  const requestId = randomUUID();
  const answer = await rawRequest(port, [
    `${method} ${path} HTTP/1.1`,
    'Host: analytics.example',
    `X-Request-Id: ${requestId}`,
    ...headers,
  ]);
  const isProblem = answer.headers.includes('application/problem+json');
  return {
    status: answer.status,
    detail: isProblem ? JSON.parse(answer.body).detail : null,
    lines: audit.of(requestId),
  };
}

/** Nobody is believed, and the log says so once. */
async function expectNobody(headers: string[], detail: string): Promise<void> {
  const answer = await ask(pathOf(own), headers);
  expect(answer).toMatchObject({ status: 401, detail });
  expect(answer.lines).toEqual([
    expect.objectContaining({ subject: null, roles: [], allowed: false, reason: detail }),
  ]);
}

test('what the gateway sends is taken, in any case and order', async () => {
  const headers = [...actor(), gateway];
  expect((await ask(pathOf(own), headers)).status).toBe(200);
  const shouted = headers.map((line) => line.replace(/^[^:]+/, (name) => name.toUpperCase()));
  expect((await ask(pathOf(own), shouted.reverse())).status).toBe(200);
});

describe('headers that somebody else made up', () => {
  const missing = 'X-Gateway-Secret is missing or wrong';

  test.each([
    ['without the secret', []],
    ['with a wrong one', [`X-Gateway-Secret: ${secret}!`]],
    ['with its beginning', [`X-Gateway-Secret: ${secret.slice(0, -1)}`]],
    ['with its name in underscores', [`X_Gateway_Secret: ${secret}`]],
    ['with an encoded one', [`X-Gateway-Secret: ${encodeURIComponent(`"${secret}"`)}`]],
  ])('%s name nobody', async (_, more) => {
    await expectNobody([...actor(own, 'admin'), ...more], missing);
    const mixed = actor(own, 'admin').map((line) => line.replace('X-Actor', 'x-aCtOr'));
    await expectNobody([...mixed, ...more], missing);
  });

  test.each([
    ['X-Gateway-Secret', [gateway, `X-Gateway-Secret: ${secret}`]],
    ['X-Gateway-Secret', ['x-gateway-SECRET: guess', gateway]],
    ['X-Actor-Subject', ['X-Actor-Subject: admin', gateway]],
    ['X-Actor-Subject', ['x-actor-SUBJECT: admin', gateway]],
    ['X-Actor-Subject', ['X-Actor-Subject:', gateway]],
    ['X-Actor-Roles', ['X-Actor-Roles: admin', gateway]],
    ['X-Actor-Orgs', [`x-actor-ORGS: ${other}`, gateway]],
  ])('a second line of %s beside the right secret names nobody', async (name, more) => {
    const detail = `the header ${name} came more than once`;
    await expectNobody([...actor(), ...more], detail);
    await expectNobody([...more, ...actor()], detail);
  });

  test('are seen however many lines stand between them and those of the gateway', async () => {
    // As short as a line can be: with more the headers are too large.
    for (const count of [994, 1_000, 1_100, 2_500]) {
      const lines = Array.from({ length: count }, () => 'a:');
      await expectNobody(
        [...actor(other, 'admin'), ...lines, gateway, ...actor()],
        'the header X-Actor-Subject came more than once',
      );
    }
  });

  test('names with underscores, or with a space, are not those of the gateway', async () => {
    const { status, lines } = await ask(pathOf(other), [
      ...actor(),
      gateway,
      'X_Actor_Roles: admin',
      `X_Actor_Orgs: ${other}`,
    ]);
    expect(status).toBe(403);
    expect(lines).toHaveLength(1);
    // Not HTTP: cut off before it is a request of anybody.
    expect((await ask(pathOf(own), [...actor(), 'X-Actor-Roles : admin', gateway])).status).toBe(
      400,
    );
  });

  test.each(['\r\n ', '\r\n\t'])('a folded line (%j) is not HTTP any more', async (fold) => {
    const headers = [`X-Actor-Subject: some${fold}one`, 'X-Actor-Roles: admin', gateway];
    expect(await ask(pathOf(own), headers)).toMatchObject({ status: 400, lines: [] });
    const hidden = [...actor(), `X-Other: a${fold}X-Actor-Roles: admin`, gateway];
    expect(await ask(pathOf(own), hidden)).toMatchObject({ status: 400, lines: [] });
  });

  test.each(['\n', '\r', '\0'])('a line parted by %j alone is not HTTP', async (part) => {
    const headers = [...actor(), `X-Other: a${part}X-Actor-Orgs: ${other}`, gateway];
    const { status, lines } = await ask(pathOf(other), headers);
    expect(status).toBe(400);
    expect(lines).toEqual([]);
  });

  test('two lengths of one body are not HTTP', async () => {
    const headers = [...actor(), gateway, 'Content-Length: 2', 'Transfer-Encoding: chunked'];
    const answer = await ask('/analytics/v1/events', headers, { method: 'POST' });
    expect(answer).toMatchObject({ status: 400, lines: [] });
  });

  test('a subject of more than 256 characters names nobody', async () => {
    const [, ...rest] = actor();
    const detail = 'the header X-Actor-Subject is longer than 256 characters';
    await expectNobody([`X-Actor-Subject: ${'a'.repeat(257)}`, ...rest, gateway], detail);
  });

  test('headers of more than 16 KiB are refused', async () => {
    const headers = [...actor(), gateway, `X-Other: ${'a'.repeat(16_384)}`];
    expect((await ask(pathOf(own), headers)).status).toBe(431);
  });
});

describe('a path', () => {
  const headers = [...actor(), gateway];

  test('may name an org in any case: it is the same org', async () => {
    const upper = await ask(pathOf(own.toUpperCase()), headers);
    expect(upper).toMatchObject({ status: 200, lines: [{ orgId: own, allowed: true }] });
    const theirs = await ask(pathOf(other.toUpperCase()), headers);
    expect(theirs).toMatchObject({ status: 403, lines: [{ orgId: other, allowed: false }] });
  });

  test('whose org is encoded is decided on what it says', async () => {
    const encoded = (orgId: string) => `%${orgId.charCodeAt(0).toString(16)}${orgId.slice(1)}`;
    expect((await ask(pathOf(encoded(own)), headers)).status).toBe(200);
    const theirs = await ask(pathOf(encoded(other)), headers);
    expect(theirs).toMatchObject({ status: 403, lines: [{ orgId: other, allowed: false }] });
  });

  test.each([
    `/analytics/v1/orgs/${own}/../${other}/models`,
    `/analytics/v1/orgs/${own}/%2e%2e/${other}/models`,
    `/analytics/v1/orgs/${own}/%2E./${other}/models`,
    `/analytics/v1/orgs/${own}/./models`,
    `/analytics/v1/orgs/./${own}/models`,
    `/analytics/v1/orgs//${own}/models`,
    `//analytics/v1/orgs/${own}/models`,
    `//evil.example/analytics/v1/orgs/${own}/models`,
    `/analytics/v1/orgs/${own}%2fmodels`,
    `/analytics/v1/orgs/${own}%2F..%2F${other}/models`,
    `/analytics/v1/orgs/${own}%5c..%5c${other}/models`,
    `/analytics/v1/orgs/${own}\\..\\${other}/models`,
    '/analytics/v1/orgs/%2e%2e/orgs',
    '/analytics/v1/status/../../../internal/refresh',
    '/analytics/v1/status/..',
  ])('%s is refused before anybody decides on it', async (path) => {
    for (const method of ['GET', 'POST']) {
      const admin = [...actor(own, 'admin'), gateway, 'Content-Length: 0'];
      const answer = await ask(path, admin, { method });
      expect(answer.status).toBe(400);
      // A backslash is refused before it is a request of ours.
      if (path.includes('\\')) expect(answer.lines).toEqual([]);
      else expect(answer.lines).toMatchObject([{ action: 'path:refuse', allowed: false }]);
    }
  });

  test.each([
    ['a dot at its end', `${other}.`],
    ['a point encoded twice', '%252e%252e'],
    ['a NUL', `${own}%00`],
    ['a space', `${own}%20`],
    ['a line break', `${own}%0d%0a`],
    ['a semicolon', `${own};${other}`],
    ['two orgs', `${own},${other}`],
    ['half a character', `${own}%ff`],
    ['other letters that look alike', `${own.slice(0, -1)}%d0%b0`],
  ])("with %s names an org that is nobody's", async (_, orgId) => {
    const answer = await ask(pathOf(orgId), headers);
    expect(answer.status).toBe(403);
    expect(answer.lines).toEqual([expect.objectContaining({ allowed: false })]);
    // An admin, who may see every org, is told that it is none.
    const admin = await ask(pathOf(orgId), [...actor(own, 'admin'), gateway]);
    expect(admin.status).toBe(400);
    expect(admin.lines).toHaveLength(1);
  });

  test.each([
    '/ANALYTICS/v1/orgs',
    '/analytics/v1/Orgs',
    '/analytics/v1/orgs/',
    '/analytics/v1/orgs;x',
  ])('%s is no route', async (path) => {
    const answer = await ask(path, [...actor(own, 'admin'), gateway]);
    expect(answer).toMatchObject({ status: 404, lines: [] });
  });
});

describe('a bearer token', () => {
  let issuer: TokenIssuer;
  let tokens: System;
  let tokenServer: Server;

  beforeAll(async () => {
    issuer = await startTokenIssuer();
    [tokens, tokenServer] = await start(issuer.environment);
  });
  afterAll(async () => {
    await stop(tokens, tokenServer);
    await issuer?.close();
  });

  const header = async () => {
    const [key] = issuer.keys;
    if (key === undefined) throw new Error('the issuer has no key');
    const claims = { roles: ['analytics:usage:read'], orgs: [own] };
    return `Authorization: Bearer ${await sign(key, validClaims(issuer, claims))}`;
  };
  const askWith = (path: string, headers: string[]) =>
    ask(path, headers, { port: tokenServer.port });

  test('counts once: a second header beside it names nobody', async () => {
    const valid = await header();
    expect((await askWith(pathOf(own), [valid])).status).toBe(200);
    expect(
      (await askWith(pathOf(own), [valid.toUpperCase().slice(0, 14) + valid.slice(14)])).status,
    ).toBe(200);
    for (const lines of [
      [valid, 'Authorization: Bearer guess'],
      ['authorization: Bearer guess', valid],
      [valid, valid],
    ]) {
      const answer = await askWith(pathOf(own), lines);
      expect(answer.status).toBe(401);
      expect(answer.lines).toEqual([expect.objectContaining({ allowed: false, subject: null })]);
    }
  });

  test("takes nothing from the gateway's headers, however they are written", async () => {
    for (const forged of [
      [...actor(other, 'admin'), gateway],
      [...actor(other, 'admin'), ...actor(other, 'admin')],
    ]) {
      const answer = await askWith(pathOf(other), [await header(), ...forged]);
      expect(answer.status).toBe(403);
      expect(answer.lines).toEqual([expect.objectContaining({ subject: 'test-actor' })]);
      expect((await askWith(pathOf(other), forged)).status).toBe(401);
    }
  });
});
