import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConsumerChild, type ConsumerChildOptions, spawnConsumer } from '../consumer-child.ts';

/** A consumer as the platform runs it: whenever its process ends, another is started. */
export interface ConsumerPod {
  /** The process that runs now. */
  readonly child: ConsumerChild;
  /** How often a process was started again. */
  readonly restarts: number;
  /** Ends of a process that nobody brought about, by signal or exit code. */
  readonly deaths: readonly (string | number | null)[];
  /** The most memory that one of its processes took, resident; null where /proc does not say. */
  readonly peakMb: number | null;
  /** What all its processes logged, newest last. */
  log(): string;
  /** SIGKILL to the process that runs now; returns once it is gone. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

const lookEveryMs = 50;
/** Kubernetes waits 10 s before the second start; nothing is learned by waiting as long. */
const restartAfterMs = 200;

export function startPod(
  environment: Record<string, string>,
  options: ConsumerChildOptions,
): ConsumerPod {
  const logs: (readonly string[])[] = [];
  const deaths: (string | number | null)[] = [];
  const expected = new Set<ConsumerChild>();
  let restarts = 0;
  let peakMb: number | null = null;
  let isStopping = false;

  const spawn = () => {
    const child = spawnConsumer(environment, options);
    logs.push(child.log);
    return child;
  };
  let child = spawn();
  const timer = setInterval(() => {
    const now = residentPeakMb(child.pid);
    if (now !== null) peakMb = Math.max(peakMb ?? 0, now);
  }, lookEveryMs);
  const kept = (async () => {
    for (;;) {
      const ended = await child.ended;
      if (!expected.has(child)) deaths.push(ended);
      if (!isStopping) await sleep(restartAfterMs);
      if (isStopping) return;
      restarts += 1;
      child = spawn();
    }
  })();

  return {
    get child() {
      return child;
    },
    get restarts() {
      return restarts;
    },
    get peakMb() {
      return peakMb;
    },
    deaths,
    log: () => logs.flat().join(''),
    kill: async () => {
      const victim = child;
      expected.add(victim);
      victim.signal('SIGKILL');
      await victim.ended;
    },
    stop: async () => {
      isStopping = true;
      expected.add(child);
      await child.stop();
      await kept;
      clearInterval(timer);
    },
  };
}

/** The high-water mark that Linux keeps of a process. */
function residentPeakMb(pid: number): number | null {
  try {
    const found = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return found === null ? null : Math.round(Number(found[1]) / 1_024);
  } catch {
    return null;
  }
}
