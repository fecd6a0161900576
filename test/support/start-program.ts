import { spawn } from 'node:child_process';
import { until } from './until.ts';

export interface StartedProgram {
  /** What it has written until now. */
  output(): string;
  /** As Ctrl-C in its terminal; gives the exit code. */
  interrupt(): Promise<number | null>;
}

/**
 * Runs a command line that does not end by itself, and waits until it has written `ready`.
 *
 * @throws Error with its output when it ends before.
 */
export async function startProgram(
  command: string,
  ready: string,
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<StartedProgram> {
  // A group of its own: Ctrl-C reaches the shell's children too.
  const shell = spawn('bash', ['-c', command], { ...options, detached: true });
  const ended = new Promise<number | null>((resolve) => shell.once('exit', resolve));
  let text = '';
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  const interrupt = () => {
    if (shell.exitCode === null && shell.pid !== undefined) process.kill(-shell.pid, 'SIGINT');
    return ended;
  };
  try {
    await until(
      `${command} writes ${ready}`,
      async () => {
        if (shell.exitCode !== null) throw new Error(`${command} ended: ${text}`);
        return text.includes(ready);
      },
      { timeoutMs: 60_000 },
    );
  } catch (error) {
    await interrupt();
    throw error;
  }
  return { output: () => text, interrupt };
}
