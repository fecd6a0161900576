import type { Context } from 'hono';
import * as z from 'zod';
import { type Actor, subjectMaxLength } from '../access.ts';
import { ServiceError } from '../platform/errors.ts';
import type { AppEnv } from './context.ts';
import { openTokenVerifier, type TokenSettings } from './token-verifier.ts';

/** Room for a hundred orgs; it bounds what the claims can hold. */
const tokenMaxBytes = 8_192;

/** Two headers are joined with a comma, which no token has. */
const bearerForm = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i;

const listForm = 'must be an array of strings, or one string parted by spaces or commas';

/** Issuers write lists either way, as OAuth's `scope` is one string. */
const listClaim = z
  .union([z.array(z.string()), z.string().transform((text) => text.split(/[\s,]+/))], listForm)
  .transform((items) => items.filter((item) => item !== ''))
  .default([]);

const claimsForm = z.object({
  // PostgreSQL's text cannot hold NUL, and nobody's name has a line break.
  sub: z
    .string('must be a string')
    .trim()
    .regex(/^\P{Cc}+$/u, 'must be text without control characters')
    .max(subjectMaxLength, `must have at most ${subjectMaxLength} characters`),
  roles: listClaim,
  orgs: listClaim,
});

/** Identifies an actor by the bearer token's claims `sub`, `roles` and `orgs`. */
export function tokenActor(
  settings: TokenSettings,
): (context: Context<AppEnv>) => Promise<Actor | ServiceError> {
  const verifier = openTokenVerifier(settings);
  return async function tokenActor(context) {
    const header = context.req.header('Authorization');
    if (header === undefined) {
      return new ServiceError('unauthenticated', 'the header Authorization is missing');
    }
    const [, token] = bearerForm.exec(header) ?? [];
    if (token === undefined) {
      return new ServiceError(
        'unauthenticated',
        'the header Authorization must be Bearer and a token',
      );
    }
    if (token.length > tokenMaxBytes) {
      return invalidToken(`the token is larger than ${tokenMaxBytes} bytes`);
    }
    try {
      return actorOf(
        await verifier.verify(token, (reason) =>
          context.var.logger.warn({ reason }, "the issuer's keys cannot be fetched"),
        ),
      );
    } catch (error) {
      if (error instanceof ServiceError) return error;
      throw error;
    }
  };
}

function actorOf(claims: Record<string, unknown>): Actor | ServiceError {
  const { data, error } = claimsForm.safeParse(claims);
  if (data === undefined) {
    const [issue] = error.issues;
    return invalidToken(`the token's claim ${issue?.path[0]?.toString()} ${issue?.message}`);
  }
  return {
    subject: data.sub,
    roles: data.roles,
    orgs: data.orgs.map((org) => org.toLowerCase()),
  };
}

function invalidToken(fault: string): ServiceError {
  return new ServiceError('invalid_token', fault);
}
