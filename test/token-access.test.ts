import { createHmac, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { exportSPKI, importJWK } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import * as z from 'zod';
import { type AuditLog, auditLog } from './support/audit-log.ts';
import { actorHeaders } from './support/event-json.ts';
import { type System, startSystem } from './support/system.ts';
import {
  audience,
  handmade,
  newKey,
  type SigningKey,
  sign,
  startTokenIssuer,
  type TokenIssuer,
  validClaims,
} from './support/token-issuer.ts';

const own = randomUUID();
const other = randomUUID();
const roles = ['analytics:usage:read'];

let issuer: TokenIssuer;
let audit: AuditLog;
let system: System;

beforeAll(async () => {
  issuer = await startTokenIssuer();
  audit = auditLog();
  system = await start();
});
afterAll(async () => {
  await system?.close();
  await issuer?.close();
});

/** A service that has not yet asked for any key. */
function start(): Promise<System> {
  return startSystem({ stream: false, logger: audit.logger, environment: issuer.environment });
}

const signer = (): SigningKey => issuer.keys[0] as SigningKey;
const claims = (over = {}) => validClaims(issuer, { roles, orgs: [own], ...over });
const valid = () => sign(signer(), claims());

const answerForm = z.looseObject({ type: z.string().optional(), detail: z.string().optional() });

async function askWith(headers: Record<string, string>, { orgId = own, from = system } = {}) {
  const requestId = randomUUID();
  const startedMs = performance.now();
  const response = await from.app.request(`/analytics/v1/orgs/${orgId}/models`, {
    headers: { ...headers, 'X-Request-Id': requestId },
  });
  const body = answerForm.parse(await response.json());
  return {
    status: response.status,
    detail: body.detail,
    type: body.type,
    challenge: response.headers.get('WWW-Authenticate'),
    retryAfter: response.headers.get('Retry-After'),
    tookMs: performance.now() - startedMs,
    lines: audit.of(requestId),
  };
}

const ask = (token: string, options = {}) => askWith({ Authorization: `Bearer ${token}` }, options);

/** One that is not believed: nobody asked, and the log says so once. */
async function expectRefused(token: string, detail: string | RegExp): Promise<void> {
  const answer = await ask(token);
  expect(answer).toMatchObject({
    status: 401,
    type: 'urn:analytics:problem:invalid-token',
    challenge: 'Bearer error="invalid_token"',
    detail: typeof detail === 'string' ? detail : expect.stringMatching(detail),
  });
  expect(answer.lines).toEqual([
    expect.objectContaining({ subject: null, roles: [], allowed: false, reason: answer.detail }),
  ]);
}

test('a valid token names the actor, its roles and its orgs', async () => {
  const { status, lines } = await ask(await valid());
  expect(status).toBe(200);
  expect(lines).toEqual([
    expect.objectContaining({ subject: 'test-actor', roles, orgId: own, allowed: true }),
  ]);
});

test.each(['RS384', 'RS512', 'PS256', 'PS512', 'ES256', 'ES384', 'EdDSA'])(
  'a token signed with %s is taken',
  async (alg) => {
    const issuerOfIt = await startTokenIssuer();
    issuerOfIt.keys.splice(0, 1, await newKey('only', alg));
    const from = await startSystem({ stream: false, environment: issuerOfIt.environment });
    try {
      const [key] = issuerOfIt.keys as [SigningKey];
      const token = await sign(key, validClaims(issuerOfIt, { roles, orgs: [own] }));
      expect((await ask(token, { from })).status).toBe(200);
    } finally {
      await from.close();
      await issuerOfIt.close();
    }
  },
);

test.each([
  ['arrays', { roles: ['other', ...roles], orgs: [other, own.toUpperCase()] }],
  ['text with spaces', { roles: `other ${roles[0]}`, orgs: `${other} ${own.toUpperCase()}` }],
  ['text with commas', { roles: `other, ${roles[0]}`, orgs: `${other},${own.toUpperCase()}` }],
])('roles and orgs may be %s, orgs in any case', async (_, lists) => {
  expect((await ask(await sign(signer(), claims(lists)))).status).toBe(200);
});

test('a valid token opens neither other orgs nor what its roles do not grant', async () => {
  expect(await ask(await valid(), { orgId: other })).toMatchObject({
    status: 403,
    detail: `org ${other} is not among the actor's orgs`,
  });
  for (const without of [{ roles: [] }, { roles: undefined }, { orgs: undefined }]) {
    const { status, lines } = await ask(await sign(signer(), claims(without)));
    expect(status).toBe(403);
    expect(lines).toHaveLength(1);
  }
});

describe('without a token', () => {
  test.each([
    ['no header', {}, 'the header Authorization is missing'],
    ['another scheme', { Authorization: 'Basic dGVzdDp0ZXN0' }, /must be Bearer and a token/],
    ['no token', { Authorization: 'Bearer ' }, /must be Bearer and a token/],
    ["the gateway's headers", actorHeaders(['admin'], [own]), /Authorization is missing/],
  ] as [string, Record<string, string>, string | RegExp][])(
    '%s is a 401 that names no error of a token',
    async (_, headers, detail) => {
      const answer = await askWith(headers);
      expect(answer).toMatchObject({ status: 401, challenge: 'Bearer' });
      expect(answer.detail).toMatch(detail);
      expect(answer.lines).toEqual([expect.objectContaining({ allowed: false, subject: null })]);
    },
  );

  test('two tokens in one header are none', async () => {
    const header = `Bearer ${await valid()}, Bearer ${await valid()}`;
    expect((await askWith({ Authorization: header })).status).toBe(401);
  });
});

test("the gateway's headers add nothing to a token", async () => {
  const headers = {
    ...actorHeaders(['admin'], [other]),
    Authorization: `Bearer ${await valid()}`,
  };
  const { status, lines } = await askWith(headers, { orgId: other });
  expect(status).toBe(403);
  expect(lines).toEqual([expect.objectContaining({ subject: 'test-actor', roles })]);
});

test('in gateway mode a valid token counts for nothing', async () => {
  const { AUTH_MODE: _, ...environment } = issuer.environment;
  const from = await startSystem({ stream: false, logger: audit.logger, environment });
  try {
    const { status, detail, challenge, lines } = await ask(await valid(), { from });
    expect(status).toBe(401);
    expect(detail).toBe('the header X-Actor-Subject is missing');
    expect(challenge).toBe('Bearer');
    expect(lines).toHaveLength(1);
  } finally {
    await from.close();
  }
});

describe('an attack', () => {
  test.each(['none', 'None', 'NONE'])('alg %s, without a signature', async (alg) => {
    const header = { alg, kid: signer().kid };
    const token = handmade(header, claims({ roles: ['admin'] }));
    await expectRefused(token, 'the token is signed with an algorithm that is not allowed');
  });

  test.each(['HS256', 'HS384', 'HS512'])('the public key as the secret of %s', async (alg) => {
    const { kid, jwk } = signer();
    const key = await importJWK(jwk, 'RS256', { extractable: true });
    if (key instanceof Uint8Array) throw new Error('an RSA key was expected');
    for (const secret of [await exportSPKI(key), JSON.stringify(jwk)]) {
      const unsigned = handmade({ alg, kid }, claims({ roles: ['admin'] })).slice(0, -1);
      const hash = `sha${alg.slice(2)}`;
      const signature = createHmac(hash, secret).update(unsigned).digest('base64url');
      const fault = 'the token is signed with an algorithm that is not allowed';
      await expectRefused(`${unsigned}.${signature}`, fault);
    }
  });

  test('a published secret key signs nothing', async () => {
    const secret = Buffer.alloc(32, 7);
    const jwk = { kty: 'oct', kid: 'secret', alg: 'HS256', k: secret.toString('base64url') };
    issuer.keys.push({ ...signer(), kid: 'secret', alg: 'HS256', jwk });
    const from = await start();
    try {
      const unsigned = handmade({ alg: 'HS256', kid: 'secret' }, claims()).slice(0, -1);
      const signature = createHmac('sha256', secret).update(unsigned).digest('base64url');
      expect((await ask(`${unsigned}.${signature}`, { from })).status).toBe(401);
      expect((await ask(await valid(), { from })).status).toBe(200);
    } finally {
      issuer.keys.pop();
      await from.close();
    }
  });

  test("a stranger's key under the name of the issuer's", async () => {
    const stranger = await newKey(signer().kid);
    await expectRefused(await sign(stranger, claims()), "the token's signature is wrong");
  });

  test('a key that comes in the token, or an address to get one from', async () => {
    const stranger = await newKey('mine');
    const jku = `${issuer.environment.JWT_ISSUER}/mine`;
    for (const header of [{ jwk: stranger.jwk }, { jku }, { x5u: jku }]) {
      const token = await sign(stranger, claims(), header);
      await expectRefused(token, 'the token is signed with a key that the issuer does not publish');
    }
  });

  test('claims changed after they were signed', async () => {
    const [header, , signature] = (await valid()).split('.');
    const changed = handmade({}, claims({ roles: ['admin'] })).split('.')[1];
    await expectRefused(`${header}.${changed}.${signature}`, "the token's signature is wrong");
  });

  test('a signature of another kind of key under an RSA key id', async () => {
    const stranger = await newKey(signer().kid, 'ES256');
    await expectRefused(await sign(stranger, claims()), /key that the issuer does not publish/);
  });

  const nowSeconds = () => Math.floor(Date.now() / 1_000);
  test.each([
    ['expired', () => ({ exp: nowSeconds() - 61 }), 'the token has expired'],
    ['of tomorrow', () => ({ nbf: nowSeconds() + 70 }), 'the token is not valid yet'],
    ['for others', () => ({ aud: 'billing' }), 'the token is for another audience'],
    ['for several others', () => ({ aud: ['a', 'b'] }), 'the token is for another audience'],
    ['for nobody', () => ({ aud: undefined }), 'the token has no claim aud'],
    ['of another issuer', () => ({ iss: 'https://evil.example' }), /from another issuer/],
    ['of an issuer almost so', () => ({ iss: `${claims().iss}/` }), /from another issuer/],
    ['of no issuer', () => ({ iss: undefined }), 'the token has no claim iss'],
    ['valid for ever', () => ({ exp: undefined }), 'the token has no claim exp'],
    ['that expires as text', () => ({ exp: '9999999999' }), "the token's claim exp is not valid"],
    ['of nobody', () => ({ sub: undefined }), 'the token has no claim sub'],
    ['of an empty subject', () => ({ sub: ' ' }), /claim sub must be text/],
    ['of a subject with NUL', () => ({ sub: 'a\u0000b' }), /claim sub must be text/],
    ['of a subject in lines', () => ({ sub: 'a\nb' }), /claim sub must be text/],
    ['of an endless subject', () => ({ sub: 'a'.repeat(257) }), /claim sub must have at most 256/],
    ['of a number', () => ({ sub: 7 }), /claim sub must be a string/],
    ['with roles in an object', () => ({ roles: { admin: true } }), /claim roles must be an array/],
    ['with orgs in numbers', () => ({ orgs: [1] }), /claim orgs must be an array/],
    ['larger than any', () => ({ more: 'x'.repeat(8_192) }), /larger than 8192 bytes/],
  ] as [string, () => object, string | RegExp][])('a token %s', async (_, over, fault) => {
    // Some of them no library would sign as its own type: they are signed all the same.
    await expectRefused(await sign(signer(), { ...claims(), ...over() }), fault);
  });

  test('a critical header that is not understood', async () => {
    const header = { alg: 'RS256', kid: signer().kid, crit: ['exp'], exp: 1 };
    await expectRefused(handmade(header, claims(), 'AAAA'), 'the token is malformed');
  });

  test('no text at all makes the service stumble', async () => {
    const [header = '', payload = '', signature = ''] = (await valid()).split('.');
    const part = fc.oneof(
      fc.base64String(),
      fc.constantFrom(header, payload, signature, ''),
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
      fc
        .record({ alg: fc.constantFrom('RS256', 'ES256', 'none', 'x'), kid: fc.string() })
        .map((value) => Buffer.from(JSON.stringify(value)).toString('base64url')),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 5 }), async (parts) => {
        const token = parts.join('.');
        fc.pre(token !== `${header}.${payload}.${signature}`);
        const { status, lines } = await ask(token);
        expect(status).toBe(401);
        expect(lines).toHaveLength(1);
      }),
      { numRuns: 200 },
    );
  });
});

test('clocks may be a minute apart, either way', async () => {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  for (const over of [{ exp: nowSeconds - 50 }, { nbf: nowSeconds + 50 }]) {
    expect((await ask(await sign(signer(), claims(over)))).status).toBe(200);
  }
});

test('a token for several audiences is one for ours', async () => {
  const token = await sign(signer(), claims({ aud: ['billing', audience] }));
  expect((await ask(token)).status).toBe(200);
});

describe("the issuer's keys", () => {
  let from: System;
  let first: SigningKey;

  beforeEach(async () => {
    // The clock alone: what waits for servers must go on waiting.
    vi.useFakeTimers({ toFake: ['Date'] });
    from = await start();
    first = signer();
  });
  afterEach(async () => {
    vi.useRealTimers();
    issuer.fail(null);
    issuer.keys.splice(0, issuer.keys.length, first);
    await from.close();
  });

  const passSeconds = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1_000);
  const sinceThen = () => {
    const before = issuer.fetches();
    return () => issuer.fetches() - before;
  };

  test('are fetched with the first token, and once for many', async () => {
    const fetched = sinceThen();
    await askWith({}, { from });
    expect(fetched()).toBe(0);
    const token = await valid();
    await Promise.all(Array.from({ length: 10 }, () => ask(token, { from })));
    await ask(token, { from });
    expect(fetched()).toBe(1);
  });

  test('rotate: a new one is fetched when the first token signed with it comes', async () => {
    expect((await ask(await valid(), { from })).status).toBe(200);
    issuer.keys.unshift(await newKey('second'));
    passSeconds(31);
    const fetched = sinceThen();
    expect((await ask(await valid(), { from })).status).toBe(200);
    expect((await ask(await sign(first, claims()), { from })).status).toBe(200);
    expect(fetched()).toBe(1);
  });

  test('are not fetched for each made-up key id', async () => {
    await ask(await valid(), { from });
    passSeconds(31);
    const fetched = sinceThen();
    for (let guess = 0; guess < 5; guess += 1) {
      const token = await sign(signer(), claims(), { kid: `guess-${guess}` });
      expect((await ask(token, { from })).status).toBe(401);
    }
    expect(fetched()).toBe(1);
  });

  test('that were withdrawn count for five minutes', async () => {
    await ask(await valid(), { from });
    issuer.keys.splice(0, 1, await newKey('second'));
    const fetched = sinceThen();
    passSeconds(290);
    const withdrawn = () => sign(first, claims());
    expect((await ask(await withdrawn(), { from })).status).toBe(200);
    expect(fetched()).toBe(0);
    passSeconds(20);
    await ask(await withdrawn(), { from });
    await vi.waitFor(async () => {
      expect((await ask(await withdrawn(), { from })).status).toBe(401);
    });
    expect(fetched()).toBe(1);
  });

  test.each([
    ['silent', 'silent'],
    ['gone', 'closed'],
    ['broken', { status: 500, body: '' }],
    ['lost behind a sign-in page', { status: 200, body: '<html>' }],
    ['publishing something else', { status: 200, body: '{"keys":7}' }],
  ] as const)('while the issuer is %s are a 503 within a second, and not a 401', async (_, how) => {
    issuer.fail(how);
    const answer = await ask(await valid(), { from });
    expect(answer).toMatchObject({
      status: 503,
      type: 'urn:analytics:problem:unavailable',
      detail: "the token cannot be checked now: the issuer's keys are not available",
      challenge: null,
      retryAfter: expect.stringMatching(/^\d+$/),
    });
    expect(answer.tookMs).toBeLessThan(1_000);
    expect(answer.lines).toEqual([
      expect.objectContaining({ allowed: false, subject: null, reason: answer.detail }),
    ]);
    // And when it is back, so are we.
    issuer.fail(null);
    expect((await ask(await valid(), { from })).status).toBe(200);
  });

  test('that are kept go on for a day while the issuer is away', async () => {
    await ask(await valid(), { from });
    issuer.fail('silent');
    for (const seconds of [400, 3_600, 80_000]) {
      passSeconds(seconds);
      const { status, tookMs } = await ask(await valid(), { from });
      expect(status).toBe(200);
      expect(tookMs).toBeLessThan(500);
    }
    passSeconds(3_600);
    expect((await ask(await valid(), { from })).status).toBe(503);
  });

  test('that are of no use are a 503 too: the token may be right', async () => {
    issuer.keys.splice(0, 1, { ...first, jwk: { ...first.jwk, n: 'AQAB' } });
    expect((await ask(await sign(first, claims()), { from })).status).toBe(503);
  });

  test('are not needed where no actor is', async () => {
    issuer.fail('closed');
    const headers = { Authorization: `Bearer ${await valid()}` };
    const response = await from.app.request('/analytics/v1/status/healthz', { headers });
    expect(response.status).toBe(200);
  });
});

test('without a kid a token is checked with the only key, not with one of several', async () => {
  const token = () => sign(signer(), claims(), { kid: undefined });
  expect((await ask(await token())).status).toBe(200);
  issuer.keys.push(await newKey('another'));
  const from = await start();
  try {
    expect(await ask(await token(), { from })).toMatchObject({
      status: 401,
      detail: 'the token does not say by kid which key it is signed with',
    });
  } finally {
    issuer.keys.pop();
    await from.close();
  }
});
