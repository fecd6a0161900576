import { spawn } from 'node:child_process';
import { get } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../services/free-port.ts';
import { peakMb, residentMb } from './memory.ts';

/** A server in a process of its own, to be measured. */
export interface Program {
  url: string;
  /** From its spawn to its first 200 on readiness. */
  readyMs: number;
  /** The first line of its log so far that has this text. */
  logged(text: string): string | undefined;
  peakMb(): Promise<number>;
  residentMb(): Promise<number>;
  /** Ends it as the platform does. */
  stop(): Promise<void>;
}

const startMaxMs = 30_000;

/** A function's bundle. */
export function bundleOf(name: string): string[] {
  return [fileURLToPath(new URL(`../../functions/${name}/dist/index.cjs`, import.meta.url))];
}

/** A program of the bench's own, in TypeScript. */
export function scriptOf(name: string): string[] {
  return ['--import', 'tsx', fileURLToPath(new URL(name, import.meta.url))];
}

/** Starts a program with only these settings, and waits until it is ready. */
export async function startProgram(
  args: readonly string[],
  settings: Readonly<Record<string, string>>,
): Promise<Program> {
  const port = await freePort();
  const startedMs = performance.now();
  const child = spawn(process.execPath, args, {
    env: {
      PATH: process.env.PATH,
      TZ: 'UTC',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      LOG_LEVEL: 'warn',
      RATE_LIMIT_PER_MINUTE: '0',
      HTTP_HOST: '127.0.0.1',
      ...settings,
      PORT: String(port),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(timer);
  };
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout });
  output.on('line', (line) => {
    // Access decisions alone are many; what is waited for comes early.
    if (lines.length < 1_000) lines.push(line);
  });
  const url = `http://127.0.0.1:${port}`;
  const { pid } = child;
  if (pid === undefined) throw new Error(`${args.at(-1)} did not start`);
  try {
    while (!(await isReady(url))) {
      if (child.exitCode !== null || performance.now() - startedMs > startMaxMs) {
        throw new Error(`${args.at(-1)} did not start`);
      }
      await sleep(1);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    readyMs: performance.now() - startedMs,
    logged: (text) => lines.find((line) => line.includes(text)),
    peakMb: () => peakMb(pid),
    residentMb: () => residentMb(pid),
    stop,
  };
}

function isReady(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    get(`${url}/health/readiness`, { agent: false }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode === 200));
    }).once('error', () => resolve(false));
  });
}
