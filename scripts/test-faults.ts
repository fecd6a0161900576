import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { faults } from './faults/catalog.ts';
import { resultsFile } from './faults/record.ts';

const names = Object.keys(faults);
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));

const program = new Command('npm run test:faults --')
  .description('Provokes faults under load, one after the other, on servers of its own')
  .addArgument(new Argument('[names...]', `which: ${names.join(', ')}; all when left out`))
  .addOption(new Option('--long', 'several rounds at random moments (default)').conflicts('short'))
  .option('--short', 'one round each, as in npm test', false)
  .option('--seed <n>', 'the random moments of an earlier run', readSeed)
  .parse();
const { short, seed } = program.opts<{ short: boolean; seed?: number }>();
const unknown = program.args.filter((name) => !names.includes(name));
if (unknown.length > 0) program.error(`no fault is called ${unknown.join(', ')}`);

const only = program.args.length === 0 ? [] : ['-t', `^(${program.args.join('|')})$`];
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'faults', ...only], {
  stdio: 'inherit',
  env: {
    ...process.env,
    FAULTS_FORM: short ? 'short' : 'long',
    FAULTS_RECORDS: resultsFile,
    ...(seed === undefined ? {} : { FAULTS_SEED: String(seed) }),
  },
});
process.exitCode = status ?? 1;

function readSeed(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('must be a whole number from 1');
}
