import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import {
  type LocalService,
  type LocalServiceOptions,
  openService,
} from '../../scripts/local/service.ts';
import { deadLetterQueueOf } from '../../shared/dead-letters/dead-letters.ts';
import { readSettings, type Settings, streamPartitions } from '../../shared/platform/env.ts';
import { createLogger, type Logger } from '../../shared/platform/telemetry/telemetry.ts';
import { apiDatabaseUrl } from './api-login.ts';
import { createDatabase } from './database.ts';
import { hostedCache } from './hosted.ts';
import { services } from './services.ts';

export interface System extends LocalService {
  settings: Settings;
  /** Environment variables with which another process joins this system. */
  environment: Record<string, string>;
  /** A GET as JSON; `headers` default to an admin's. */
  get(path: string, headers?: Record<string, string>): Promise<{ status: number; body: unknown }>;
}

export const adminHeaders = { 'X-Actor-Subject': 'test-admin', 'X-Actor-Roles': 'admin' };

export interface SystemOptions extends Partial<LocalServiceOptions> {
  /** Without it events are stored as they are taken. */
  stream?: boolean;
  environment?: Record<string, string>;
  /** For tests that read what is logged. */
  logger?: Logger;
}

/**
 * The whole service on real servers, with a database and a stream of its own. The schedules run
 * only when asked for, so that tests decide what is folded.
 */
export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const { stream = true, environment: more = {}, logger, ...serviceOptions } = options;
  const { RABBITMQ_URL, REDIS_URL, ...store } = services();
  const database = await createDatabase();
  const streamName = `test.${randomUUID()}`;
  const environment = {
    ...store,
    DATABASE_URL: database.url,
    // Wherever the database is, the API has no right there of its own: a query that forgets its
    // tenant fails.
    API_DATABASE_URL: apiDatabaseUrl(more.DATABASE_URL ?? database.url),
    REDIS_URL,
    ...hostedCache(),
    ...(stream ? { RABBITMQ_URL, RABBITMQ_STREAM: streamName } : {}),
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
    ENVIRONMENT: 'test',
    // A test asks more often than anybody may.
    RATE_LIMIT_PER_MINUTE: '0',
    ...more,
  };
  const settings = readSettings(environment);
  const service = await openService(settings, logger ?? createLogger(settings, 'test'), {
    refreshEveryMs: 0,
    exportsEveryMs: 0,
    verifyEveryMs: 0,
    // Not used where the servers' environment names an S3 endpoint.
    exportsFolder: join(tmpdir(), 'exports-not-used'),
    ...serviceOptions,
  });
  return {
    ...service,
    settings,
    environment,
    get: async (path, headers = adminHeaders) => {
      const response = await service.app.request(path, { headers });
      return { status: response.status, body: await response.json() };
    },
    close: async () => {
      await service.close();
      await database.drop();
      if (stream) await deleteQueues(RABBITMQ_URL, settings);
    },
  };
}

/** What a stream's settings name in the broker. */
export async function deleteQueues(url: string, settings: Settings): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  for (const queue of [...streamPartitions(settings), deadLetterQueueOf(settings)]) {
    await channel.deleteQueue(queue);
  }
  await connection.close();
}
