import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import type { IngestStep } from '../../shared/events/ingest.ts';

export interface ConsumerChildOptions {
  leaseMs?: number;
  batchSize?: number;
  /** How many ids of the last hour it remembers. */
  idsMax?: number;
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

const root = fileURLToPath(new URL('../..', import.meta.url));
let program: string | undefined;

/** Made once for all of a file's consumers: compiled at each start, that takes four times as long. */
function consumerProgram(): string {
  program ??= buildSync({
    entryPoints: [fileURLToPath(new URL('consumer-process.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    // As an argument it may have 128 kB.
    minify: true,
    keepNames: true,
    write: false,
  }).outputFiles[0]?.text;
  if (program === undefined) throw new Error('the consumer process was not built');
  return program;
}

/** Starts a consumer in a process of its own on the servers that `environment` names. */
export function spawnConsumer(
  environment: Record<string, string>,
  { leaseMs, batchSize, idsMax, failpoint }: ConsumerChildOptions = {},
): ConsumerChild {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', consumerProgram()], {
    // Packages are looked for from here.
    cwd: root,
    env: {
      PATH: process.env.PATH,
      TZ: 'UTC',
      ...environment,
      ...(leaseMs === undefined ? {} : { CONSUMER_LEASE_MS: String(leaseMs) }),
      ...(batchSize === undefined ? {} : { INGESTION_BATCH_SIZE: String(batchSize) }),
      ...(idsMax === undefined ? {} : { CONSUMER_IDS_MAX: String(idsMax) }),
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
