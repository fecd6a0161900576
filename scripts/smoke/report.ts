import type { CheckResult } from './check.ts';
import type { SmokeReport } from './run.ts';

const words = { ok: 'ok  ', failed: 'FAIL', skipped: 'skip' };

export function lineOf({ outcome, name, detail, tookMs }: CheckResult): string {
  const time = outcome === 'skipped' ? '' : `   ${tookMs} ms`;
  return `${words[outcome]} ${name.padEnd(11)} ${detail}${time}`;
}

/** 0 when all that was checked passed, 1 when something failed, 3 when nothing answered. */
export function exitCodeOf({ isReached, checks }: SmokeReport): number {
  if (!isReached) return 3;
  return checks.some(({ outcome }) => outcome === 'failed') ? 1 : 0;
}

export function summaryOf(report: SmokeReport): string {
  if (!report.isReached) return `FAILED: nothing answers at ${report.url}`;
  const names = (outcome: CheckResult['outcome']) =>
    report.checks.filter((check) => check.outcome === outcome).map(({ name }) => name);
  const [passed, failed, skipped] = [names('ok'), names('failed'), names('skipped')];
  const counts = `${passed.length} passed, ${skipped.length} skipped`;
  return failed.length === 0 ? `OK: ${counts}` : `FAILED: ${failed.join(', ')}; ${counts}`;
}

export function jsonOf(report: SmokeReport): string {
  return JSON.stringify({ passed: exitCodeOf(report) === 0, ...report });
}
