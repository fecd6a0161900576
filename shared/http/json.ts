import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { stringify } from '../decimal-json.ts';
import type { AppEnv } from './context.ts';

/** Answers JSON in which marked decimals are numbers, digit for digit. Never to be cached: what a
 * tenant may see is decided anew each time. */
export function json(
  context: Context<AppEnv>,
  value: unknown,
  status: ContentfulStatusCode = 200,
): Response {
  return context.body(stringify(value), status, {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
  });
}
