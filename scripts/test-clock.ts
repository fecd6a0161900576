import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Argument, Command, InvalidArgumentError } from 'commander';

/**
 * Runs integration tests at other times of the day than now. Debian's `faketime` moves the clock of
 * every process that is started, the servers too, so that all of them agree; what waits goes on
 * waiting as long as it does. A test of its own servers' clocks would be a test of nothing.
 */

/**
 * After midnight UTC; before an hour's end; a quarter of an hour after midnight in Kathmandu; and
 * before midnight UTC, so that the run goes from one day into the next.
 */
const times = ['00:05', '05:50', '18:30', '23:58'];

/** What asks for windows, days or months, or has something done at a time. */
const files = [
  'access-matrix',
  'alert-conditions',
  'api-access',
  'api-cloud-events',
  'api-events',
  'api-exports',
  'api-parameters',
  'api-routes',
  'commands',
  'completeness',
  'export-files',
  'export-focus',
  'export-links',
  'export-schedule',
  'export-worker',
  'ingest',
  'latency-percentiles',
  'metrics',
  'openapi-contract',
  'partitions',
  'replay-command',
  'replay',
  'rollup',
  'seed',
  'smoke',
  'start',
  'tenants-apart',
  'timescale-ingest',
  'timescale',
  'token-access',
  'verify-function',
  'verify-gaps',
  'verify-timescale',
  'verify',
  'window-answers',
];

/**
 * PostgreSQL's own time-outs do not end anything below libfaketime, at whatever time; Redis does not
 * start below it and has the true clock (scripts/services/redis.ts).
 */
const leftOut = [
  'a frozen ingester is ended by the database',
  'that cannot read raw events in time gives everything else',
];
/** One less than usual: more of them at once kept each other waiting, and a 503 is sent again. */
const workersMax = 2;

const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
/** Where the tests find servers that are there: those have the clock of everybody. */
const serverAddresses = ['DATABASE_URL', 'RABBITMQ_URL', 'REDIS_URL', 'S3_ENDPOINT'];

const program = new Command('npm run test:clock --')
  .description('Runs the tests that ask for windows and days at other times of the day (UTC)')
  .addArgument(
    new Argument('[files...]', 'names of test files, such as rollup; all of them when left out'),
  )
  .option('--at <times>', 'hours and minutes, comma-separated', readTimes, times)
  .parse();
const { at } = program.opts<{ at: string[] }>();
const library = readdirSync('/usr/lib')
  .map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`)
  .find((file) => existsSync(file));
if (library === undefined)
  program.error('faketime is not on this machine: apt-get install faketime');
const chosen = program.args.length === 0 ? files : program.args;
const paths = chosen.map((name) => `test/${name}.test.ts`);
const missing = paths.filter((path) => !existsSync(new URL(`../${path}`, import.meta.url)));
if (missing.length > 0) program.error(`there is no ${missing.join(', ')}`);

const failed = at.filter((time) => {
  console.log(`\n# at ${time} UTC`);
  return runAt(time) !== 0;
});
if (failed.length > 0) console.error(`\nfailed at ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;

function runAt(time: string): number {
  const env = {
    ...process.env,
    LD_PRELOAD: library,
    FAKETIME: `${offsetSeconds(time, Date.now())}s`,
    // Deadlines and measured times are no times of day.
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    ...Object.fromEntries(serverAddresses.map((name) => [name, undefined])),
  };
  const others = `^(?!.*(${leftOut.join('|')}))`;
  const how = ['--project', 'integration', '--maxWorkers', String(workersMax), '-t', others];
  const args = [vitest, 'run', ...how, ...paths];
  return spawnSync(process.execPath, args, { stdio: 'inherit', env }).status ?? 1;
}

/** To the next time that a clock of UTC shows this. */
function offsetSeconds(time: string, nowMs: number): string {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  const daySeconds = 86_400;
  const nowSeconds = Math.floor(nowMs / 1_000) % daySeconds;
  const ahead = (hours * 3_600 + minutes * 60 - nowSeconds + daySeconds) % daySeconds;
  return `+${ahead}`;
}

function readTimes(text: string): string[] {
  const given = text.split(',');
  if (given.every((time) => /^([01]\d|2[0-3]):[0-5]\d$/.test(time))) return given;
  throw new InvalidArgumentError('must be times such as 00:05,18:30');
}
