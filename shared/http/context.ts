import type { Actor } from '../access.ts';
import type { ServiceError } from '../platform/errors.ts';
import type { Logger } from '../platform/telemetry/telemetry.ts';
import type { BodyBudget } from './body-budget.ts';

/** What the middleware leaves for handlers in Hono's context. */
export interface AppEnv {
  Variables: {
    requestId: string;
    logger: Logger;
    /** Who asks, or why the request names nobody who can be believed. */
    actor: Actor | ServiceError;
    /** Bounds the bodies that the process reads at once; absent, each has its own limit alone. */
    bodies: BodyBudget | undefined;
  };
}
