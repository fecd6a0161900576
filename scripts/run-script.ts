import { messageOf } from '../shared/platform/errors.ts';

/** Runs a command line's work; a failure is one clear line and exit code 1. */
export function runScript(work: () => Promise<void>): void {
  work().catch((error: unknown) => {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = 1;
  });
}
