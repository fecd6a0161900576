import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import type { PodEvent } from './cluster-event.ts';
import { knativeService } from './manifests.ts';
import { platformClock } from './platform-clock.ts';
import type { Pod } from './pod.ts';
import { type Revision, revision } from './revision.ts';

/** A minute of the platform is 60 ms. */
const clock = platformClock(0.001);
const revisions: Revision[] = [];
afterEach(async () => {
  for (const one of revisions.splice(0)) await one.stop();
});

interface Start {
  annotations?: Record<string, string>;
  spec?: Record<string, unknown>;
  readyAfterMs?: number;
  /** Of the first pods, in turn. */
  faults?: readonly string[];
}

/** A revision whose pods are only told of: what a process does is another file's. */
function start({ annotations = {}, spec = {}, readyAfterMs = 5, faults = [] }: Start = {}) {
  const phases: string[] = [];
  const ends: ((what: string) => void)[] = [];
  const startPod = async (): Promise<Pod> => {
    const number = ends.length + 1;
    const fault = faults[number - 1];
    let end = (_: string) => {};
    const ended = new Promise<string>((resolve) => {
      end = resolve;
    });
    ends.push(end);
    const ready = sleep(readyAfterMs).then(() => {
      if (fault !== undefined) throw new Error(fault);
    });
    ready.catch(() => end('1'));
    return {
      name: `usage-${number}`,
      port: number,
      startedMs: performance.now(),
      ready,
      ended,
      lastWords: [],
      stop: async () => end('0'),
    };
  };
  const service = knativeService.parse({
    metadata: { name: 'usage', namespace: 'analytics' },
    spec: {
      template: {
        metadata: {
          annotations: Object.fromEntries(
            Object.entries(annotations).map(([name, value]) => [
              `autoscaling.knative.dev/${name}`,
              value,
            ]),
          ),
        },
        spec: { containers: [{ image: 'usage' }], ...spec },
      },
    },
  });
  const onEvent = (event: { kind: string }) => {
    const { pod, phase } = event as PodEvent;
    phases.push(`${pod} ${phase}`);
  };
  const made = revision(service, startPod, { clock, onEvent });
  revisions.push(made);
  made.start();
  /** Requests that last until they are let go. */
  const hold = () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const name = made.use(async (pod) => {
      await held;
      return pod.name;
    });
    return { name, release };
  };
  return { revision: made, phases, hold, end: (number: number) => ends[number - 1]?.('SIGKILL') };
}

const podName = async (pod: Pod) => pod.name;

test('from zero, requests wait for one pod and share it', async () => {
  const { revision, phases } = start();
  expect(revision.replicas.size).toBe(0);
  const names = await Promise.all([1, 2, 3].map(() => revision.use(podName)));
  expect(names).toEqual(['usage-1', 'usage-1', 'usage-1']);
  expect(phases).toEqual(['usage-1 starting', 'usage-1 ready']);
});

test('idle for its window the last pod ends, and the next request starts another', async () => {
  const { revision, phases } = start({ annotations: { window: '60s' } });
  await revision.use(podName);
  await until('it is gone', async () => revision.replicas.size === 0);
  await until('it ended', async () => phases.includes('usage-1 stopped'));
  expect(phases.slice(2)).toEqual(['usage-1 idle', 'usage-1 stopping', 'usage-1 stopped']);
  expect(await revision.use(podName)).toBe('usage-2');
});

test('retention and scale-down delay are added to the window', async () => {
  const { revision } = start({
    annotations: {
      window: '60s',
      'scale-to-zero-pod-retention-period': '5m',
      'scale-down-delay': '2m',
    },
  });
  await revision.use(podName);
  const startedMs = performance.now();
  await until('it is gone', async () => revision.replicas.size === 0);
  expect(performance.now() - startedMs).toBeGreaterThan(470);
});

test('a request under way keeps its pod, however long it takes', async () => {
  const { revision, hold } = start({ annotations: { window: '10s' } });
  const { name, release } = hold();
  await sleep(100);
  expect(revision.replicas.size).toBe(1);
  release();
  expect(await name).toBe('usage-1');
  await until('it is gone', async () => revision.replicas.size === 0);
});

test('as many as the minimum are there without a request, and stay', async () => {
  const { revision } = start({ annotations: { 'min-scale': '2', window: '10s' } });
  await until('both are ready', async () => [...revision.replicas].every(({ isReady }) => isReady));
  expect(revision.replicas.size).toBe(2);
  await revision.use(podName);
  await sleep(100);
  expect(revision.replicas.size).toBe(2);
});

test('one of the minimum that ends by itself is started again', async () => {
  const { revision, phases, end } = start({ annotations: { 'min-scale': '1' } });
  await until('it is ready', async () => phases.includes('usage-1 ready'));
  end(1);
  await until('another is ready', async () => phases.includes('usage-2 ready'));
  expect(phases).toContain('usage-1 ended');
  expect(revision.replicas.size).toBe(1);
});

describe('above the target', () => {
  test('pods are added up to the maximum, and go to the pod with the fewest', async () => {
    const { revision, hold } = start({ annotations: { target: '2', 'max-scale': '2' } });
    const held = Array.from({ length: 5 }, hold);
    await until('both are ready', async () =>
      [...revision.replicas].every(({ isReady }) => isReady),
    );
    expect(revision.replicas.size).toBe(2);
    const last = hold();
    for (const { release } of [...held, last]) release();
    expect(await last.name).toBe('usage-2');
  });

  test('a request does not wait for a new pod while another is ready', async () => {
    const { revision, hold } = start({ annotations: { target: '1' }, readyAfterMs: 50 });
    const first = hold();
    await until('one is ready', async () => [...revision.replicas].some(({ isReady }) => isReady));
    expect(await revision.use(podName)).toBe('usage-1');
    expect(revision.replicas.size).toBe(2);
    first.release();
    await first.name;
  });

  test('a pod never has more than its concurrency: the others wait', async () => {
    const { hold } = start({
      annotations: { 'max-scale': '1' },
      spec: { containerConcurrency: 1 },
    });
    const first = hold();
    const second = hold();
    let isSecondDone = false;
    second.name.then(() => {
      isSecondDone = true;
    });
    second.release();
    await sleep(50);
    expect(isSecondDone).toBe(false);
    first.release();
    expect(await second.name).toBe('usage-1');
  });

  test('those that wait get their turn one by one, and no longer than a request may take', async () => {
    const { hold, revision } = start({
      annotations: { 'max-scale': '1' },
      spec: { containerConcurrency: 1, timeoutSeconds: 1 },
    });
    const first = hold();
    await expect(revision.use(podName)).rejects.toThrow('no pod with room within 1 s');
    const others = [hold(), hold(), hold()];
    for (const { release } of [first, ...others]) release();
    expect(await Promise.all(others.map(({ name }) => name))).toEqual(Array(3).fill('usage-1'));
  });
});

describe('a pod that does not become ready', () => {
  test('fails the requests that wait for it, and the next request tries again', async () => {
    const { revision } = start({ faults: ['usage-1 ended before it was ready: no DATABASE_URL'] });
    await expect(revision.use(podName)).rejects.toThrow('no DATABASE_URL');
    expect(await revision.use(podName)).toBe('usage-2');
  });

  test('is waited for no longer than a request may take', async () => {
    const { revision } = start({ readyAfterMs: 5_000, spec: { timeoutSeconds: 1 } });
    await expect(revision.use(podName)).rejects.toThrow('no pod ready within 1 s');
  });
});

test('evicted pods finish their requests, and new requests find others', async () => {
  const { revision, hold, phases } = start();
  const { name, release } = hold();
  await until('it is ready', async () => phases.includes('usage-1 ready'));
  await revision.evict();
  expect(await revision.use(podName)).toBe('usage-2');
  release();
  expect(await name).toBe('usage-1');
});

test('a request that waits for a pod which is evicted meanwhile gets another', async () => {
  const { revision } = start({ readyAfterMs: 50, faults: ['asked to end'] });
  const waiting = revision.use(podName);
  await revision.evict();
  expect(await waiting).toBe('usage-2');
});

test('once it stops nothing is started any more', async () => {
  const { revision } = start();
  await revision.stop();
  await expect(revision.use(podName)).rejects.toThrow('usage is stopping');
  expect(revision.replicas.size).toBe(0);
});
