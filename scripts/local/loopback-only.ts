import { getConnInfo } from '@hono/node-server/conninfo';
import { Hono } from 'hono';
import type { AppEnv } from '../../shared/http/context.ts';
import { problem } from '../../shared/http/problem.ts';

/**
 * Event-driven functions are never routed outside. Here, where one process serves all, only this
 * machine may reach them. A request without a socket was made in this very process.
 */
export function loopbackOnly(routes: Hono<AppEnv>): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.use('/internal/*', async function loopbackOnly(context, next) {
    const address = context.env === undefined ? '' : remoteAddress(context);
    if (address !== '' && !/^(::1|(::ffff:)?127\.)/.test(address)) {
      return problem(context, 'not_found', `there is no ${context.req.path}`);
    }
    await next();
    return undefined;
  });
  return app.route('/', routes);
}

function remoteAddress(context: Parameters<typeof getConnInfo>[0]): string {
  const hasSocket = typeof context.env === 'object' && 'incoming' in context.env;
  return hasSocket ? (getConnInfo(context).remote.address ?? 'unknown') : '';
}
