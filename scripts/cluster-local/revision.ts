import { within } from '../../shared/platform/deadline.ts';
import type { OnEvent } from './cluster-event.ts';
import type { KnativeService } from './manifests.ts';
import type { PlatformClock } from './platform-clock.ts';
import type { Pod } from './pod.ts';
import { type Replica, type ReplicaSet, replicaSet } from './replica-set.ts';

/** A Knative Service as it runs: what its activator, autoscaler and route do together. */
export interface Revision {
  readonly name: string;
  /** Its name inside the cluster, by which others ask for it. */
  readonly authority: string;
  readonly replicas: ReadonlySet<Replica>;
  /** Milliseconds that a request may take. */
  readonly timeoutMs: number;
  /**
   * Lends a ready pod for as long as a request takes; starts one where there is none, or where the
   * others have as many requests as they should.
   *
   * @throws Error when no pod becomes ready in time, with its last words.
   */
  use<T>(work: (pod: Pod) => Promise<T>): Promise<T>;
  /** Starts what is to be there without a request. */
  start(): void;
  /** Asks all pods to end, as when their node is drained; the next request finds others. */
  evict(): Promise<void>;
  stop(): Promise<void>;
}

/** What waits for a pod with room; more are turned away, as by the activator. */
const waitingMax = 10_000;
/** The queue proxy's hook: that long it waits for requests that are still on their way to the pod. */
const preStopMs = 30_000;
/** The autoscaler looks that often whether pods are idle. */
const tickMs = 2_000;

/**
 * Pods are added by the requests of the moment and each stops once it had none for its idle time.
 * Knative goes by averages over its windows: it adds pods later and in a burst more of them.
 */
export function revision(
  { metadata, spec: { template } }: KnativeService,
  startPod: () => Promise<Pod>,
  { clock, onEvent }: { clock: PlatformClock; onEvent: OnEvent },
): Revision {
  const { name, namespace } = metadata;
  const { minScale, maxScale, target, idleMs } = template.metadata.annotations;
  const { containerConcurrency, timeoutSeconds } = template.spec;
  const timeoutMs = timeoutSeconds * 1_000;
  const inFlightMax = containerConcurrency || Number.POSITIVE_INFINITY;
  const set: ReplicaSet = replicaSet(name, startPod, { clock, onEvent, preStopMs });
  const idling = new Map<Replica, AbortController>();
  /** In order of their coming. */
  const waiting = new Set<() => void>();

  function add(): Replica {
    const replica = set.add();
    replica.ready
      .then(() => {
        if (replica.inFlight === 0) watchIdle(replica);
      })
      .catch(() => {});
    return replica;
  }

  async function watchIdle(replica: Replica): Promise<void> {
    idling.get(replica)?.abort();
    const interrupted = new AbortController();
    idling.set(replica, interrupted);
    await clock.sleep(idleMs + tickMs, interrupted.signal);
    if (interrupted.signal.aborted) return;
    idling.delete(replica);
    if (!set.replicas.has(replica) || set.replicas.size <= minScale) return;
    const pod = await replica.ready;
    const detail = `no request for ${idleMs / 1_000} s`;
    onEvent({ kind: 'pod', workload: name, pod: pod.name, phase: 'idle', detail });
    await set.remove(replica);
  }

  /** Takes a place at the pod with the fewest requests; at one that is ready if there is one. */
  async function takePlace(): Promise<Replica> {
    for (;;) {
      const all = [...set.replicas];
      const load = all.reduce((sum, { inFlight }) => sum + inFlight, 0);
      if (all.length < maxScale && load + 1 > target * all.length) all.push(add());
      const open = all.filter(({ inFlight }) => inFlight < inFlightMax);
      const ready = open.filter(({ isReady }) => isReady);
      const [first, ...others] = ready.length > 0 ? ready : open;
      if (first !== undefined) {
        const chosen = others.reduce((a, b) => (b.inFlight < a.inFlight ? b : a), first);
        chosen.inFlight += 1;
        idling.get(chosen)?.abort();
        return chosen;
      }
      await waitForRoom();
    }
  }

  async function waitForRoom(): Promise<void> {
    if (waiting.size >= waitingMax) throw new Error(`${name}: too many requests wait`);
    let resume = () => {};
    const room = new Promise<void>((resolve) => {
      resume = resolve;
    });
    waiting.add(resume);
    try {
      await within(timeoutMs, room, `${name} has no pod with room within ${timeoutSeconds} s`);
    } finally {
      waiting.delete(resume);
    }
  }

  function leavePlace(replica: Replica): void {
    replica.inFlight -= 1;
    const [next] = waiting;
    if (next !== undefined) {
      waiting.delete(next);
      next();
    }
    if (replica.inFlight === 0 && set.replicas.has(replica)) void watchIdle(replica);
  }

  async function use<T>(work: (pod: Pod) => Promise<T>): Promise<T> {
    for (;;) {
      const replica = await takePlace();
      try {
        const fault = `${name} has no pod ready within ${timeoutSeconds} s`;
        const pod = await within(timeoutMs, replica.ready, fault).catch((error: unknown) => {
          // Asked to end while it started: the request goes to another.
          if (replica.isLeaving) return null;
          void set.remove(replica);
          throw error;
        });
        if (pod !== null) return await work(pod);
      } finally {
        leavePlace(replica);
      }
    }
  }

  return {
    name,
    authority: `${name}.${namespace}.svc.cluster.local`,
    replicas: set.replicas,
    timeoutMs,
    use,
    start: () => set.scale(minScale),
    evict: async () => {
      await Promise.all([...set.replicas].map((replica) => set.remove(replica)));
    },
    stop: async () => {
      for (const idle of idling.values()) idle.abort();
      const stopped = set.stop();
      // They find that nothing is started any more.
      for (const resume of waiting) resume();
      await stopped;
    },
  };
}
