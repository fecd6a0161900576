import type * as z from 'zod/mini';
import { parseKeepingCosts } from '../../../shared/decimal-json.ts';
import { problemAnswer } from './answers.ts';
import { curlText } from './curl.ts';
import { identityHeaders } from './identity.ts';

const base = '/analytics/v1';
const timeoutMs = 60_000;

/** Why there is no answer, in words that say what to do. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly title: string;
  /** 0 where nothing answered. */
  readonly status: number;
  readonly retryAfterSeconds: number | null;
  readonly requestId: string | null;

  constructor(
    title: string,
    detail: string,
    status = 0,
    retryAfterSeconds: number | null = null,
    requestId: string | null = null,
  ) {
    super(detail);
    this.title = title;
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
    this.requestId = requestId;
  }
}

export type Query = readonly (readonly [name: string, value: string])[];

export interface ApiRequest {
  path: string;
  query?: Query;
  /** Posted as JSON. */
  body?: object;
}

/** A path whose values are one segment each, whatever they hold. */
export function pathTo(parts: TemplateStringsArray, ...values: readonly string[]): string {
  return String.raw({ raw: parts }, ...values.map(encodeURIComponent));
}

/** @throws ApiError, and what the signal was aborted with. */
export async function ask<Schema extends z.ZodMiniType>(
  request: ApiRequest,
  schema: Schema,
  signal: AbortSignal,
): Promise<z.infer<Schema>> {
  return askAt(urlOf(request), schema, signal, request.body);
}

/** The same for an address of this host. */
export async function askAt<Schema extends z.ZodMiniType>(
  url: string,
  schema: Schema,
  signal: AbortSignal,
  body?: object,
): Promise<z.infer<Schema>> {
  const response = await send(url, signal, body);
  const text = await response.text();
  if (!response.ok) throw problemOf(response, text);
  const parsed = schema.safeParse(parsedJson(text));
  if (parsed.success) return parsed.data;
  throw new ApiError(
    'The answer is not what was expected',
    'Something in between may have answered in the API’s place, or it was just updated: reload the page.',
    response.status,
    null,
    response.headers.get('X-Request-Id'),
  );
}

async function send(url: string, signal: AbortSignal, body?: object): Promise<Response> {
  const headers = {
    Accept: 'application/json',
    // A page cannot follow a link that leads elsewhere: it is told where to.
    Prefer: 'return=representation',
    ...identityHeaders(),
  };
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    return await fetch(url, {
      signal: AbortSignal.any([signal, limit]),
      headers: body === undefined ? headers : { ...headers, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw limit.aborted
      ? new ApiError(
          'The API did not answer',
          `Nothing came within ${timeoutMs / 1_000} s. Ask for a shorter window, or try again.`,
        )
      : new ApiError(
          'The API cannot be reached',
          'There is no connection to it. Check the network or VPN, then try again.',
        );
  }
}

function parsedJson(text: string): unknown {
  try {
    return parseKeepingCosts(text);
  } catch {
    return undefined;
  }
}

function problemOf(response: Response, text: string): ApiError {
  const { data } = problemAnswer.safeParse(parsedJson(text));
  const retryAfter = response.headers.get('Retry-After');
  const seconds = retryAfter === null ? Number.NaN : Number(retryAfter);
  return new ApiError(
    data?.title ?? `The answer was ${response.status} ${response.statusText}`.trim(),
    data?.detail ?? 'It came from something between this page and the API. Try again.',
    response.status,
    Number.isFinite(seconds) ? seconds : null,
    response.headers.get('X-Request-Id'),
  );
}

function urlOf({ path, query = [] }: ApiRequest): string {
  const text = new URLSearchParams(query.map(([name, value]) => [name, value])).toString();
  return `${base}${path}${text === '' ? '' : `?${text}`}`;
}

/** A request as a command that asks the same. */
export function curlOf(request: ApiRequest): string {
  return curlText({
    url: new URL(urlOf(request), location.href).href,
    headers: identityHeaders(),
    ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
  });
}
