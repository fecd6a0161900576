import { setTimeout as sleep } from 'node:timers/promises';
import type { Hono } from 'hono';
import { Registry } from 'prom-client';
import { consoleApp } from '../../functions/console/app.ts';
import { type Page, pageOf } from '../../functions/console/page.ts';
import { type ConsumerDeps, startConsumer } from '../../functions/consumer/consumer.ts';
import { docsApp } from '../../functions/docs/app.ts';
import { readPageFiles } from '../../functions/docs/page-files.ts';
import { eventsApp } from '../../functions/events/app.ts';
import { exportWorkerApp } from '../../functions/export-worker/app.ts';
import { openWorkerDatabase } from '../../functions/export-worker/database.ts';
import { createExportRuns, type ExportRuns } from '../../functions/export-worker/runs.ts';
import { exportsApp } from '../../functions/exports/app.ts';
import { refreshApp } from '../../functions/refresh/app.ts';
import { type RefreshReport, refresh } from '../../functions/refresh/refresh.ts';
import { reliabilityApp } from '../../functions/reliability/app.ts';
import { statusApp } from '../../functions/status/app.ts';
import type { Components } from '../../functions/status/readiness.ts';
import { undeliveredApp } from '../../functions/status/undelivered.ts';
import { usageApp } from '../../functions/usage/app.ts';
import { verifyApp } from '../../functions/verify/app.ts';
import { type VerifyReport, verify } from '../../functions/verify/verify.ts';
import { directSink, type EventSink, streamSink } from '../../shared/events/event-sink.ts';
import { eventStorage } from '../../shared/events/event-storage.ts';
import { closeRefusals, directRefusals, streamRefusals } from '../../shared/events/refusals.ts';
import { type AnnounceExport, announceTo } from '../../shared/exports/requested.ts';
import { actorsOf, createAccess } from '../../shared/http/actor.ts';
import { httpApp } from '../../shared/http/app.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { pipelineMetrics } from '../../shared/pipeline-metrics.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { requireSetting, type Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { openFolderStore } from '../../shared/platform/object-store/folder-store.ts';
import { openS3Store } from '../../shared/platform/object-store/s3-store.ts';
import type { Logger } from '../../shared/platform/telemetry/telemetry.ts';
import { activeTrace } from '../../shared/platform/telemetry/tracing.ts';
import { buildConsolePage } from '../console-page.ts';
import { docsPageFile } from '../docs-page.ts';
import { exportFilesApp } from './export-files.ts';
import { loopbackOnly } from './loopback-only.ts';

/** Built when somebody first opens it: the other answers do not wait for that. */
let builtPage: Promise<Page> | undefined;
function consolePage(): Promise<Page> {
  builtPage ??= buildConsolePage().then(pageOf);
  return builtPage;
}

/** Every function mounted in one process, with the schedules running. */
export interface LocalService {
  app: Hono<AppEnv>;
  sink: EventSink;
  refresh(): Promise<RefreshReport>;
  verify(): Promise<VerifyReport | null>;
  exports: ExportRuns;
  close(): Promise<void>;
}

export interface LocalServiceOptions {
  /** Stands in for the bucket where S3_ENDPOINT is not set. */
  exportsFolder: string;
  /** How often the refresh runs; 0 leaves it to the caller. */
  refreshEveryMs?: number;
  /** How often the export worker runs, EXPORT_WORKER_INTERVAL; 0 leaves it to the caller. */
  exportsEveryMs?: number;
  /** How often verify runs, first after that time; 0 leaves it to the caller. */
  verifyEveryMs?: number;
  /** Where requests and the process are counted, for one who sends the numbers on. */
  registry?: Registry;
  /** False leaves the stream to consumers in other processes. */
  consume?: boolean;
  /** Asked before anything runs by itself; what it throws ends the start. */
  beforeStart?: (components: Components) => Promise<void>;
  /** For fault tests. */
  consumer?: Pick<ConsumerDeps, 'failpoint' | 'leaseMs'>;
}

/**
 * Builds the service from its settings: the same factories as the deployed functions, around
 * shared clients. With RABBITMQ_URL events go through the stream and the consumer runs; without,
 * they are stored as they are taken.
 */
export async function openService(
  settings: Settings,
  logger: Logger,
  options: LocalServiceOptions,
): Promise<LocalService> {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const driver = settings.DATABASE_DRIVER;
  const database = openDatabase({ url: settings.API_DATABASE_URL ?? url, driver, name: 'api' });
  const background = openDatabase({
    url,
    driver,
    name: 'background',
    connectionsMax: settings.RABBITMQ_STREAM_PARTITIONS + 8,
    patienceMs: 5_000,
    statementTimeoutMs: 120_000,
  });
  const storage = eventStorage(background);
  const cache = openCache(settings, (reason) => logger.warn({ reason }, 'cache fault'));
  const folder = settings.S3_ENDPOINT === undefined ? openFolderStore(options.exportsFolder) : null;
  const store = folder ?? openS3Store(settings);
  const exportsDatabase = openWorkerDatabase(url, settings);
  const exports = createExportRuns({
    database: exportsDatabase,
    store,
    settings,
    logger: logger.child({ function: 'export-worker' }),
  });
  const workAtOnce: AnnounceExport = async ({ jobId }) => {
    // Nobody waits for it; what fails here the schedule tries again.
    exports.drain({ jobId, trace: activeTrace() }).catch((error: unknown) => {
      logger.warn({ reason: messageOf(error) }, 'export worker failed');
    });
  };
  const announce =
    settings.K_SINK !== undefined
      ? announceTo(settings.K_SINK)
      : options.exportsEveryMs === 0
        ? null
        : workAtOnce;
  const amqp = settings.RABBITMQ_URL;
  const brokers = amqp === undefined ? null : brokerSource(amqp, { name: 'local' });
  const publishers = amqp === undefined ? null : brokerSource(amqp, { timeoutMs: 800 });
  const sink =
    publishers === null
      ? directSink(background, storage, logger.child({ function: 'events' }))
      : streamSink(publishers, settings);
  const refusals =
    publishers === null
      ? directRefusals(background, storage)
      : streamRefusals(publishers, settings);
  const refreshDeps = {
    database: background,
    storage,
    cache,
    brokers,
    settings,
    logger: logger.child({ function: 'refresh' }),
  };
  const verifyDeps = {
    database: background,
    sink,
    brokers,
    settings,
    logger: logger.child({ function: 'verify' }),
  };
  const access = createAccess(settings);
  const components = {
    database: async () => {
      await database.query('select 1');
    },
    stream: publishers === null ? null : () => sink.check(),
    cache: settings.REDIS_URL === undefined ? null : () => cache.check(),
    objectStore: () => store.check(),
  };
  const app = httpApp({
    logger: logger.child({ function: 'api' }),
    actors: actorsOf(settings),
    registry: options.registry ?? new Registry(),
    ready: components.database,
    metrics: () => pipelineMetrics(database),
    metricsToken: settings.METRICS_TOKEN,
    routes: [
      usageApp({ database, access, settings }),
      reliabilityApp({ database, access, settings }),
      statusApp({ database, cache, access, settings, components }),
      eventsApp({ sink, refusals, access, settings }),
      exportsApp({ database, access, settings, store, announce }),
      docsApp(await readPageFiles(docsPageFile)),
      consoleApp({ settings, page: consolePage }),
      ...(folder === null ? [] : [exportFilesApp(folder)]),
      loopbackOnly(refreshApp(refreshDeps, '/internal/refresh')),
      loopbackOnly(exportWorkerApp(exports, '/internal/export-worker')),
      loopbackOnly(verifyApp(verifyDeps, '/internal/verify')),
      loopbackOnly(undeliveredApp(database, '/internal/status')),
    ],
  });
  await options.beforeStart?.(components);
  const consumer =
    brokers === null || options.consume === false
      ? null
      : startConsumer({
          database: background,
          storage,
          cache,
          brokers,
          settings,
          logger: logger.child({ function: 'consumer' }),
          ...options.consumer,
        });

  const stopping = new AbortController();
  const schedule = (name: string, everyMs: number, work: () => Promise<unknown>) =>
    everyMs === 0
      ? Promise.resolve()
      : repeat(everyMs, stopping.signal, async () => {
          await work().catch((error: unknown) => {
            logger.warn({ reason: messageOf(error) }, `${name} failed`);
          });
        });
  // The consumer folds what it stores; without one only this does.
  const refreshEveryMs = options.refreshEveryMs ?? (brokers === null ? 2_000 : 60_000);
  const exportsEveryMs = options.exportsEveryMs ?? settings.EXPORT_WORKER_INTERVAL;
  const verifyEveryMs = options.verifyEveryMs ?? 300_000;
  const schedules = Promise.all([
    schedule('refresh', refreshEveryMs, () => refresh(refreshDeps)),
    schedule('export worker', exportsEveryMs, () => exports.sweep()),
    // Not at once: an empty database is seeded first, and synthetic events would fill it.
    sleep(verifyEveryMs, undefined, { signal: stopping.signal }).then(
      () => schedule('verify', verifyEveryMs, () => verify(verifyDeps)),
      () => {},
    ),
  ]);

  return {
    app,
    sink,
    refresh: () => refresh(refreshDeps),
    verify: () => verify(verifyDeps),
    exports,
    close: async () => {
      stopping.abort();
      await exports.stop();
      await schedules;
      await closeRefusals(refusals, logger);
      await consumer?.stop();
      await brokers?.close();
      await publishers?.close();
      await cache.close();
      store.close();
      await exportsDatabase.close();
      await background.close();
      await database.close();
    },
  };
}

async function repeat(
  everyMs: number,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    await work();
    await sleep(everyMs, undefined, { signal }).catch(() => {});
  }
}
