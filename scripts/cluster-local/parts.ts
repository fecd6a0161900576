import { freePort } from '../services/free-port.ts';
import { startBroker } from './broker.ts';
import type { OnEvent } from './cluster-event.ts';
import type { Keys, References } from './container-env.ts';
import type { Sink } from './delivery.ts';
import { runJob } from './job.ts';
import type { Manifests, VirtualService } from './manifests.ts';
import { startPingSource } from './ping-source.ts';
import type { PlatformClock } from './platform-clock.ts';
import type { Kubelet } from './pod.ts';
import { podFactory } from './pod-factory.ts';
import { type ReplicaSet, replicaSet } from './replica-set.ts';
import { type Revision, revision } from './revision.ts';
import { connectionOf, startScaling } from './scaled-object.ts';
import { brokerSink, sinkFinder } from './sink.ts';
import { subscriptionOf } from './trigger.ts';
import { serviceWorkload, templateWorkload } from './workload.ts';

export interface PartsOptions {
  secrets: References['secrets'];
  settings: Keys;
  kubelet: Kubelet;
  clock: PlatformClock;
  onEvent: OnEvent;
}

/** Begins something that goes on by itself; gives how to end it. */
type Start = () => Promise<() => Promise<unknown>>;

/** What an overlay consists of, by its manifests. Nothing of it runs yet. */
export interface Parts {
  jobs: readonly (() => Promise<void>)[];
  revisions: ReadonlyMap<string, Revision>;
  deployments: ReadonlyMap<string, ReplicaSet>;
  virtualService: VirtualService;
  /** Where each broker will be: functions are told of it before it is there. */
  brokers: ReadonlyMap<string, Sink>;
  startBrokers: readonly Start[];
  /** What starts pods without anybody's asking: schedules and scalers. */
  startDrivers: readonly Start[];
}

/** @throws Error when manifests refer to what is not there, or cannot be read. */
export async function partsOf(
  manifests: Manifests,
  { secrets, settings, kubelet, ...platform }: PartsOptions,
): Promise<Parts> {
  const configMaps = Object.fromEntries(byName(manifests.configMaps, ({ data }) => data));
  const podsOf = podFactory(kubelet, { configMaps, secrets }, settings);
  const ports = new Map<string, number>();
  for (const { metadata } of manifests.brokers) ports.set(metadata.name, await freePort());
  const portOf = (name: string) => ports.get(name) ?? 0;
  const brokers = byName(manifests.brokers, (one) => brokerSink(one, portOf(one.metadata.name)));

  const revisions = byName(manifests.services, (service) =>
    revision(service, podsOf(serviceWorkload(service, manifests.sinkBindings, brokers)), platform),
  );
  const deployments = byName(manifests.deployments, (one) =>
    replicaSet(one.metadata.name, podsOf(templateWorkload(one)), platform),
  );
  const jobs = manifests.jobs.map((job) => {
    const startPod = podsOf(templateWorkload(job));
    return () => runJob(job, startPod, platform.onEvent);
  });
  const [virtualService] = manifests.virtualServices;
  if (virtualService === undefined) throw new Error('there is no VirtualService to route by');

  const sinkFor = sinkFinder(revisions, brokers);
  const startBrokers = manifests.brokers.map((broker): Start => {
    const { name } = broker.metadata;
    const subscriptions = manifests.triggers
      .filter(({ spec }) => spec.broker === name)
      .map((trigger) => subscriptionOf(trigger, broker, { ...platform, sinkFor }));
    const options = { port: portOf(name), onEvent: platform.onEvent };
    return async () => (await startBroker(broker, subscriptions, options)).close;
  });
  const scalers = manifests.scaledObjects.map((scaledObject): Start => {
    const { name } = scaledObject.spec.scaleTargetRef;
    const target = deployments.get(name);
    if (target === undefined) throw new Error(`there is no Deployment ${name} to be scaled`);
    const connection = connectionOf(scaledObject, manifests.triggerAuthentications, secrets);
    return async () => startScaling(scaledObject, connection, target, platform);
  });
  const scaled = new Set(manifests.scaledObjects.map(({ spec }) => spec.scaleTargetRef.name));
  for (const name of deployments.keys()) {
    if (!scaled.has(name)) throw new Error(`Deployment ${name} has no ScaledObject to start it`);
  }
  const schedules = manifests.pingSources.map((source): Start => {
    const sink = sinkFor(source.spec.sink);
    return async () => startPingSource(source, sink, platform);
  });
  const startDrivers = [...scalers, ...schedules];
  return { jobs, revisions, deployments, virtualService, brokers, startBrokers, startDrivers };
}

/** By the name in each object's metadata. */
function byName<T extends { metadata: { name: string } }, Value>(
  objects: readonly T[],
  valueIn: (object: T) => Value,
): Map<string, Value> {
  return new Map(objects.map((object) => [object.metadata.name, valueIn(object)]));
}
