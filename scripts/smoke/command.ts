import { say } from '../cli/output.ts';
import { printable, printableJson } from '../cli/printable.ts';
import type { SmokeOptions } from './options.ts';
import { exitCodeOf, jsonOf, lineOf, summaryOf } from './report.ts';
import { smoke } from './run.ts';

/** Tries a service, a line for each check. */
export async function runSmoke(options: SmokeOptions): Promise<number> {
  const report = await smoke(options, {
    onCheck: (result) => {
      if (!options.json) say(printable(lineOf(result)));
    },
    onTraffic: (line) => {
      if (options.verbose) process.stderr.write(`${printable(line)}\n`);
    },
  });
  say(options.json ? printableJson(jsonOf(report)) : printable(summaryOf(report)));
  return exitCodeOf(report);
}
