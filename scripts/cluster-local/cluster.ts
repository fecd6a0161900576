import { messageOf } from '../../shared/platform/errors.ts';
import type { KubernetesObject } from '../knative/render.ts';
import { createReaper, type Reaper } from '../services/reaper.ts';
import type { OnEvent } from './cluster-event.ts';
import type { Keys, References } from './container-env.ts';
import { startIngress } from './ingress.ts';
import { keptWarm } from './kept-warm.ts';
import { readManifests } from './manifests.ts';
import { startMetrics } from './metrics.ts';
import { partsOf } from './parts.ts';
import { platformClock } from './platform-clock.ts';
import type { Replica } from './replica-set.ts';

export interface ClusterOptions {
  /** An overlay, rendered. */
  objects: readonly KubernetesObject[];
  secrets: References['secrets'];
  /** Take the place of the manifests' values, wherever a container is given one of them. */
  settings: Keys;
  /** Of the ingress; 0 takes a free one. */
  port: number;
  /** Our time for one unit of the platform's. */
  timeScale: number;
  onEvent: OnEvent;
  /** A line of a pod's output. */
  onLine(pod: string, line: string): void;
}

export interface WorkloadState {
  /** That are ready, and were not asked to end. */
  pods: number;
  /** That they work on, or that wait for them. */
  requests: number;
}

/** An overlay as it runs on this machine. */
export interface Cluster {
  /** Of the ingress. */
  url: string;
  /** Under which the overlay is reached where it is deployed. */
  host: string;
  /** `/NAME/metrics` of each workload. */
  metricsUrl: string;
  /** Where each broker takes events, by its name. */
  brokerUrls: Keys;
  /** The Services that always have a pod, by their minimum or their schedules. */
  keptWarm: readonly string[];
  /** What of the overlay is not imitated. */
  leftOut: readonly string[];
  /** Of each Service and Deployment, by name. */
  states(): Record<string, WorkloadState>;
  /** Asks a Service's pods to end, as when their node is drained. */
  evict(service: string): Promise<void>;
  /** Ends what is under way in order, and leaves no process. */
  stop(): Promise<void>;
}

/**
 * Runs an overlay: each container as a process of its own with the variables that its manifest gives
 * it, and in front of them what Knative, KEDA and Istio would do, as far as it is imitated. The jobs
 * come first.
 *
 * @throws Error when a manifest cannot be run, or a job fails; then nothing is left running.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const reaper = createReaper();
  const closers: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    // All at once: a request that holds one of them up ends by its pod's being asked to end.
    const results = await Promise.allSettled(closers.splice(0).map((close) => close()));
    await reaper?.dismiss();
    const faults = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    if (faults.length > 0) throw new AggregateError(faults, faults.map(messageOf).join('; '));
  };
  try {
    return { ...(await run(options, reaper, (close) => void closers.push(close))), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function run(
  { objects, secrets, settings, port, timeScale, onEvent, onLine }: ClusterOptions,
  reaper: Reaper | undefined,
  closeLater: (close: () => Promise<unknown>) => void,
): Promise<Omit<Cluster, 'stop'>> {
  const manifests = readManifests(objects);
  const kubelet = { reaper, onLine };
  const platform = { clock: platformClock(timeScale), onEvent };
  const parts = await partsOf(manifests, { secrets, settings, kubelet, ...platform });
  const { revisions, deployments, virtualService, brokers } = parts;

  for (const runJob of parts.jobs) await runJob();

  for (const { stop } of [...revisions.values(), ...deployments.values()]) closeLater(stop);
  for (const start of parts.startBrokers) closeLater(await start());
  const services = [...revisions.values()];
  const serviceAt = (authority: string) =>
    services.find((service) => service.authority === authority.split(':')[0]);
  const ingress = await startIngress(virtualService, serviceAt, port);
  closeLater(ingress.close);
  const workloads = new Map(
    [...revisions, ...deployments].map(([name, { replicas }]) => [name, replicas]),
  );
  const scraped = manifests.scrapeConfigs.flatMap(({ spec: { staticConfigs, authorization } }) => {
    const { name = '', key = '' } = authorization?.credentials ?? {};
    const token = secrets[name]?.[key];
    return staticConfigs
      .flatMap(({ targets }) => targets)
      .flatMap((target) => serviceAt(target) ?? [])
      .map((service) => ({ service, token }));
  });
  const metrics = await startMetrics(workloads, scraped);
  closeLater(metrics.close);
  for (const service of services) service.start();
  for (const start of parts.startDrivers) closeLater(await start());

  return {
    url: `http://127.0.0.1:${ingress.port}`,
    metricsUrl: `http://127.0.0.1:${metrics.port}`,
    host: virtualService.spec.hosts[0] ?? '',
    keptWarm: keptWarm(manifests),
    leftOut: manifests.leftOut,
    brokerUrls: Object.fromEntries([...brokers].map(([name, { url }]) => [name, url])),
    states: () =>
      Object.fromEntries([...workloads].map(([name, replicas]) => [name, stateOf(replicas)])),
    evict: async (name) => {
      const service = revisions.get(name);
      if (service === undefined) throw new Error(`there is no Service ${name}`);
      await service.evict();
    },
  };
}

function stateOf(replicas: ReadonlySet<Replica>): WorkloadState {
  const all = [...replicas];
  return {
    pods: all.filter(({ isReady }) => isReady).length,
    requests: all.reduce((sum, { inFlight }) => sum + inFlight, 0),
  };
}
