import { statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import pg from 'pg';
import { bundleOf } from './bench/program.ts';
import { machine } from './bench/report.ts';
import { buildFunctions } from './build.ts';
import { runScript } from './run-script.ts';
import { startServices } from './services/start.ts';
import { reportText, type SoakReport, soakDocument, verdicts } from './soak/report.ts';
import { runSoak } from './soak/run.ts';

const program = new Command('npm run soak --')
  .description(
    'Offers more events than the service is made for, and watches what it takes to store them',
  )
  .option('--rate <n>', 'events offered each second', positive, 15_000)
  .option('--minutes <n>', 'for how long', positive, 15)
  .option('--json', 'the report as JSON', false)
  .option('--write', 'write docs/soak.md too', false)
  .parse();
const { rate, minutes, json, write } = program.opts<{
  rate: number;
  minutes: number;
  json: boolean;
  write: boolean;
}>();

const batchSize = 5_000;
/** In the stream, in the table with its index, and in the write-ahead log. */
const bytesPerEvent = 1_500;

runScript(async () => {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const seconds = minutes * 60;
  await requireSpace(rate * seconds * bytesPerEvent);
  await buildFunctions();
  // Always its own: the memory of servers elsewhere cannot be seen.
  const services = await startServices({
    only: ['postgres', 'rabbitmq'],
    log: say,
    environment: {},
  });
  let report: SoakReport;
  try {
    const processes = services.holdings.flatMap((holdings) => holdings.processes);
    const servers = Object.fromEntries(
      processes.filter(({ name }) => name !== 'epmd').map(({ name, pid }) => [name, pid]),
    );
    const { env } = services;
    const options = { rate, seconds, batchSize, env, servers, bundleOf, say };
    report = {
      rate,
      seconds,
      batchSize,
      date: new Date().toISOString().slice(0, 10),
      machine: machine(),
      versions: [await postgresVersion(env.DATABASE_URL), await rabbitmqVersion(env.RABBITMQ_URL)],
      ...(await runSoak(options)),
    };
  } finally {
    await services.stop();
  }
  console.log(json ? JSON.stringify(report) : reportText(report));
  if (write) {
    const file = fileURLToPath(new URL('../docs/soak.md', import.meta.url));
    await writeFile(file, soakDocument(report));
  }
  if (verdicts(report).length > 0) process.exitCode = 1;
});

async function requireSpace(bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir());
  if (bavail * bsize >= bytes) return;
  const gigabytes = (count: number) => `${Math.ceil(count / 1e9)} GB`;
  throw new Error(
    `${tmpdir()} has ${gigabytes(bavail * bsize)} left and this needs some ${gigabytes(bytes)}: ` +
      'make room, name another folder in TMPDIR, or offer less',
  );
}

async function postgresVersion(connectionString: string): Promise<string> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: string; fsync: string }>(
      `select current_setting('server_version') as version, current_setting('fsync') as fsync`,
    );
    return `PostgreSQL ${rows[0]?.version} (fsync ${rows[0]?.fsync})`;
  } finally {
    await client.end();
  }
}

async function rabbitmqVersion(url: string): Promise<string> {
  const { connect } = await import('amqplib');
  const connection = await connect(url);
  const { version } = connection.connection.serverProperties;
  await connection.close();
  return `RabbitMQ ${version}`;
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('must be a number above 0.');
}
