import { readSettings } from '../shared/env.ts';
import { ServiceError } from '../shared/errors.ts';
import { readDlqOptions } from './dlq/options.ts';
import { runDlq } from './dlq/run.ts';
import { runCommand } from './publish/command-line.ts';

process.exitCode = await runCommand('dlq', async () => {
  const options = readDlqOptions(process.argv.slice(2), process.stdin.isTTY === true);
  try {
    return await runDlq(options, readSettings(process.env, { knowsActors: false }));
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'unavailable') throw error;
    process.stderr.write(`dlq: ${error.message}\n`);
    return 3;
  }
});
