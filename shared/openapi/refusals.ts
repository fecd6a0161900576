import { roles } from '../access.ts';
import { bodyMaxBytes } from '../http/app.ts';
import { problems } from '../http/problem.ts';
import type { ErrorCode } from '../platform/errors.ts';
import { exampleIds } from './examples.ts';
import type { Json } from './json-schema.ts';
import type { Operation, Refusal } from './operation.ts';

const explained: readonly (readonly [ErrorCode, string])[] = [
  ['invalid_request', 'The request is not valid; `errors` names everything that is wrong with it.'],
  ['unauthenticated', 'The request names no actor that can be believed.'],
  ['forbidden', 'The actor lacks the role, or the org is not among its own.'],
  ['not_found', 'There is nothing here, or not yet.'],
  ['gone', 'What was here is no longer there.'],
  ['conflict', 'The request contradicts an earlier one.'],
  ['payload_too_large', 'The body is too large.'],
  ['unsupported_media_type', 'The body is of a content type that is not known here.'],
  ['too_many_requests', 'Too much is waiting already.'],
  ['unavailable', 'A store is away. Answered within a second; asking again is worth while.'],
];

/** What an operation refuses: what it says itself, and what follows from its actor and its body. */
function refusalsOf(operation: Operation): Partial<Record<ErrorCode, Refusal>> {
  const { access, body, usesStores } = operation;
  const isOrgs = operation.path.includes('{orgId}');
  const wanted = Array.isArray(access) ? [...new Set([...access, roles.admin])] : [];
  return {
    ...operation.refusals,
    ...(access === 'everybody'
      ? {}
      : { unauthenticated: { detail: 'the header X-Actor-Subject is missing' } }),
    ...(wanted.length === 0
      ? {}
      : {
          forbidden: {
            detail: isOrgs
              ? `org ${exampleIds.org} is not among the actor's orgs`
              : `missing role: one of ${wanted.join(', ')}`,
          },
        }),
    ...(body === undefined
      ? {}
      : {
          payload_too_large: { detail: `the body must be at most ${bodyMaxBytes} bytes` },
          unsupported_media_type: {
            detail: `the content type is missing: send ${Object.keys(body).join(' or ')}`,
          },
        }),
    ...(usesStores ? { unavailable: { detail: 'the database is not available' } } : {}),
  };
}

/** The responses that refuse, by status. */
export function refusalResponses(operation: Operation): Json {
  const instance = `/analytics/v1${operation.path}`
    .replace('{orgId}', exampleIds.org)
    .replace('{jobId}', exampleIds.job);
  const response = (status: number, description: string, example: Json, headers: string[]) => ({
    description,
    headers: Object.fromEntries(
      ['X-Request-Id', ...headers].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
    ),
    content: {
      'application/problem+json': {
        schema: { $ref: '#/components/schemas/Problem' },
        examples: { refused: { value: { ...example, status, instance } } },
      },
    },
  });
  const refused = explained.flatMap(([code, description]) => {
    const refusal = refusalsOf(operation)[code];
    if (refusal === undefined) return [];
    const { status, title } = problems[code];
    const type = `urn:analytics:problem:${code.replaceAll('_', '-')}`;
    const headers =
      status === 401
        ? ['WWW-Authenticate']
        : status === 429 || status === 503
          ? ['Retry-After']
          : [];
    return [[status, response(status, description, { type, title, ...refusal }, headers)]];
  });
  const failed = {
    type: 'urn:analytics:problem:internal',
    title: 'Something went wrong',
    detail: 'An error of ours; quote request 5f7c1f0e-6d5c-4a52-9d0e-6f3a1f0b7c11 to support.',
  };
  return {
    ...Object.fromEntries(refused),
    ...(operation.usesStores
      ? { 500: response(500, 'An error of ours. Nothing of its cause is told.', failed, []) }
      : {}),
  };
}
