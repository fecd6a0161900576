import { Command } from 'commander';
import { openDatabase } from '../shared/db.ts';
import { deadLetterQueueOf } from '../shared/dead-letters.ts';
import { readSettings, type Settings, streamPartitions } from '../shared/env.ts';
import { messageOf } from '../shared/errors.ts';
import { migrate } from '../shared/migrate.ts';
import { openS3Store } from '../shared/s3-store.ts';
import { brokerSource } from '../shared/stream.ts';
import { declareStreams } from '../shared/stream-topology.ts';
import { runScript } from './run-script.ts';

const { checkOnly } = new Command('npm run bootstrap --')
  .description(
    'Prepares every server that a setting names: schema, stream and dead-letter queue, bucket',
  )
  .option('--check-only', 'changes nothing: says what is there and what is not', false)
  .parse()
  .opts<{ checkOnly: boolean }>();

/** One server: the setting that names it, and what to do with it. Returns what there is to say. */
interface Step {
  setting: 'DATABASE_URL' | 'RABBITMQ_URL' | 'S3_ENDPOINT';
  run(settings: Settings, given: string): Promise<string>;
}

const steps: readonly Step[] = [
  {
    setting: 'DATABASE_URL',
    run: async ({ DATABASE_DRIVER: driver }, url) => {
      if (!checkOnly) {
        const { applied, storage } = await migrate(url);
        const did = applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}`;
        return `schema analytics ${did}; events in ${storage}`;
      }
      const database = openDatabase({ url, driver, connectionsMax: 1, patienceMs: 5_000 });
      try {
        const [row] = await database.query<{ server: string; there: boolean }>(
          `select current_setting('server_version') as server,
                  to_regclass('analytics.migrations') is not null as there`,
        );
        const schema =
          row?.there === true ? 'schema analytics is there' : 'no schema analytics yet';
        return `PostgreSQL ${row?.server} answers; ${schema}`;
      } finally {
        await database.close();
      }
    },
  },
  {
    setting: 'RABBITMQ_URL',
    run: async (settings, url) => {
      const brokers = brokerSource(url, { name: 'bootstrap', timeoutMs: 5_000 });
      try {
        const broker = await brokers.get();
        const streams = streamPartitions(settings);
        if (!checkOnly) {
          await declareStreams(broker, settings);
          return `declared ${[...streams, deadLetterQueueOf(settings)].join(', ')}`;
        }
        const there = await Promise.all(streams.map((stream) => broker.exists(stream)));
        const missing = streams.filter((_, index) => there[index] !== true);
        return `RabbitMQ answers; ${missing.length === 0 ? 'every stream is there' : `not yet declared: ${missing.join(', ')}`}`;
      } finally {
        await brokers.close();
      }
    },
  },
  {
    setting: 'S3_ENDPOINT',
    run: async (settings) => {
      const store = openS3Store(settings);
      try {
        const made = checkOnly ? false : await store.ensure();
        await store.prove();
        return `bucket ${settings.S3_BUCKET} ${made ? 'made' : 'is there'}; put, get and delete work`;
      } finally {
        store.close();
      }
    },
  },
];

runScript(async () => {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const settings = readSettings(process.env);
  let faults = 0;
  for (const { setting, run } of steps) {
    const given = settings[setting];
    try {
      const said = given === undefined ? 'not set: left out' : await run(settings, given);
      console.log(`  ${given === undefined ? '-' : 'ok'.padEnd(1)} ${setting.padEnd(13)} ${said}`);
    } catch (error) {
      faults += 1;
      console.log(`  FAILED ${setting.padEnd(13)} ${messageOf(error)}`);
    }
  }
  if (faults > 0) process.exitCode = 1;
});
