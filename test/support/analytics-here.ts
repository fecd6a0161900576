import { runAnalytics } from '../../scripts/cli/main.ts';
import type { CommandOutcome } from './analytics-command.ts';

/**
 * The command line in this process, which saves a start for each call: not two at once. It sees
 * the given environment alone, and writes where no terminal is.
 */
export async function analyticsHere(
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<CommandOutcome> {
  const { PATH = '', HOME = '', TZ = 'UTC' } = process.env;
  const before = process.env;
  const { stdout, stderr } = process;
  const written = { stdout: '', stderr: '' };
  const [writeOut, writeErr, { log }] = [stdout.write, stderr.write, console];
  process.env = { PATH, HOME, TZ, ...environment };
  stdout.write = (chunk: unknown) => {
    written.stdout += String(chunk);
    return true;
  };
  stderr.write = (chunk: unknown) => {
    written.stderr += String(chunk);
    return true;
  };
  // The library of completions writes by it.
  console.log = (text: unknown) => void stdout.write(`${text}\n`);
  try {
    const code = await runAnalytics(args);
    return { code, ...written };
  } finally {
    process.env = before;
    stdout.write = writeOut;
    stderr.write = writeErr;
    console.log = log;
  }
}
