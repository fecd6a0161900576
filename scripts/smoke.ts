import { readSettings } from '../shared/env.ts';
import { runCommand } from './publish/command-line.ts';
import { readSmokeOptions } from './smoke/options.ts';
import { exitCodeOf, jsonOf, lineOf, summaryOf } from './smoke/report.ts';
import { smoke } from './smoke/run.ts';

process.exitCode = await runCommand('smoke', async () => {
  const options = readSmokeOptions(
    process.argv.slice(2),
    readSettings(process.env, { knowsActors: false }),
  );
  const report = await smoke(options, {
    onCheck: (result) => {
      if (!options.json) console.log(lineOf(result));
    },
    onTraffic: (line) => {
      if (options.verbose) console.error(line);
    },
  });
  console.log(options.json ? jsonOf(report) : summaryOf(report));
  return exitCodeOf(report);
});
