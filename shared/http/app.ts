import { randomUUID } from 'node:crypto';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { Hono, type MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { secureHeaders } from 'hono/secure-headers';
import { Registry } from 'prom-client';
import { messageOf, ServiceError } from '../platform/errors.ts';
import type { Logger } from '../platform/telemetry/telemetry.ts';
import { inSpan, isTracing, traceIn } from '../platform/telemetry/tracing.ts';
import { BodyBudget } from './body-budget.ts';
import type { AppEnv } from './context.ts';
import { healthLog } from './health-log.ts';
import { httpMetrics, knownMethods } from './metrics.ts';
import { noRoute } from './no-route.ts';
import { plainPath } from './plain-path.ts';
import { onError, problem } from './problem.ts';
import { requestAttributes } from './request-attributes.ts';
import { sameSecret } from './same-secret.ts';

export interface HttpAppOptions {
  logger: Logger;
  /** What finds out who asks, of functions that actors call: `actorsOf`. */
  actors?: readonly MiddlewareHandler<AppEnv>[];
  /** The routes to serve: one function's, or all of them in the local run. */
  routes: readonly Hono<AppEnv>[];
  /** What readiness asks. Cheap: the platform calls it often. Throws when not ready. */
  ready?: () => Promise<void>;
  /** Where requests and the process are counted, for one who sends the numbers on. */
  registry?: Registry;
  /** More Prometheus text for `/metrics`, such as the numbers kept in tables. */
  metrics?: () => Promise<string>;
  /** Who brings it as a bearer token is told those too; without one set, everybody is. */
  metricsToken?: string | undefined;
}

/**
 * What every function shares around its routes: request id, log, span, metrics, actor, errors as
 * problem+json, the platform's probes and `/metrics`.
 */
export function httpApp(options: HttpAppOptions): Hono<AppEnv> {
  const { logger, actors = [], routes, ready = async () => {}, metrics } = options;
  const { registry = new Registry(), metricsToken } = options;
  const noteReadiness = healthLog('readiness');
  const app = new Hono<AppEnv>();
  app.onError(onError);
  app.use(identifyRequest(logger));
  app.use(httpMetrics(registry));

  app.get('/health/liveness', (context) => context.text('OK'));
  app.get('/health/readiness', async (context) => {
    try {
      await ready();
      noteReadiness(context.var.logger, {});
      return context.text('OK');
    } catch (error) {
      const reason = messageOf(error);
      noteReadiness(context.var.logger, { ready: reason });
      const told = error instanceof ServiceError ? error.told : 'not ready';
      return problem(context, 'unavailable', told);
    }
  });
  app.get('/metrics', async (context) => {
    const given = context.req.header('Authorization');
    const isTrusted =
      metricsToken === undefined || sameSecret(given ?? '', `Bearer ${metricsToken}`);
    // One that is wrong is a mistake in a setting, and must not pass for a service without numbers.
    if (!isTrusted && given !== undefined) {
      return problem(context, 'unauthenticated', 'the bearer token is not the right one');
    }
    // With the database away the process's own numbers are worth having all the same.
    const asked = isTrusted ? metrics?.() : undefined;
    const kept = await asked?.catch((error: unknown) => {
      context.var.logger.warn({ reason: messageOf(error) }, 'numbers kept in tables are missing');
      return '';
    });
    const text = `${await registry.metrics()}\n${kept ?? ''}`;
    return context.body(text, 200, { 'Content-Type': registry.contentType });
  });

  app.use(traceRequest());
  app.use(secureHeaders());
  app.use(plainPath());
  app.use(limitBodies());
  for (const middleware of actors) app.use(middleware);
  for (const route of routes) app.route('/', route);
  app.notFound(noRoute(app.routes));
  return app;
}

/** Nothing reads a body here: who asks, and for what, is known first (see `readBody`). */
function limitBodies(): MiddlewareHandler<AppEnv> {
  const bodies = new BodyBudget();
  return async function limitBodies(context, next) {
    context.set('bodies', bodies);
    await next();
  };
}

const requestIdForm = /^[A-Za-z0-9._:-]{1,128}$/;

/** `X-Request-Id`: the caller's where it is well formed, else one of ours. */
function identifyRequest(logger: Logger): MiddlewareHandler<AppEnv> {
  return async function identifyRequest(context, next) {
    const given = context.req.header('X-Request-Id');
    const requestId = given !== undefined && requestIdForm.test(given) ? given : randomUUID();
    context.set('requestId', requestId);
    context.set('logger', logger.child({ requestId }));
    await next();
    context.header('X-Request-Id', requestId);
  };
}

/** A span for each request, named by its route; a caller's trace goes on. */
function traceRequest(): MiddlewareHandler<AppEnv> {
  return function traceRequest(context, next) {
    if (!isTracing()) return next();
    const { method } = context.req;
    const attributes = requestAttributes(context);
    return inSpan(
      knownMethods.has(method) ? method : 'HTTP',
      { kind: SpanKind.SERVER, attributes },
      async (span) => {
        await next();
        const route = routePath(context, -1);
        // Only middleware matched.
        if (!route.endsWith('*')) {
          span.updateName(`${method} ${route}`).setAttribute('http.route', route);
        }
        const { status } = context.res;
        span.setAttribute('http.response.status_code', status);
        if (status < 500) return;
        span.setAttribute('error.type', String(status));
        span.setStatus({ code: SpanStatusCode.ERROR });
      },
      traceIn(context.req.header()),
    );
  };
}
