import type { Context, ErrorHandler, NotFoundHandler } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { bodyEncodings } from '../platform/body-encoding.ts';
import { sqlState } from '../platform/database/db.ts';
import {
  type ErrorCode,
  type Fault,
  fewFaults,
  messageOf,
  ServiceError,
} from '../platform/errors.ts';
import { StoreError } from '../platform/object-store/store-error.ts';
import { CutOffError } from './body.ts';
import type { AppEnv } from './context.ts';
import { incomingOf } from './incoming.ts';

/** How each refusal is answered. */
export const problems: Record<ErrorCode, { status: ContentfulStatusCode; title: string }> = {
  invalid_request: { status: 400, title: 'The request is not valid' },
  unauthenticated: { status: 401, title: 'Nobody is signed in' },
  invalid_token: { status: 401, title: 'The token is not accepted' },
  forbidden: { status: 403, title: 'Not allowed' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'Not by this method' },
  conflict: { status: 409, title: 'Conflict' },
  gone: { status: 410, title: 'No longer available' },
  payload_too_large: { status: 413, title: 'The request is too large' },
  unsupported_media_type: { status: 415, title: 'The content type is not supported' },
  unsupported_encoding: { status: 415, title: 'The content encoding is not supported' },
  unprocessable: { status: 422, title: 'Nothing of it can be accepted' },
  too_many_requests: { status: 429, title: 'Too many requests' },
  rate_limited: { status: 429, title: 'Asked too often' },
  unavailable: { status: 503, title: 'Temporarily not available' },
};
const retryAfterSeconds = 5;

/**
 * RFC 9457. `errors` is there where a request was invalid, and has the first of them.
 *
 * @param more members of this problem's own
 */
export function problem(
  context: Context<AppEnv>,
  code: ErrorCode,
  detail: string,
  faults: readonly Fault[] = [],
  more: object = {},
): Response {
  const { status, title } = problems[code];
  return problemResponse(context, status, title, code.replaceAll('_', '-'), detail, faults, more);
}

function problemResponse(
  context: Context<AppEnv>,
  status: ContentfulStatusCode,
  title: string,
  type: string,
  detail: string,
  faults: readonly Fault[] = [],
  more: object = {},
): Response {
  const headers: Record<string, string> = { 'Content-Type': 'application/problem+json' };
  if (status === 503 || status === 429) headers['Retry-After'] = String(retryAfterSeconds);
  // RFC 9110, 15.5.16: what would have been taken.
  if (type === 'unsupported-encoding') headers['Accept-Encoding'] = bodyEncodings.join(', ');
  if (status === 401) {
    // RFC 6750: an error is named only to those who sent a token.
    headers['WWW-Authenticate'] =
      type === 'invalid-token' ? 'Bearer error="invalid_token"' : 'Bearer';
  }
  return context.body(
    JSON.stringify({
      type: `urn:analytics:problem:${type}`,
      title,
      status,
      detail,
      instance: context.req.path,
      ...(faults.length > 0 ? { errors: fewFaults(faults) } : {}),
      ...more,
    }),
    status,
    headers,
  );
}

/** The one place where what was thrown becomes an answer. Nothing internal gets out. */
export const onError: ErrorHandler<AppEnv> = (error, context) => {
  if (error instanceof ServiceError) {
    if (error.code === 'unavailable')
      context.var.logger.warn({ reason: error.message }, 'unavailable');
    return problem(context, error.code, error.told, error.faults);
  }
  if (error instanceof StoreError) {
    // What is wrong with the store, and what helps, is for us and not for the caller.
    context.var.logger.warn({ reason: error.message }, 'unavailable');
    return problem(context, 'unavailable', 'the object store is not available');
  }
  const incoming = incomingOf(context);
  if (error instanceof CutOffError || (incoming?.destroyed === true && !incoming.complete)) {
    // Gone, or cut off for being slow. Nobody reads the answer, but it is counted.
    context.var.logger.info({ reason: messageOf(error) }, 'request did not come whole');
    return problem(context, 'invalid_request', 'the request did not come whole');
  }
  const queryCanceled = '57014';
  if (sqlState(error) === queryCanceled) {
    context.var.logger.warn({ path: context.req.path }, 'query took too long');
    return problem(context, 'unavailable', 'the query took too long: narrow the window');
  }
  context.var.logger.error({ error: messageOf(error), stack: error.stack }, 'request failed');
  const detail = `An error of ours; quote request ${context.var.requestId} to support.`;
  return problemResponse(context, 500, 'Something went wrong', 'internal', detail);
};

export const onNotFound: NotFoundHandler<AppEnv> = (context) =>
  problem(context, 'not_found', `there is no ${context.req.method} ${context.req.path}`);
