import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { IngestStep } from '../../shared/events/ingest.ts';

export interface ConsumerChildOptions {
  leaseMs?: number;
  batchSize?: number;
  /** The signal that the process sends itself after a step of its batch of a number from 1. */
  failpoint?: `${IngestStep}:${number}:${'SIGKILL' | 'SIGSTOP'}`;
}

export interface ConsumerChild {
  readonly pid: number;
  /** What it logged so far, where LOG_LEVEL lets it. */
  readonly log: readonly string[];
  /** What ended it: a signal's name or an exit code. */
  readonly ended: Promise<string | number | null>;
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  /** Ends it as the platform does, with time to finish its batch; kills it when that takes long. */
  stop(): Promise<string | number | null>;
}

const entry = fileURLToPath(new URL('consumer-process.ts', import.meta.url));

/** Starts a consumer in a process of its own on the servers that `environment` names. */
export function spawnConsumer(
  environment: Record<string, string>,
  { leaseMs, batchSize, failpoint }: ConsumerChildOptions = {},
): ConsumerChild {
  const child = spawn(process.execPath, ['--import', 'tsx', entry], {
    env: {
      PATH: process.env.PATH,
      TZ: 'UTC',
      ...environment,
      ...(leaseMs === undefined ? {} : { CONSUMER_LEASE_MS: String(leaseMs) }),
      ...(batchSize === undefined ? {} : { INGESTION_BATCH_SIZE: String(batchSize) }),
      ...(failpoint === undefined ? {} : { CONSUMER_FAILPOINT: failpoint }),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('the consumer process did not start');
  const log: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => log.push(text));
  let isOver = false;
  const ended = new Promise<string | number | null>((resolve) => {
    child.once('exit', (code, signal) => {
      isOver = true;
      resolve(signal ?? code);
    });
  });
  return {
    pid,
    log,
    ended,
    signal: (signal) => {
      child.kill(signal);
    },
    stop: async () => {
      if (isOver) return ended;
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
      try {
        return await ended;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
