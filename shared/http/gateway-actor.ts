import type { Context } from 'hono';
import { type Actor, subjectMaxLength } from '../access.ts';
import type { Settings } from '../platform/env.ts';
import { ServiceError } from '../platform/errors.ts';
import type { AppEnv } from './context.ts';
import { incomingOf } from './incoming.ts';
import { sameSecret } from './same-secret.ts';

/** What the gateway sets once it knows who is asking. */
const gatewayHeaders = ['X-Gateway-Secret', 'X-Actor-Subject', 'X-Actor-Roles', 'X-Actor-Orgs'];

/** Identifies an actor by the gateway's headers; with a secret set, only beside that. */
export function gatewayActor({
  GATEWAY_SHARED_SECRET: secret,
}: Pick<Settings, 'GATEWAY_SHARED_SECRET'>): (context: Context<AppEnv>) => Actor | ServiceError {
  return function gatewayActor(context) {
    const doubled = doubledHeader(context);
    if (doubled !== undefined) return unauthenticated(`the header ${doubled} came more than once`);
    if (secret !== undefined && !sameSecret(context.req.header('X-Gateway-Secret') ?? '', secret)) {
      return unauthenticated('X-Gateway-Secret is missing or wrong');
    }
    const subject = context.req.header('X-Actor-Subject')?.trim();
    if (!subject) return unauthenticated('the header X-Actor-Subject is missing');
    if (subject.length > subjectMaxLength) {
      return unauthenticated(
        `the header X-Actor-Subject is longer than ${subjectMaxLength} characters`,
      );
    }
    return {
      subject,
      roles: list(context.req.header('X-Actor-Roles')),
      orgs: list(context.req.header('X-Actor-Orgs')).map((org) => org.toLowerCase()),
    };
  };
}

function unauthenticated(fault: string): ServiceError {
  return new ServiceError('unauthenticated', fault);
}

/**
 * A header that came in two lines, which would be joined to one. The gateway sends each once: where
 * it adds its own without removing the caller's, the caller would choose its own roles and orgs,
 * and the right secret would stand beside them.
 */
function doubledHeader(context: Context<AppEnv>): string | undefined {
  const lines = incomingOf(context)?.headersDistinct ?? {};
  return gatewayHeaders.find((name) => (lines[name.toLowerCase()]?.length ?? 0) > 1);
}

function list(header: string | undefined): string[] {
  return (header ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
