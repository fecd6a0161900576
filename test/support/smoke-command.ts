import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';

interface SmokeOutcome {
  code: number;
  stdout: string;
  stderr: string;
  /** The outcome of each check by its name. */
  checks: Record<string, string>;
  lineOf(check: string): string;
}

/** The command as `npm run smoke` starts it, in an org of its own unless told otherwise. */
export function smokeCommand(
  url: string,
  args: string[] = [],
  environment: Record<string, string> = {},
): Promise<SmokeOutcome> {
  const { PATH = '', HOME = '' } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', 'scripts/smoke.ts', '--url', url, '--org-id', randomUUID(), ...args],
      { env: { PATH, HOME, ...environment } },
      (error, stdout, stderr) => {
        const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
        const lines = [...stdout.matchAll(/^(ok|FAIL|skip) +(\S+) .*$/gm)];
        resolve({
          code,
          stdout,
          stderr,
          checks: Object.fromEntries(lines.map(([, outcome = '', name]) => [name, outcome])),
          lineOf: (check) => lines.find(([, , name]) => name === check)?.[0] ?? `no ${check}`,
        });
      },
    );
  });
}
