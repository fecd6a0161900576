import { execFile } from 'node:child_process';

export interface CommandOutcome {
  /** An exit code, or the signal that ended it. */
  code: number | string;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  /** Where it runs; the checkout by default. */
  cwd?: string;
  /** What it reads from standard input. */
  input?: string | Buffer;
}

const program = new URL('../../scripts/analytics.mjs', import.meta.url).pathname;

/** The command line as `npx analytics` starts it, with no other settings than those given. */
export function analyticsCommand(
  args: readonly string[],
  environment: Record<string, string> = {},
  options: CommandOptions = {},
): Promise<CommandOutcome> {
  return runProgram([program, ...args], environment, options);
}

/** A program of Node's, from its arguments. */
export function runProgram(
  args: readonly string[],
  environment: Record<string, string>,
  { cwd, input = '' }: CommandOptions = {},
): Promise<CommandOutcome> {
  const { PATH = '', HOME = '' } = process.env;
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      { env: { PATH, HOME, ...environment }, maxBuffer: 64 * 1_048_576, ...(cwd ? { cwd } : {}) },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : (error.signal ?? error.code ?? -1);
        resolve({ code, stdout, stderr });
      },
    );
    // It may end before it has read everything.
    child.stdin?.on('error', () => {}).end(input);
  });
}
