import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { Counter, collectDefaultMetrics, Histogram, type Registry } from 'prom-client';
import type { AppEnv } from './context.ts';

/**
 * Keeps a function's metrics in a registry that has none yet: those of the process, and by the
 * middleware those of requests, by route and never by path, so that the label sets stay bounded.
 */
export function httpMetrics(registry: Registry): MiddlewareHandler<AppEnv> {
  collectDefaultMetrics({ register: registry });
  const labelNames = ['method', 'route', 'status'];
  const requests = new Counter({
    name: 'http_requests_total',
    help: 'HTTP requests answered',
    labelNames,
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from request to response',
    labelNames,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return async function countRequests(context, next) {
    const startedMs = performance.now();
    await next();
    const labels = {
      method: knownMethods.has(context.req.method) ? context.req.method : 'other',
      route: routePath(context, -1),
      status: String(context.res.status),
    };
    requests.inc(labels);
    duration.observe(labels, (performance.now() - startedMs) / 1_000);
  };
}

export const knownMethods: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
]);
