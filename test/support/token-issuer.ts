import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  exportJWK,
  type GenerateKeyPairResult,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  SignJWT,
} from 'jose';

/** What a token is signed with. */
export interface SigningKey {
  kid: string;
  alg: string;
  privateKey: GenerateKeyPairResult['privateKey'];
  jwk: JWK;
}

export interface TokenIssuer {
  /** The settings of a service that believes this issuer. */
  environment: Record<'AUTH_MODE' | 'JWT_JWKS_URL' | 'JWT_ISSUER' | 'JWT_AUDIENCE', string>;
  /** The keys that it publishes now, the first of which signs. */
  keys: SigningKey[];
  /** How often the published keys were asked for. */
  fetches(): number;
  /** What it answers instead of its keys: nothing at all, or some other answer. */
  fail(how: 'silent' | 'closed' | { status: number; body: string } | null): void;
  close(): Promise<void>;
}

export const audience = 'analytics';

export async function newKey(kid: string, alg = 'RS256'): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

/** An issuer of tokens that publishes its keys over HTTP. */
export async function startTokenIssuer(): Promise<TokenIssuer> {
  const keys = [await newKey('first')];
  let fetches = 0;
  let failure: Parameters<TokenIssuer['fail']>[0] = null;
  const server = createServer((incoming, outgoing) => {
    fetches += 1;
    if (failure === 'silent') return;
    if (failure === 'closed') {
      incoming.socket.destroy();
      return;
    }
    const { status, body } = failure ?? {
      status: 200,
      body: JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }),
    };
    outgoing.writeHead(status, { 'Content-Type': 'application/json' }).end(body);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    environment: {
      AUTH_MODE: 'jwt',
      JWT_JWKS_URL: `${url}/keys`,
      JWT_ISSUER: url,
      JWT_AUDIENCE: audience,
    },
    keys,
    fetches: () => fetches,
    fail: (how) => {
      failure = how;
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

/** What a valid token of the issuer says, for a minute. */
export function validClaims({ environment }: TokenIssuer, over: JWTPayload = {}): JWTPayload {
  const nowSeconds = Math.floor(Date.now() / 1_000);
  return {
    iss: environment.JWT_ISSUER,
    aud: audience,
    sub: 'test-actor',
    iat: nowSeconds,
    exp: nowSeconds + 60,
    ...over,
  };
}

/** A token signed with a key; the header may lie about it. */
export function sign(
  { kid, alg, privateKey }: SigningKey,
  claims: JWTPayload,
  header: Record<string, unknown> = {},
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, kid, ...header }).sign(privateKey);
}

/** A token put together by hand, where no library would sign it. */
export function handmade(header: object, claims: object, signature = ''): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(claims)}.${signature}`;
}
