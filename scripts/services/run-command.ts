import { type ExecFileOptions, execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface CommandOptions extends Pick<ExecFileOptions, 'env' | 'cwd' | 'uid' | 'gid'> {
  timeoutMs: number;
}

/** Runs a program to its end and gives its output; its complaint becomes the error's message. */
export async function runCommand(
  command: string,
  args: readonly string[],
  { timeoutMs, ...options }: CommandOptions,
): Promise<string> {
  try {
    const { stdout } = await execute(command, args, {
      ...options,
      encoding: 'utf8',
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 16 * 1024 * 1024,
    });
    return stdout;
  } catch (error) {
    const { stderr = '', stdout = '', message, killed } = error as RunFailure;
    const words = killed ? `did not end within ${timeoutMs} ms` : stderr.trim() || stdout.trim();
    throw new Error(`${command} ${args[0] ?? ''}: ${words || message}`, { cause: error });
  }
}

interface RunFailure extends Error {
  stderr?: string;
  stdout?: string;
  killed?: boolean;
}
