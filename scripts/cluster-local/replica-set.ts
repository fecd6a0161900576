import { messageOf } from '../../shared/platform/errors.ts';
import type { OnEvent, PodEvent } from './cluster-event.ts';
import type { PlatformClock } from './platform-clock.ts';
import type { Pod } from './pod.ts';

export interface Replica {
  /** Resolves once the pod is ready; raises when it does not become so. */
  readonly ready: Promise<Pod>;
  readonly isReady: boolean;
  /** It was asked to end. */
  readonly isLeaving: boolean;
  /** Requests that it works on. */
  inFlight: number;
}

/** The pods of one workload. */
export interface ReplicaSet {
  readonly name: string;
  /** Those that were not asked to end. */
  readonly replicas: ReadonlySet<Replica>;
  /** @throws Error once it stops. */
  add(): Replica;
  /** Takes it out at once, and asks it to end after its pre-stop time; resolves when it is gone. */
  remove(replica: Replica): Promise<void>;
  /** Starts or stops pods until there are so many; those that end by themselves are started again. */
  scale(count: number): void;
  /** Resolves when all are gone. */
  stop(): Promise<void>;
}

/** A pod that ends by itself is started again after 10 s, then 20 s, and so on to 5 minutes. */
const backOffMs = 10_000;
const backOffMaxMs = 300_000;

export interface ReplicaSetOptions {
  clock: PlatformClock;
  onEvent: OnEvent;
  /** What passes between a pod's being taken out and its being asked to end. */
  preStopMs?: number;
}

/** @param startPod starts the process, and does not wait until it is ready */
export function replicaSet(
  name: string,
  startPod: () => Promise<Pod>,
  { clock, onEvent, preStopMs = 0 }: ReplicaSetOptions,
): ReplicaSet {
  const replicas = new Set<Replica>();
  const leaving = new Set<Promise<void>>();
  const removals = new Map<Replica, () => Promise<void>>();
  const stopping = new AbortController();
  let kept = 0;
  let endsInARow = 0;

  function add(): Replica {
    if (stopping.signal.aborted) throw new Error(`${name} is stopping`);
    const starting = startPod();
    const tell = (phase: PodEvent['phase'], pod: string, detail = '') =>
      onEvent({ kind: 'pod', workload: name, pod, phase, detail });
    const replica = {
      isReady: false,
      isLeaving: false,
      inFlight: 0,
      ready: starting.then(async (pod) => {
        tell('starting', pod.name);
        await pod.ready;
        replica.isReady = true;
        endsInARow = 0;
        tell('ready', pod.name, `after ${Math.round(performance.now() - pod.startedMs)} ms`);
        return pod;
      }),
    };
    replica.ready.catch(() => {});
    replicas.add(replica);
    const endByItself = (pod: string, what: string) => {
      if (!replicas.delete(replica)) return;
      removals.delete(replica);
      tell('ended', pod, what);
      endsInARow += 1;
      restart();
    };
    starting.then(
      async (pod) => endByItself(pod.name, String(await pod.ended)),
      (error: unknown) => endByItself(name, messageOf(error)),
    );
    removals.set(replica, async () => {
      replica.isLeaving = true;
      replicas.delete(replica);
      removals.delete(replica);
      const pod = await starting;
      await clock.sleep(preStopMs, stopping.signal);
      tell('stopping', pod.name);
      await pod.stop();
      tell('stopped', pod.name, String(await pod.ended));
    });
    return replica;
  }

  function restart(): void {
    const waitMs = Math.min(backOffMs * 2 ** (endsInARow - 1), backOffMaxMs);
    clock.sleep(waitMs, stopping.signal).then(() => {
      if (!stopping.signal.aborted && replicas.size < kept) add();
    });
  }

  function remove(replica: Replica): Promise<void> {
    const removal = removals.get(replica)?.() ?? Promise.resolve();
    leaving.add(removal);
    return removal.finally(() => leaving.delete(removal));
  }

  return {
    name,
    replicas,
    add,
    remove,
    scale: (count) => {
      if (stopping.signal.aborted) return;
      // One that ended by itself is not missing: it comes back when its wait is over.
      const missing = count - Math.max(replicas.size, kept);
      kept = count;
      for (let added = 0; added < missing; added += 1) add();
      for (const replica of [...replicas].slice(count)) void remove(replica);
    },
    stop: async () => {
      stopping.abort();
      await Promise.all([...replicas].map(remove));
      await Promise.all(leaving);
    },
  };
}
