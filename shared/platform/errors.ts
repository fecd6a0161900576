import type * as z from 'zod';

/** One thing wrong with a request or an event: where, and what. */
export interface Fault {
  path: string;
  message: string;
}

/** Every way the service refuses. Mapped to HTTP once, in `shared/http/problem.ts`. */
export type ErrorCode =
  | 'invalid_request'
  | 'unauthenticated'
  | 'invalid_token'
  | 'forbidden'
  | 'not_found'
  | 'method_not_allowed'
  | 'gone'
  | 'conflict'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'unsupported_encoding'
  | 'unprocessable'
  | 'too_many_requests'
  | 'rate_limited'
  | 'unavailable';

/** A refusal. The log and operators read its message, callers what they are told. */
export class ServiceError extends Error {
  override name = 'ServiceError';
  readonly code: ErrorCode;
  readonly faults: readonly Fault[];
  /** The message, unless that says what is nobody's business outside: hosts, ports, names of queues. */
  readonly told: string;

  constructor(
    code: ErrorCode,
    detail: string,
    faults: readonly Fault[] = [],
    cause?: unknown,
    told = detail,
  ) {
    super(detail, { cause });
    this.code = code;
    this.faults = faults;
    this.told = told;
  }
}

/** So many faults are told in an answer: what has more is not mended by reading them all. */
export const faultsToldMax = 20;
/** A sender's own key may be of any length, and is repeated to it. */
const pathMaxLength = 200;

/** The first faults, and last how many more there are. No answer grows with what is wrong. */
export function fewFaults(faults: readonly Fault[], max = faultsToldMax): Fault[] {
  const told = faults.slice(0, max).map(({ path, message }) => ({
    path: path.length > pathMaxLength ? `${path.slice(0, pathMaxLength).toWellFormed()}…` : path,
    message,
  }));
  const more = faults.length - told.length;
  return more > 0 ? [...told, { path: '', message: `and ${more} more` }] : told;
}

/** Faults as one sentence for a refusal's detail. */
export function faultsText(faults: readonly Fault[]): string {
  return fewFaults(faults)
    .map(({ path, message }) => (path === '' ? message : `${path} ${message}`))
    .join('; ');
}

/** A server that is away: callers are told so, and the message says why as well. */
export function storeAway(told: string, why: string, cause?: unknown): ServiceError {
  return new ServiceError('unavailable', `${told}: ${why}`, [], cause, told);
}

/** A path as people write it: `metadata.team`, `[3].latencyMs`. */
function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) =>
      typeof key === 'number' ? `[${key}]` : index === 0 ? String(key) : `.${String(key)}`,
    )
    .join('');
}

/** zod's issues as faults, in words that make sense after the field's name. */
export function faultsOf(error: z.ZodError): Fault[] {
  return error.issues.map((issue) => ({
    path: pathText(issue.path),
    message: issue.message.endsWith('received undefined')
      ? 'is required'
      : issue.message.replace(
          /^Invalid input: expected (.*), received (.*)$/,
          'must be $1, not $2',
        ),
  }));
}

/** The message of anything thrown, for logs and reasons. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
