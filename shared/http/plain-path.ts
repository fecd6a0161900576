import type { MiddlewareHandler } from 'hono';
import { cutText } from '../platform/telemetry/line-bounds.ts';
import { audit } from './audit.ts';
import type { AppEnv } from './context.ts';
import { incomingOf } from './incoming.ts';
import { problem } from './problem.ts';

/** In the audit line. */
const pathMaxLength = 256;

/** Empty, `.` and `..` segments, and what is a dot, slash or backslash once decoded. */
const ambiguous = /\/\/|\/\.{1,2}(\/|$)|\\|%(2e|2f|5c)/i;

/**
 * Refuses a path that can be read in two ways. Node would resolve `..` where the gateway in front
 * might not, and the rule that let the request through would be another path's.
 */
export function plainPath(): MiddlewareHandler<AppEnv> {
  return async function plainPath(context, next) {
    const target = incomingOf(context)?.url ?? context.req.path;
    const [path = ''] = target.split('?');
    if (ambiguous.test(path)) {
      const detail = 'the path must not have empty, . or .. segments, nor %2e, %2f, %5c or \\';
      const asked = cutText(path, pathMaxLength);
      const action = 'path:refuse';
      audit(context, {
        actor: undefined,
        action,
        orgId: null,
        allowed: false,
        reason: `${detail}: ${asked}`,
      });
      return problem(context, 'invalid_request', detail, [{ path: '', message: detail }]);
    }
    await next();
    return undefined;
  };
}
