import { startConsumer } from '../../functions/consumer/consumer.ts';
import { eventStorage } from '../../shared/events/event-storage.ts';
import { encodeEvent, type UsageEvent } from '../../shared/events/usage-event.ts';
import { serve } from '../../shared/http/serve.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { createLogger } from '../../shared/platform/telemetry/telemetry.ts';
import { scrape } from './scrape.ts';
import type { Stage } from './scraped-series.ts';
import { services } from './services.ts';
import { declare, publishTraffic } from './stream-traffic.ts';
import { type System, startSystem } from './system.ts';
import { startTcpRelay, type TcpRelay } from './tcp-relay.ts';
import { until } from './until.ts';

export interface WatchedSystem extends Omit<System, 'sink' | 'refresh' | 'verify'> {
  database: Database;
  /** Stands before the object store. */
  storeRelay: TcpRelay;
  /** The jobs that are scraped, and where. */
  targets: Map<string, string>;
  /** What was scraped so far. */
  stages: Stage[];
  startConsumer(): void;
  /** As the scaler does when there is nothing to read, or as it dies. */
  stopConsumer(): Promise<void>;
  publish(events: readonly UsageEvent[]): Promise<void>;
  /** The oldest offset that the stream still has. */
  firstOffset(): Promise<number>;
  /** As many as these must be stored, each once. */
  stored(events: readonly UsageEvent[]): Promise<void>;
  /** What the schedule does every minute, until nothing waits. */
  refresh(): Promise<void>;
  /** What it does every five. */
  verify(): Promise<void>;
  /** Lets time pass in which nothing is done: everything that was is so much longer ago. */
  pass(minutes: number): Promise<void>;
  /** Scrapes what is exported now, for a stage of its history. */
  staysFor(minutes: number): Promise<void>;
  /** For what a test adds; undone last first. */
  atEnd(undo: () => Promise<unknown>): void;
}

/** The times by which the service judges itself. Those of events are left alone: traffic goes on. */
const times = {
  stream_offsets: [
    'lease_expires_at',
    'committed_at',
    'head_probed_at',
    'target_probed_at',
    'complete_through',
    'created_at',
  ],
  ingestion_batches: ['committed_at', 'folded_at'],
  job_runs: ['last_success_at'],
  data_quality_runs: ['started_at', 'finished_at'],
  export_jobs: ['lease_expires_at', 'next_attempt_at', 'created_at', 'started_at'],
};

/**
 * The whole service on real servers, its consumer and schedules in the test's hands, and a history
 * of what it exports.
 */
export async function watchSystem(environment: Record<string, string>): Promise<WatchedSystem> {
  const storeRelay = await startTcpRelay(services().S3_ENDPOINT);
  const system = await startSystem({
    consume: false,
    environment: { S3_ENDPOINT: `http://127.0.0.1:${storeRelay.port}`, ...environment },
  });
  const { settings } = system;
  const url = settings.DATABASE_URL ?? '';
  const database = openDatabase({ url, patienceMs: 5_000 });
  const server = await serve(system.app, { PORT: 0, HTTP_PORT: 0 }, '127.0.0.1');
  const targets = new Map([['analytics-service', `http://127.0.0.1:${server.port}`]]);
  const amqp = settings.RABBITMQ_URL ?? '';
  await declare(amqp, settings);
  const brokers = brokerSource(amqp, {});
  const cache = openCache(settings);
  const consumerDeps = {
    database,
    storage: eventStorage(database),
    cache,
    brokers,
    settings,
    logger: createLogger(settings, 'consumer'),
  };
  let consumer: ReturnType<typeof startConsumer> | undefined;
  const stages: Stage[] = [];
  const undoing: (() => Promise<unknown>)[] = [];

  const stopConsumer = async () => {
    await consumer?.stop();
    consumer = undefined;
  };
  return {
    ...system,
    database,
    storeRelay,
    targets,
    stages,
    startConsumer: () => {
      consumer = startConsumer(consumerDeps);
    },
    stopConsumer,
    publish: (events) =>
      publishTraffic(
        amqp,
        settings.RABBITMQ_STREAM,
        events.map((event) => ({ content: encodeEvent(event), event })),
      ),
    firstOffset: async () => {
      const broker = await brokers.get();
      return (await broker.tail(settings.RABBITMQ_STREAM)) ?? 0;
    },
    stored: async (events) => {
      const ids = events.map(({ eventId }) => eventId);
      await until('the events are stored', async () => {
        const [row] = await database.query<{ stored: number }>(
          `select count(*)::float8 as stored from analytics.usage_events where event_id = any($1)`,
          [ids],
        );
        return row?.stored === events.length;
      });
    },
    refresh: async () => {
      // The consumer may be folding, which leaves nothing to a second.
      await until('all is folded', async () => {
        await system.refresh();
        const waiting = await database.query(
          'select from analytics.ingestion_batches where folded_at is null',
        );
        return waiting.length === 0;
      });
    },
    verify: async () => {
      await system.verify();
    },
    pass: async (minutes) => {
      for (const [table, columns] of Object.entries(times)) {
        const earlier = columns.map(
          (column) => `${column} = ${column} - make_interval(mins => $1)`,
        );
        await database.query(`update analytics.${table} set ${earlier.join(', ')}`, [minutes]);
      }
    },
    staysFor: async (minutes) => {
      stages.push({ minutes, scrape: await scrape(targets) });
    },
    atEnd: (undo) => undoing.push(undo),
    close: async () => {
      for (const undo of undoing.reverse()) await undo();
      await stopConsumer();
      await server.close();
      await storeRelay.stop();
      await brokers.close();
      await cache.close();
      await database.close();
      await system.close();
    },
  };
}
