import { IncomingMessage } from 'node:http';
import type { Context } from 'hono';
import type { AppEnv } from './context.ts';

/**
 * The request as it came over the wire, before headers are joined and paths are resolved. Undefined
 * for one that was made in this process and came through no socket.
 */
export function incomingOf({ env }: Context<AppEnv>): IncomingMessage | undefined {
  const bindings: unknown = env;
  if (typeof bindings !== 'object' || bindings === null || !('incoming' in bindings)) {
    return undefined;
  }
  return bindings.incoming instanceof IncomingMessage ? bindings.incoming : undefined;
}
