import { messageOf } from '../../shared/platform/errors.ts';
import { forward, refuse } from './forward.ts';
import { type Listener, listen } from './listener.ts';
import type { StringMatch, VirtualService } from './manifests.ts';
import type { Revision } from './revision.ts';

interface Route {
  /** The service's name inside the cluster. */
  authority: string;
}

/** The first of a VirtualService's routes that takes a request; null where none does. */
function routeOf({ spec }: VirtualService, method: string, path: string): Route | null {
  for (const { match, rewrite, route } of spec.http) {
    const takes =
      match === undefined ||
      match.some(
        (condition) =>
          (condition.uri === undefined || matches(condition.uri, path)) &&
          (condition.method === undefined || matches(condition.method, method)),
      );
    const [{ destination }] = route;
    if (takes) return { authority: rewrite?.authority ?? destination.host };
  }
  return null;
}

/** Regular expressions must match the whole, as Envoy has it. */
function matches(match: StringMatch, text: string): boolean {
  if ('exact' in match) return text === match.exact;
  if ('prefix' in match) return text.startsWith(match.prefix);
  return new RegExp(`^(?:${match.regex})$`).test(text);
}

/**
 * The gateway for the outside: takes requests on one port and hands each to the service that the
 * VirtualService names for its path.
 *
 * @param serviceAt the revision behind a name inside the cluster
 */
export function startIngress(
  virtualService: VirtualService,
  serviceAt: (authority: string) => Revision | undefined,
  port: number,
): Promise<Listener> {
  return listen(port, async (incoming, outgoing) => {
    const { method = 'GET', url = '/' } = incoming;
    const [path = '/'] = url.split('?');
    const route = routeOf(virtualService, method, path);
    if (route === null) return refuse(outgoing, 404, `no route for ${path}`);
    const { authority } = route;
    const service = serviceAt(authority);
    if (service === undefined) return refuse(outgoing, 503, `no service is at ${authority}`);
    const { timeoutMs } = service;
    await service
      .use((pod) =>
        forward(incoming, outgoing, { port: pod.port, authority, path: url, timeoutMs }),
      )
      .catch((error: unknown) => refuse(outgoing, 503, messageOf(error)));
  });
}
