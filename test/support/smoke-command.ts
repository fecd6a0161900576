import { randomUUID } from 'node:crypto';
import type { CommandOutcome } from './analytics-command.ts';
import { analyticsHere } from './analytics-here.ts';

interface SmokeOutcome extends CommandOutcome {
  /** The outcome of each check by its name. */
  checks: Record<string, string>;
  lineOf(check: string): string;
}

/** The command of `npm run smoke` in this process, in an org of its own unless told otherwise. */
export async function smokeCommand(
  url: string,
  args: string[] = [],
  environment: Record<string, string> = {},
): Promise<SmokeOutcome> {
  const outcome = await analyticsHere(
    ['smoke', '--url', url, '--org-id', randomUUID(), ...args],
    environment,
  );
  const lines = [...outcome.stdout.matchAll(/^(ok|FAIL|skip) +(\S+) .*$/gm)];
  return {
    ...outcome,
    checks: Object.fromEntries(lines.map(([, result = '', name]) => [name, result])),
    lineOf: (check) => lines.find(([, , name]) => name === check)?.[0] ?? `no ${check}`,
  };
}
