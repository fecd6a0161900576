import type { Actor } from '../access.ts';
import type { Logger } from '../telemetry.ts';

/** What the middleware leaves for handlers in Hono's context. */
export interface AppEnv {
  Variables: {
    requestId: string;
    logger: Logger;
    /** Null when the request names no actor that can be believed. */
    actor: Actor | null;
    /** Why there is no actor. */
    actorFault: string;
  };
}
