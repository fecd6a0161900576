import { spawn } from 'node:child_process';
import { freePort } from '../../scripts/services/free-port.ts';
import { until } from './until.ts';

export interface FunctionProcess {
  url: string;
  /** The log's lines so far. */
  log(): Record<string, unknown>[];
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  /** Ends it as the platform does; gives its exit code and how long that took. */
  terminate(): Promise<{ code: number | null; tookMs: number }>;
}

/** Runs a function as it is deployed: its bundle, on a port given by the platform. */
export async function startFunctionProcess(
  bundle: string,
  environment: Record<string, string>,
): Promise<FunctionProcess> {
  const port = await freePort();
  const child = spawn(process.execPath, [bundle], {
    env: { PORT: String(port), ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  await until('the function answers', async () => {
    const response = await fetch(`${url}/health/liveness`).catch(() => null);
    return response?.ok;
  });
  return {
    url,
    log: () =>
      output
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line)),
    signal: (signal) => {
      child.kill(signal);
    },
    terminate: async () => {
      const startedMs = performance.now();
      child.kill('SIGTERM');
      return { code: await ended, tookMs: performance.now() - startedMs };
    },
  };
}
