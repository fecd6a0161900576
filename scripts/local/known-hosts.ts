import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { Hono } from 'hono';
import type { AppEnv } from '../../shared/http/context.ts';

const loopback: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);
const everyAddress: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/**
 * Lets requests through that are for this machine by a name that is its own. Any page may have a
 * name of its own point to 127.0.0.1 (DNS rebinding) and would then read and write here as an admin,
 * since browsers ask what has the page's own name without asking first. All paths, metrics and
 * probes included; the port says nothing.
 *
 * @param httpHost HTTP_HOST: a name or address to be answered to as well. Where it is every address,
 * any address is: pages have names.
 */
export function knownHosts(app: Hono<AppEnv>, httpHost: string | undefined): Hono<AppEnv> {
  const isKnown = (host: string) =>
    loopback.has(host) ||
    (httpHost !== undefined &&
      (host === asHost(httpHost) || (everyAddress.has(httpHost) && isAddress(host))));
  const front = new Hono<AppEnv>();
  front.all('*', function knownHosts(context) {
    const host = nameIn(context.req.header('Host') ?? '');
    if (isKnown(host)) return app.fetch(context.req.raw, context.env);
    const detail =
      'npm start answers to localhost, 127.0.0.1 and [::1], and to the name that HTTP_HOST is';
    const { path } = context.req;
    const title = 'Not the host that was asked for';
    const type = 'urn:analytics:problem:misdirected-request';
    return context.body(JSON.stringify({ type, title, status: 421, detail, instance: path }), 421, {
      'Content-Type': 'application/problem+json',
      'X-Request-Id': randomUUID(),
    });
  });
  return front;
}

/** A Host header without its port. */
function nameIn(header: string): string {
  return header.toLowerCase().replace(/:\d*$/, '');
}

function asHost(httpHost: string): string {
  return isIP(httpHost) === 6 ? `[${httpHost}]` : httpHost.toLowerCase();
}

function isAddress(host: string): boolean {
  return isIP(host) === 4 || isIP(host.replace(/^\[(.*)\]$/, '$1')) === 6;
}
