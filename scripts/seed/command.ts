import type { Settings } from '../../shared/platform/env.ts';
import { exitCodes } from '../cli/failure.ts';
import { say, sayJson } from '../cli/output.ts';
import { printableLines } from '../cli/printable.ts';
import { type SeedOptions, seed } from './run.ts';
import { mismatches, summaryOf } from './summary.ts';

/** @returns 1 when the service did not count what was sent */
export async function runSeed(
  options: SeedOptions,
  settings: Settings,
  json: boolean,
): Promise<number> {
  const report = await seed(options, settings, Date.now());
  const faults = mismatches(report);
  if (json) sayJson({ ...report, mismatches: faults });
  else say(printableLines(summaryOf(report)));
  return faults.length === 0 ? exitCodes.done : exitCodes.failed;
}
