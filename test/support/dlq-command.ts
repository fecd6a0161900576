import { execFile } from 'node:child_process';

export interface DlqOutcome {
  /** An exit code, or the signal that ended it. */
  code: number | string;
  stdout: string;
  stderr: string;
}

/** The command as `npm run dlq` starts it. */
export function dlqCommand(
  args: string[],
  environment: Record<string, string>,
  script = 'scripts/dlq.ts',
): Promise<DlqOutcome> {
  const { PATH = '', HOME = '' } = process.env;
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--import', 'tsx', script, ...args],
      { env: { PATH, HOME, ...environment }, maxBuffer: 64 * 1_048_576 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : (error.signal ?? error.code ?? -1);
        resolve({ code, stdout, stderr });
      },
    );
    child.stdin?.end();
  });
}
