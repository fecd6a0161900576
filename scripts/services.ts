import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { SERVICE_NAMES, type ServiceName } from './services/service-env.ts';
import { startServices } from './services/start.ts';
import {
  clearState,
  isRunning,
  type Run,
  readState,
  type State,
  writeState,
} from './services/state.ts';
import { release } from './services/supervisor.ts';

const FOLDER = resolve(fileURLToPath(new URL('../.data/services', import.meta.url)));

const program = new Command('npm run services --').description(
  'PostgreSQL, RabbitMQ, Redis and an S3 server on this machine, with data under .data/services',
);
program
  .command('up')
  .description('start what is not running yet; it keeps running after this command')
  .option('--only <names>', `some of ${SERVICE_NAMES.join(',')}`, parseNames)
  .action(({ only }: { only?: ServiceName[] }) => up(only ?? SERVICE_NAMES));
program.command('down').description('stop them; the data stays').action(down);
program
  .command('env')
  .description('print their addresses: eval "$(npm run --silent services -- env)"')
  .action(printEnv);

try {
  await program.parseAsync();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}

async function up(names: readonly ServiceName[]): Promise<void> {
  const { runs } = await readState(FOLDER);
  const kept: Run[] = [];
  for (const run of runs) {
    if (isRunning(run)) kept.push(run);
    else await stop(run);
  }
  const missing = names.filter((name) => !kept.some((run) => run.names.includes(name)));
  if (missing.length === 0) {
    console.log(`${names.join(', ')}: running already`);
    return;
  }
  // Until `detach` a Ctrl-C takes the servers down again, so that none runs unrecorded.
  const started = await startServices({
    only: missing,
    log: console.log,
    keepIn: FOLDER,
    // Our own addresses may still be in this shell from last time: `up` means servers, not URLs.
    environment: {},
  });
  const run: Run = { names: missing, env: started.env, holdings: started.holdings };
  await writeState(FOLDER, { runs: [...kept, run] });
  await started.detach();
  console.log('addresses: npm run --silent services -- env');
}

async function down(): Promise<void> {
  const state = await readState(FOLDER);
  if (state.runs.length === 0) return console.log('not running');
  await Promise.all(state.runs.map(stop));
  await clearState(FOLDER);
  console.log(`stopped ${namesOf(state)}`);
}

async function printEnv(): Promise<void> {
  const { runs } = await readState(FOLDER);
  const running = runs.filter(isRunning);
  if (running.length === 0) throw new Error('not running: npm run services -- up');
  for (const [name, value] of running.flatMap(({ env }) => Object.entries(env))) {
    console.log(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
  }
}

async function stop(run: Run): Promise<void> {
  await Promise.all(run.holdings.map(release));
}

function namesOf({ runs }: State): string {
  return runs.flatMap(({ names }) => names).join(', ');
}

function parseNames(text: string): ServiceName[] {
  return text.split(',').map((word) => {
    const name = SERVICE_NAMES.find((known) => known === word.trim());
    if (name === undefined)
      throw new Error(`no service ${word}; there are ${SERVICE_NAMES.join(', ')}`);
    return name;
  });
}
