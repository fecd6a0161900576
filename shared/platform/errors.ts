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
  | 'gone'
  | 'conflict'
  | 'payload_too_large'
  | 'unsupported_media_type'
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
