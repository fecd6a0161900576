import { spawn } from 'node:child_process';
import { closeSync, openSync, statSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, type ProcessRef, startTimeOf, stopProcess } from './process-ref.ts';
import { createReaper } from './reaper.ts';

export interface ProcessSpec {
  name: string;
  command: string;
  args: readonly string[];
  /** Both output streams end up here; its tail is quoted when the server does not start. */
  logFile: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
  stopSignal?: NodeJS.Signals;
  stopTimeoutMs?: number;
}

export interface RunningProcess extends ProcessRef {
  /** Resolves when `check` does; raises when the process ends first or time runs out. */
  ready(check: () => Promise<void>, timeoutMs: number): Promise<void>;
}

/** What a supervisor owns, as it is written to the state file of `npm run services`. */
export interface Holdings {
  processes: ProcessRef[];
  folders: string[];
  /** Programs with arguments that put an end to what is not our process, such as a container. */
  commands: string[][];
}

export interface Supervisor {
  start(spec: ProcessSpec): RunningProcess;
  /** A new private folder under the system's temporary folder, removed by `stop`. */
  temporaryFolder(name: string): Promise<string>;
  /** To be run at the end, after the processes are gone. */
  onStop(command: string[]): void;
  holdings(): Holdings;
  /** From now on what was started outlives this process; `holdings` tells how to stop it. */
  detach(): Promise<void>;
  /** Stops everything, the last started first, and removes the folders. */
  stop(): Promise<void>;
}

/** Owns server processes and their folders, and cleans up even when this process is killed. */
export function createSupervisor(): Supervisor {
  const held: Holdings = { processes: [], folders: [], commands: [] };
  const reaper = createReaper();
  let stopping = false;
  // A start still under way when another service fails must not leave a server behind.
  const refuseWhenStopping = (): void => {
    if (stopping) throw new Error('stopped while starting');
  };
  return {
    start(spec) {
      refuseWhenStopping();
      const running = spawnServer(spec, (pid) => reaper?.forgetProcess(pid));
      reaper?.watchProcess(running.pid);
      held.processes.push(running);
      return running;
    },
    async temporaryFolder(name) {
      refuseWhenStopping();
      const folder = await mkdtemp(join(sharedTemporaryFolder(), `analytics-${name}-`));
      held.folders.push(folder);
      reaper?.watchFolder(folder);
      // Others may pass through but not look: PostgreSQL runs as another user below it.
      await chmod(folder, 0o711);
      return folder;
    },
    onStop(command) {
      held.commands.push(command);
      reaper?.watchCommand(command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' '));
    },
    holdings: () => structuredClone(plain(held)),
    detach: async () => reaper?.dismiss(),
    async stop() {
      stopping = true;
      await release(held);
      await reaper?.dismiss();
    },
  };
}

/** Stops the processes, the last started first, then removes the folders. Safe to call twice. */
export async function release({ processes, folders, commands }: Holdings): Promise<void> {
  const failures: unknown[] = [];
  const attempt = (work: Promise<unknown>) => work.catch((error: unknown) => failures.push(error));
  for (const process of processes.toReversed()) await attempt(stopProcess(process));
  for (const command of commands) await attempt(run(command));
  for (const folder of folders) {
    // Children of a server that had to be killed may still be writing for a moment.
    await attempt(rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('; '));
}

/** The system's, unless others cannot pass through it: a root shell may have one below /root. */
function sharedTemporaryFolder(): string {
  const candidates = [tmpdir(), '/tmp', '/var/tmp'];
  return candidates.find((folder) => process.getuid?.() !== 0 || isOpenToAll(folder)) ?? tmpdir();
}

function isOpenToAll(folder: string): boolean {
  const { mode } = statSync(folder, { throwIfNoEntry: false }) ?? { mode: 0 };
  const parent = dirname(folder);
  return (mode & 0o001) !== 0 && (parent === folder || isOpenToAll(parent));
}

function spawnServer(spec: ProcessSpec, onExit: (pid: number) => void): RunningProcess {
  const log = openSync(spec.logFile, 'w', 0o600);
  const child = spawn(spec.command, spec.args, {
    env: spec.env ?? process.env,
    cwd: spec.cwd ?? '/',
    // Own session: Ctrl-C reaches only us, and we stop the servers in order.
    detached: true,
    stdio: ['ignore', log, log],
    ...(spec.uid === undefined ? {} : { uid: spec.uid }),
    ...(spec.gid === undefined ? {} : { gid: spec.gid }),
  });
  closeSync(log);
  let spawnError: Error | undefined;
  child.once('error', (error) => {
    spawnError = error;
  });
  child.unref();
  const pid = child.pid ?? 0;
  if (pid > 0) child.once('exit', () => onExit(pid));
  const ref: ProcessRef = {
    name: spec.name,
    pid,
    startedAt: (pid > 0 ? startTimeOf(pid) : undefined) ?? 'never',
    stopSignal: spec.stopSignal ?? 'SIGTERM',
    stopTimeoutMs: spec.stopTimeoutMs ?? 10_000,
  };
  return {
    ...ref,
    async ready(check, timeoutMs) {
      const deadline = Date.now() + timeoutMs;
      let reason: unknown;
      for (;;) {
        if (spawnError) throw new Error(`${spec.name}: ${spawnError.message}`);
        if (!isAlive(ref))
          throw new Error(`${spec.name} ended at once. ${await tail(spec.logFile)}`);
        try {
          return await check();
        } catch (error) {
          reason = error;
        }
        if (Date.now() >= deadline) {
          throw new Error(
            `${spec.name} does not answer after ${timeoutMs} ms (${String(reason)}). ${await tail(spec.logFile)}`,
          );
        }
        await sleep(50);
      }
    },
  };
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const lines = text.trim().split('\n').slice(-15).join('\n');
  return lines === '' ? 'It logged nothing.' : `Its last words:\n${lines}`;
}

function plain(held: Holdings): Holdings {
  return {
    ...held,
    processes: held.processes.map(({ name, pid, startedAt, stopSignal, stopTimeoutMs }) => ({
      name,
      pid,
      startedAt,
      stopSignal,
      stopTimeoutMs,
    })),
  };
}

function run([command = '', ...args]: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'ignore', timeout: 60_000 });
    child.once('error', reject);
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ${args.join(' ')}: exit ${code}`)),
    );
  });
}
