import type { Attributes } from '@opentelemetry/api';
import type { Context } from 'hono';
import type { AppEnv } from './context.ts';
import { incomingOf } from './incoming.ts';
import { knownMethods } from './metrics.ts';

/** A caller may write what it likes. */
const userAgentMaxLength = 256;

/** What a server's span says of its request from the beginning, by the conventions for HTTP. */
export function requestAttributes(context: Context<AppEnv>): Attributes {
  const { method, path, url } = context.req;
  const { protocol, hostname, port } = new URL(url);
  const userAgent = context.req.header('User-Agent');
  const version = incomingOf(context)?.httpVersion;
  return {
    'http.request.method': knownMethods.has(method) ? method : '_OTHER',
    'url.path': path,
    'url.scheme': protocol.slice(0, -1),
    'server.address': hostname,
    'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
    ...(userAgent === undefined
      ? {}
      : { 'user_agent.original': userAgent.slice(0, userAgentMaxLength) }),
    ...(version === undefined ? {} : { 'network.protocol.version': version }),
  };
}
