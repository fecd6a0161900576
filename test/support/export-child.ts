import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build, stop } from 'esbuild';

/**
 * What an export worker has reached: its start, a file's beginning, so many of its bytes handed
 * over, its last row, the file visible, its manifest visible, the job done.
 */
export type ExportStep =
  | 'ready'
  | 'begin'
  | `bytes ${number}`
  | 'end'
  | 'file'
  | 'manifest'
  | 'done';

export interface ExportChild {
  readonly pid: number;
  /** What ended it: a signal's name or an exit code. */
  readonly ended: Promise<string | number | null>;
  /** Has it take jobs, until it is killed. */
  work(): void;
  /** Resolves with the first step that is meant; rejects when the process ends before. */
  reached(isMeant: (step: ExportStep) => boolean): Promise<ExportStep>;
  kill(): Promise<string | number | null>;
}

export interface ExportChildOptions {
  leaseMs?: number;
  failpoint?: ExportStep;
}

export interface ExportChildren {
  /** Starts an export worker in a process of its own on the servers that `environment` names. */
  spawn(environment: Record<string, string>, options?: ExportChildOptions): ExportChild;
  /** Kills what still runs. */
  end(): Promise<void>;
  close(): Promise<void>;
}

const entry = fileURLToPath(new URL('export-process.ts', import.meta.url));

/** Bundled as the function is when it is deployed: it starts in half the time, in less memory. */
export async function buildExportChildren(): Promise<ExportChildren> {
  const folder = await mkdtemp(join(tmpdir(), 'analytics-export-worker-'));
  const outfile = join(folder, 'index.cjs');
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['pg-native', 'pg-cloudflare'],
    logLevel: 'warning',
  });
  await stop();
  let children: ExportChild[] = [];
  const end = async () => {
    await Promise.all(children.map((child) => child.kill()));
    children = [];
  };
  return {
    spawn: (environment, options = {}) => {
      const child = spawnExportWorker(outfile, environment, options);
      children.push(child);
      return child;
    },
    end,
    close: async () => {
      await end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function spawnExportWorker(
  file: string,
  environment: Record<string, string>,
  { leaseMs, failpoint }: ExportChildOptions,
): ExportChild {
  const child = spawn(process.execPath, [file], {
    env: {
      PATH: process.env.PATH,
      TZ: 'UTC',
      EXPORT_WORKER_CONCURRENCY: '1',
      ...environment,
      ...(leaseMs === undefined ? {} : { EXPORT_LEASE_MS: String(leaseMs) }),
      ...(failpoint === undefined ? {} : { EXPORT_FAILPOINT: failpoint }),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('the export worker did not start');
  // Its death is what the tests are about.
  child.stdin.on('error', () => {});
  const steps: ExportStep[] = [];
  const listeners = new Set<() => void>();
  let isOver = false;
  const tell = () => {
    for (const listener of [...listeners]) listener();
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    steps.push(line as ExportStep);
    tell();
  });
  const ended = new Promise<string | number | null>((resolve) => {
    // Not `exit`: its last lines may still be on their way then.
    child.once('close', (code, signal) => {
      isOver = true;
      resolve(signal ?? code);
      tell();
    });
  });
  return {
    pid,
    ended,
    work: () => {
      child.stdin.write('work\n');
    },
    reached: (isMeant) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const step = steps.find(isMeant);
          if (step === undefined && !isOver) return;
          listeners.delete(look);
          if (step !== undefined) resolve(step);
          else reject(new Error(`the export worker ended after ${steps.at(-1)}`));
        };
        listeners.add(look);
        look();
      }),
    kill: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}
