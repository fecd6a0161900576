import type { JWTVerifyGetKey } from 'jose';
import type { Settings } from '../platform/env.ts';
import { messageOf, ServiceError } from '../platform/errors.ts';

export type TokenSettings = Pick<Settings, 'JWT_JWKS_URL' | 'JWT_ISSUER' | 'JWT_AUDIENCE'>;

export interface TokenVerifier {
  /**
   * The claims of a JWT that the issuer signed for this audience, and that is valid now.
   *
   * @param onFault told of what goes wrong with the issuer's keys
   * @throws ServiceError `invalid_token` saying what is wrong with it; `unavailable` within a second
   *   while the keys to check it with cannot be had.
   */
  verify(token: string, onFault: (reason: string) => void): Promise<Record<string, unknown>>;
}

/** Asymmetric ones alone: with HS256 a public key, which everybody has, would be the secret. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'EdDSA'],
];

/** How far the issuer's clock and ours may be apart. */
const clockToleranceSeconds = 60;

/** Leaves room for the rest of a request that must be answered within a second. */
const fetchTimeoutMs = 700;
/** Between two fetches for a key that is not known: made-up key ids must not flood the issuer. */
const cooldownMs = 30_000;
/** A key that the issuer withdrew is believed for so long, */
const refreshAfterMs = 300_000;
/** and for so long while the issuer does not answer. */
const keysMaxAgeMs = 86_400_000;

type Jose = typeof import('jose');

/**
 * Checks tokens against the issuer's published keys (JWKS). They are fetched for the first token,
 * kept, and fetched anew from time to time beside the requests, or at once for a key id that is not
 * among them. While the issuer is away the kept ones go on.
 *
 * The library is loaded with the first token: no other mode pays for it.
 */
export function openTokenVerifier({
  JWT_JWKS_URL: url = '',
  JWT_ISSUER: issuer = '',
  JWT_AUDIENCE: audience = '',
}: TokenSettings): TokenVerifier {
  const open = async () => {
    const jose = await import('jose');
    return { jose, keys: signingKeys(jose, url) };
  };
  let opening: ReturnType<typeof open> | undefined;
  return {
    verify: async (token, onFault) => {
      opening ??= open();
      const { jose, keys } = await opening;
      try {
        const { payload } = await jose.jwtVerify(token, keys(onFault), {
          algorithms,
          issuer,
          audience,
          clockTolerance: clockToleranceSeconds,
          requiredClaims: ['sub', 'exp'],
        });
        return payload;
      } catch (error) {
        if (error instanceof ServiceError) throw error;
        if (error instanceof jose.errors.JOSEError) {
          throw new ServiceError('invalid_token', faultOf(jose, error), [], error);
        }
        // Of a key that is published but of no use.
        throw keysUnavailable(error, onFault);
      }
    },
  };
}

function keysUnavailable(error: unknown, onFault: (reason: string) => void): ServiceError {
  onFault(messageOf(error));
  const fault = "the token cannot be checked now: the issuer's keys are not available";
  return new ServiceError('unavailable', fault, [], error);
}

/** The issuer's keys, kept. */
function signingKeys(jose: Jose, url: string) {
  const published = jose.createRemoteJWKSet(new URL(url), {
    timeoutDuration: fetchTimeoutMs,
    cooldownDuration: cooldownMs,
    cacheMaxAge: keysMaxAgeMs,
  });
  let refreshedAtMs = Date.now();

  function refreshAtTimes(onFault: (reason: string) => void): void {
    if (published.jwks() === undefined || Date.now() < refreshedAtMs + refreshAfterMs) return;
    refreshedAtMs = Date.now();
    published.reload().catch((error: unknown) => onFault(messageOf(error)));
  }

  return (onFault: (reason: string) => void): JWTVerifyGetKey =>
    async function signingKey(header, token) {
      refreshAtTimes(onFault);
      try {
        return await published(header, token);
      } catch (error) {
        if (
          error instanceof jose.errors.JWKSNoMatchingKey ||
          error instanceof jose.errors.JWKSMultipleMatchingKeys ||
          error instanceof jose.errors.JOSENotSupported
        ) {
          throw error;
        }
        throw keysUnavailable(error, onFault);
      }
    };
}

const claimFaults: Readonly<Record<string, string>> = {
  aud: 'the token is for another audience',
  iss: 'the token is from another issuer',
  nbf: 'the token is not valid yet',
};

/** What is wrong with a token, without a word of what would be right. */
function faultOf({ errors }: Jose, error: InstanceType<Jose['errors']['JOSEError']>): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (reason === 'missing') return `the token has no claim ${claim}`;
    return claimFaults[claim] ?? `the token's claim ${claim} is not valid`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return 'the token is signed with an algorithm that is not allowed';
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return 'the token is signed with a key that the issuer does not publish';
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return 'the token does not say by kid which key it is signed with';
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return "the token's signature is wrong";
  }
  return 'the token is malformed';
}
