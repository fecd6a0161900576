import type { Context } from 'hono';
import type { AppEnv } from '../../shared/http/context.ts';

export interface RefusedRequest {
  subject: string;
  accepted: number;
  rejected: number;
  /** Why, as the answer says it. */
  reason: string;
}

const linesMax = 10;
const everyMs = 1_000;
const reasonMaxLength = 500;

/**
 * A line for each request of which something was refused, at most ten a second: a producer's bad
 * release refuses thousands. What is left out is counted in a line of its own.
 */
export function refusalLog(): (context: Context<AppEnv>, request: RefusedRequest) => void {
  let lines = 0;
  let leftOut = { requests: 0, rejected: 0 };

  return ({ var: { logger } }, { reason, ...request }) => {
    // Beside the requests, since the last line is written after them.
    if (lines === 0) {
      setTimeout(() => {
        if (leftOut.requests > 0) logger.info(leftOut, 'more events refused');
        lines = 0;
        leftOut = { requests: 0, rejected: 0 };
      }, everyMs).unref();
    }
    lines += 1;
    if (lines > linesMax) {
      leftOut.requests += 1;
      leftOut.rejected += request.rejected;
      return;
    }
    logger.info({ ...request, reason: reason.slice(0, reasonMaxLength) }, 'events refused');
  };
}
