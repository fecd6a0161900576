import { Command } from 'commander';
import { readSettings } from '../shared/env.ts';
import { preparations, visit } from '../shared/preparation.ts';
import { runScript } from './run-script.ts';

const { checkOnly } = new Command('npm run bootstrap --')
  .description(
    'Prepares every server that a setting names: schema, stream and dead-letter queue, bucket',
  )
  .option('--check-only', 'changes nothing: says what is there and what is not', false)
  .parse()
  .opts<{ checkOnly: boolean }>();

runScript(async () => {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const settings = readSettings(process.env, { knowsActors: false });
  const faults = await visit(
    checkOnly ? 'check' : 'prepare',
    preparations(),
    settings,
    console.log,
  );
  if (faults > 0) process.exitCode = 1;
});
