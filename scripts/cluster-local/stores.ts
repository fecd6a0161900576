import { randomBytes } from 'node:crypto';
import { connect } from 'amqplib';
import pg from 'pg';
import { deadLetterQueueOf } from '../../shared/dead-letters/dead-letters.ts';
import { streamPartitions } from '../../shared/platform/env.ts';
import type { ServiceEnv } from '../services/service-env.ts';
import { deleteBucket } from './bucket.ts';
import type { Keys } from './container-env.ts';

/** The servers of a run, as its manifests are told of them. */
export interface Stores {
  /** The Secrets that an operator makes before the first deploy. */
  secrets: Readonly<Record<string, Keys>>;
  /** What takes the place of the manifests' own values, wherever a container is given one. */
  settings: Keys;
  /** Removes what was made for the run. */
  close(): Promise<void>;
}

/**
 * Names for one run on the servers that are there: a database, which is made, and a stream and a
 * bucket, which the bootstrap makes.
 */
export async function freshStores(env: ServiceEnv): Promise<Stores> {
  const id = randomBytes(6).toString('hex');
  const database = `cluster_${id}`;
  const apiUser = `${database}_api`;
  const stream = `cluster.${id}`;
  const s3 = { ...env, S3_BUCKET: `cluster-${id}` };
  const url = new URL(env.DATABASE_URL);
  url.pathname = `/${database}`;
  await onServer(env.DATABASE_URL, `create database ${database}`);
  return {
    ...storesAt({ ...s3, DATABASE_URL: url.href }, stream, apiUser),
    close: async () => {
      await onServer(env.DATABASE_URL, `drop database if exists ${database} with (force)`);
      await onServer(env.DATABASE_URL, `drop role if exists ${apiUser}`);
      await deleteQueues(env.RABBITMQ_URL, stream);
      await deleteBucket(s3);
    },
  };
}

/** The database, stream and bucket that the environment names, which stay as the run leaves them. */
export function givenStores(env: ServiceEnv, stream: string | undefined): Stores {
  return { ...storesAt(env, stream, 'cluster_local_api'), close: async () => {} };
}

function storesAt(
  env: ServiceEnv,
  stream: string | undefined,
  apiUser: string,
): Omit<Stores, 'close'> {
  const apiUrl = new URL(env.DATABASE_URL);
  apiUrl.username = apiUser;
  apiUrl.password = randomBytes(24).toString('hex');
  return {
    secrets: {
      'analytics-database': { url: env.DATABASE_URL, 'api-url': apiUrl.href },
      'analytics-rabbitmq': { url: env.RABBITMQ_URL },
      'analytics-redis': { url: env.REDIS_URL, token: '' },
      'analytics-s3': { 'access-key': env.S3_ACCESS_KEY, 'secret-key': env.S3_SECRET_KEY },
      'analytics-gateway': { secret: randomBytes(24).toString('hex') },
      'analytics-metrics': { token: randomBytes(24).toString('hex') },
    },
    settings: {
      S3_ENDPOINT: env.S3_ENDPOINT,
      S3_BUCKET: env.S3_BUCKET,
      S3_REGION: env.S3_REGION,
      ...(stream === undefined ? {} : { RABBITMQ_STREAM: stream }),
      // The collector is inside the cluster.
      OTEL_EXPORTER_OTLP_ENDPOINT: '',
    },
  };
}

/** As many as any overlay asks for: deleting a queue that is not there is fine. */
const partitionsMax = 64;

async function deleteQueues(url: string, RABBITMQ_STREAM: string): Promise<void> {
  const connection = await connect(url);
  try {
    const channel = await connection.createChannel();
    const partitions = streamPartitions({
      RABBITMQ_STREAM,
      RABBITMQ_STREAM_PARTITIONS: partitionsMax,
    });
    for (const queue of [RABBITMQ_STREAM, ...partitions, deadLetterQueueOf({ RABBITMQ_STREAM })]) {
      await channel.deleteQueue(queue);
    }
  } finally {
    await connection.close();
  }
}

/** For names of our own making: a statement that makes or drops a database takes no parameters. */
async function onServer(serverUrl: string, statement: string): Promise<void> {
  const admin = new pg.Client({ connectionString: serverUrl });
  await admin.connect();
  try {
    await admin.query(statement);
  } finally {
    await admin.end();
  }
}
