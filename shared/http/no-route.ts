import type { NotFoundHandler } from 'hono';
import { TrieRouter } from 'hono/router/trie-router';
import type { RouterRoute } from 'hono/types';
import type { AppEnv } from './context.ts';
import { onNotFound, problem } from './problem.ts';

/** What Hono calls the method of middleware. */
const everyMethod = 'ALL';

/**
 * Answers what no route took: a path that is known by other methods with 405 and those methods (RFC
 * 9110, 15.5.6), any other with 404.
 */
export function noRoute(routes: readonly RouterRoute[]): NotFoundHandler<AppEnv> {
  const router = new TrieRouter<string>();
  for (const { method, path } of routes) {
    if (method !== everyMethod) router.add(everyMethod, path, method);
  }

  function methodsOf(path: string): string[] {
    const methods = new Set(router.match(everyMethod, path)[0].map(([method]) => method));
    // Hono answers it as it does GET, without the body.
    if (methods.has('GET')) methods.add('HEAD');
    return [...methods].sort();
  }

  return function noRoute(context) {
    const { method, path } = context.req;
    const methods = methodsOf(path);
    // One that a route took and gave back, such as a file that is not there, is not found.
    if (methods.length === 0 || methods.includes(method)) return onNotFound(context);
    const allowed = methods.join(', ');
    const detail = `${path} does not take ${method}: it takes ${allowed}`;
    const response = problem(context, 'method_not_allowed', detail);
    response.headers.set('Allow', allowed);
    return response;
  };
}
