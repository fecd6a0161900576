import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reaper } from '../services/reaper.ts';
import { exchange } from './http-exchange.ts';
import type { Program } from './image.ts';

export interface PodSpec {
  /** Of its own among all pods. */
  name: string;
  program: Program;
  env: Readonly<Record<string, string>>;
  port: number;
  /** What is asked until it answers 200; null for a pod that serves nothing. */
  readinessPath: string | null;
  terminationGraceMs: number;
}

export interface Pod {
  readonly name: string;
  readonly port: number;
  readonly startedMs: number;
  /** Resolves once readiness answers; raises when it ends first, or takes longer than a minute. */
  readonly ready: Promise<void>;
  /** What ended it: an exit code, a signal's name, or why it could not be started. */
  readonly ended: Promise<number | string>;
  /** What it logged last. */
  readonly lastWords: readonly string[];
  /** SIGTERM, and SIGKILL once the grace period is over. Resolves when it is gone. */
  stop(): Promise<void>;
}

export interface Kubelet {
  reaper: Reaper | undefined;
  /** A line of a pod's output. */
  onLine(pod: string, line: string): void;
}

const readyWithinMs = 60_000;
/** What a probe waits for unless told otherwise. */
const probeTimeoutMs = 1_000;
const probeEveryMs = 20;
const lastWordsMax = 5;

/** Starts a pod's one container as a process of its own. */
export function startPod(spec: PodSpec, { reaper, onLine }: Kubelet): Pod {
  const { name, program, port, readinessPath, terminationGraceMs } = spec;
  const startedMs = performance.now();
  const child = spawn(process.execPath, program.args, {
    cwd: program.folder,
    env: spec.env,
    // Own session: Ctrl-C reaches only us, and pods are asked to end in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid !== undefined) reaper?.watchProcess(pid);
  const lastWords: string[] = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on('line', (line) => {
      lastWords.push(line);
      if (lastWords.length > lastWordsMax) lastWords.shift();
      onLine(name, line);
    });
  }
  let end: number | string | undefined;
  const ended = new Promise<number | string>((resolve) => {
    const note = (what: number | string) => {
      end ??= what;
      resolve(end);
    };
    child.once('error', (error) => note(error.message));
    // Not `exit`: by then its last words may still be on their way.
    child.once('close', (code, signal) => {
      if (pid !== undefined) reaper?.forgetProcess(pid);
      note(code ?? signal ?? 'unknown');
    });
  });

  const becomeReady = async (path: string) => {
    const probe = { method: 'GET', path, headers: { 'User-Agent': 'kube-probe' } };
    while (performance.now() < startedMs + readyWithinMs) {
      const answer = await exchange(port, probe, probeTimeoutMs).catch(() => null);
      if (answer?.status === 200) return;
      if (end !== undefined) {
        const words = lastWords.join(' | ') || 'it logged nothing';
        throw new Error(`${name} ended before it was ready (${end}): ${words}`);
      }
      await sleep(probeEveryMs);
    }
    throw new Error(`${name} is not ready after ${readyWithinMs} ms`);
  };
  const ready = readinessPath === null ? Promise.resolve() : becomeReady(readinessPath);
  // Whoever waits for it hears of it; that nobody does must not end us.
  ready.catch(() => {});

  return {
    name,
    port,
    startedMs,
    ready,
    ended,
    lastWords,
    stop: async () => {
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), terminationGraceMs);
      await ended;
      clearTimeout(kill);
    },
  };
}
