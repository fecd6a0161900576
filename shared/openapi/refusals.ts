import { roles } from '../access.ts';
import { smallBodyMaxBytes, tooManyBodies } from '../http/body.ts';
import { problems } from '../http/problem.ts';
import { bodyEncodings } from '../platform/body-encoding.ts';
import type { ErrorCode } from '../platform/errors.ts';
import { problem } from './answer-parts.ts';
import { exampleIds } from './examples.ts';
import type { Json, JsonSchemas } from './json-schema.ts';
import type { Operation, Refusal } from './operation.ts';

/** On what an actor is answered, unless RATE_LIMIT_PER_MINUTE is 0. */
export const rateLimitHeaders = ['RateLimit-Policy', 'RateLimit'];

const explained: readonly (readonly [ErrorCode, string])[] = [
  ['invalid_request', 'The request is not valid; `errors` names what is wrong with it.'],
  ['unauthenticated', 'The request names no actor that can be believed.'],
  ['forbidden', 'The actor lacks the role, or the org is not among its own.'],
  ['not_found', 'There is nothing here, or not yet.'],
  ['gone', 'What was here is no longer there.'],
  ['conflict', 'The request contradicts an earlier one.'],
  ['payload_too_large', 'The body is too large.'],
  ['unsupported_media_type', 'The body is of a content type that is not known here.'],
  ['unsupported_encoding', 'The body is packed in a way that is not known here.'],
  ['unprocessable', 'The body can be read, and nothing of it can be accepted.'],
  ['too_many_requests', 'Too much is waiting already.'],
  ['rate_limited', 'The actor asks too often.'],
  [
    'unavailable',
    'A store is away, or too many large bodies are on their way. Answered within a second; asking ' +
      'again is worth while.',
  ],
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
      : {
          unauthenticated: { detail: 'the header X-Actor-Subject is missing' },
          rate_limited: { detail: 'more than 600 requests in a minute: ask again in 42 s' },
        }),
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
          payload_too_large: {
            detail: `the body must be at most ${operation.bodyMaxBytes ?? smallBodyMaxBytes} bytes`,
          },
          unsupported_media_type: {
            detail: `the content type is missing: send ${Object.keys(body).join(' or ')}`,
          },
          unsupported_encoding: {
            detail: `the content encoding br is not known here: use ${bodyEncodings.join(' or ')}`,
          },
        }),
    ...(usesStores
      ? { unavailable: { detail: 'the database is not available' } }
      : body === undefined
        ? {}
        : { unavailable: { detail: tooManyBodies } }),
  };
}

/** The headers of a refusal beside those that every answer has. */
function headersOf(status: number, access: Operation['access']): string[] {
  if (status === 401) return ['WWW-Authenticate'];
  const limits = access === 'everybody' ? [] : rateLimitHeaders;
  if (status === 415) return ['Accept-Encoding', ...limits];
  return status === 429 || status === 503 ? ['Retry-After', ...limits] : limits;
}

/** The responses that refuse, by status. */
export function refusalResponses(operation: Operation, schemas: JsonSchemas): Json {
  const instance = `/analytics/v1${operation.path}`
    .replace('{orgId}', exampleIds.org)
    .replace('{jobId}', exampleIds.job);
  const schema = schemas.of(operation.problem ?? problem);
  const response = (status: number, description: string, examples: Json) => ({
    description,
    headers: Object.fromEntries(
      ['X-Request-Id', ...headersOf(status, operation.access)].map((name) => [
        name,
        { $ref: `#/components/headers/${name}` },
      ]),
    ),
    content: { 'application/problem+json': { schema, examples } },
  });
  const refusals = refusalsOf(operation);
  const byStatus = new Map<number, { descriptions: string[]; examples: Json }>();
  for (const [code, description] of explained) {
    const refusal = refusals[code];
    if (refusal === undefined) continue;
    const { status, title } = problems[code];
    const type = `urn:analytics:problem:${code.replaceAll('_', '-')}`;
    const { descriptions, examples } = byStatus.get(status) ?? { descriptions: [], examples: {} };
    const name = descriptions.length === 0 ? 'refused' : code;
    byStatus.set(status, {
      descriptions: [...descriptions, description],
      examples: { ...examples, [name]: { value: { type, title, status, ...refusal, instance } } },
    });
  }
  const failed = {
    type: 'urn:analytics:problem:internal',
    title: 'Something went wrong',
    status: 500,
    detail: 'An error of ours; quote request 5f7c1f0e-6d5c-4a52-9d0e-6f3a1f0b7c11 to support.',
    instance,
  };
  const examples = { refused: { value: failed } };
  return {
    ...Object.fromEntries(
      [...byStatus].map(([status, one]) => [
        status,
        response(status, one.descriptions.join(' Or: '), one.examples),
      ]),
    ),
    ...(operation.usesStores
      ? { 500: response(500, 'An error of ours. Nothing of its cause is told.', examples) }
      : {}),
  };
}
