import { messageOf } from '../../shared/platform/errors.ts';
import { forward, refuse } from './forward.ts';
import { type Listener, listen } from './listener.ts';
import type { Pod } from './pod.ts';
import type { Replica } from './replica-set.ts';
import type { Revision } from './revision.ts';

const scrapeTimeoutMs = 15_000;

/** What a ScrapeConfig names, and the bearer token that it brings. */
export interface Scraped {
  service: Revision;
  token: string | undefined;
}

/**
 * `/<workload>/metrics` on a port of its own, as Prometheus inside the cluster reads it: what a
 * ScrapeConfig names is asked through its route, which starts a pod where there is none; of the
 * others a pod is asked that runs, as by a PodMonitor.
 */
export function startMetrics(
  workloads: ReadonlyMap<string, ReadonlySet<Replica>>,
  scraped: readonly Scraped[],
): Promise<Listener> {
  return listen(0, async (incoming, outgoing) => {
    const [, name = ''] = /^\/([^/]+)\/metrics$/.exec(incoming.url ?? '') ?? [];
    const replicas = workloads.get(name);
    if (replicas === undefined) {
      const names = [...workloads.keys()].join(', ');
      return refuse(outgoing, 404, `ask for /NAME/metrics; there are ${names}`);
    }
    const config = scraped.find(({ service }) => service.name === name);
    const ask = ({ port }: Pod) =>
      forward(incoming, outgoing, {
        port,
        authority: name,
        path: '/metrics',
        timeoutMs: scrapeTimeoutMs,
        ...(config?.token && { headers: { authorization: `Bearer ${config.token}` } }),
      });
    const running = [...replicas].find(({ isReady }) => isReady);
    const route = config?.service;
    if (route === undefined && running === undefined) return refuse(outgoing, 503, 'no pod runs');
    const asked = route === undefined ? running?.ready.then(ask) : route.use(ask);
    await asked?.catch((error: unknown) => refuse(outgoing, 503, messageOf(error)));
  });
}
