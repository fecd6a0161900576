import { deadLetterQueueOf } from '../dead-letters/dead-letters.ts';
import { declareStreams } from '../partitions/topology.ts';
import { type Broker, connectBroker } from '../platform/broker/stream.ts';
import { openDatabase } from '../platform/database/db.ts';
import { type Settings, streamPartitions } from '../platform/env.ts';
import { messageOf } from '../platform/errors.ts';
import type { ObjectStore } from '../platform/object-store/object-store.ts';
import { openS3Store } from '../platform/object-store/s3-store.ts';
import { checkApiLogin, prepareApiLogin } from './api-login.ts';
import { migrate } from './migrate.ts';

/** People and Jobs wait longer for a server than requests do. */
const patienceMs = 5_000;

/** One server: the setting that names it, and what to do with it. */
export interface Preparation {
  setting:
    | 'DATABASE_URL'
    | 'API_DATABASE_URL'
    | 'RABBITMQ_URL'
    | 'REDIS_URL'
    | 'S3_ENDPOINT'
    | 'OTEL_EXPORTER_OTLP_ENDPOINT';
  /** Changes nothing. Says what is there. @throws Error when the server is not as it must be. */
  check(settings: Settings, address: string): Promise<string>;
  /** Makes what is missing and says what that was; a second time changes nothing. */
  prepare(settings: Settings, address: string): Promise<string>;
}

/**
 * What the service needs before it starts: the schema, the API's user, the stream and its
 * dead-letter queue, the bucket.
 *
 * @param migrationsFolder where the build put them, if not in the repository
 */
export function preparations(migrationsFolder?: string): readonly Preparation[] {
  return [schema(migrationsFolder), apiLogin, stream, bucket];
}

/**
 * Goes through the servers that settings name, one line each.
 *
 * @returns how many did not do what they should; each has had its line
 */
export async function visit(
  action: 'check' | 'prepare',
  servers: readonly Preparation[],
  settings: Settings,
  say: (line: string) => void,
): Promise<number> {
  let faults = 0;
  const width = Math.max(...servers.map(({ setting }) => setting.length));
  for (const server of servers) {
    const name = server.setting.padEnd(width);
    const address = settings[server.setting];
    if (address === undefined) {
      say(`  -  ${name} not set: left out`);
      continue;
    }
    try {
      say(`  ok ${name} ${await server[action](settings, address)}`);
    } catch (error) {
      faults += 1;
      say(`  FAILED ${name} ${messageOf(error)}`);
    }
  }
  return faults;
}

const schema = (migrationsFolder?: string): Preparation => ({
  setting: 'DATABASE_URL',
  check: async ({ DATABASE_DRIVER: driver }, url) => {
    const database = openDatabase({ url, driver, connectionsMax: 1, patienceMs });
    try {
      const [row] = await database.query<{ server: string; there: boolean }>(
        `select current_setting('server_version') as server,
                to_regclass('analytics.migrations') is not null as there`,
      );
      const found = row?.there === true ? 'schema analytics is there' : 'no schema analytics yet';
      return `PostgreSQL ${row?.server} answers; ${found}`;
    } finally {
      await database.close();
    }
  },
  prepare: async ({ DATABASE_DRIVER: driver }, url) => {
    const { applied, storage } = await migrate(url, { driver, folder: migrationsFolder });
    const did = applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}`;
    return `schema analytics ${did}; events in ${storage}`;
  },
});

const apiLogin: Preparation = {
  setting: 'API_DATABASE_URL',
  check: checkApiLogin,
  prepare: prepareApiLogin,
};

const stream: Preparation = {
  setting: 'RABBITMQ_URL',
  check: (settings, url) =>
    withBroker(url, async (broker) => {
      const streams = streamPartitions(settings);
      const there = await Promise.all(streams.map((name) => broker.exists(name)));
      const missing = streams.filter((_, index) => there[index] !== true);
      const found =
        missing.length === 0 ? 'every stream is there' : `not yet declared: ${missing.join(', ')}`;
      return `RabbitMQ answers; ${found}`;
    }),
  prepare: (settings, url) =>
    withBroker(url, async (broker) => {
      await declareStreams(broker, settings);
      return `declared ${[...streamPartitions(settings), deadLetterQueueOf(settings)].join(', ')}`;
    }),
};

async function withBroker(url: string, work: (broker: Broker) => Promise<string>): Promise<string> {
  const broker = await connectBroker(url, { name: 'bootstrap', timeoutMs: patienceMs });
  try {
    return await work(broker);
  } finally {
    await broker.close();
  }
}

const bucket: Preparation = {
  setting: 'S3_ENDPOINT',
  check: (settings) => withStore(settings, async () => `bucket ${settings.S3_BUCKET} is there`),
  prepare: (settings) =>
    withStore(settings, async (store) => {
      const made = await store.ensure();
      return `bucket ${settings.S3_BUCKET} ${made ? 'made' : 'is there'}`;
    }),
};

/** Last the store is tried by what exports do with it. */
async function withStore(
  settings: Settings,
  work: (store: ObjectStore) => Promise<string>,
): Promise<string> {
  const store = openS3Store(settings);
  try {
    const said = await work(store);
    await store.prove();
    return `${said}; put, get and delete work`;
  } finally {
    store.close();
  }
}
