import type { Hono } from 'hono';
import { consoleApp } from '../../functions/console/app.ts';
import { docsApp } from '../../functions/docs/app.ts';
import { eventsApp } from '../../functions/events/app.ts';
import { exportWorkerApp } from '../../functions/export-worker/app.ts';
import { createExportRuns } from '../../functions/export-worker/runs.ts';
import { exportsApp } from '../../functions/exports/app.ts';
import { refreshApp } from '../../functions/refresh/app.ts';
import { reliabilityApp } from '../../functions/reliability/app.ts';
import { statusApp } from '../../functions/status/app.ts';
import { undeliveredApp } from '../../functions/status/undelivered.ts';
import { usageApp } from '../../functions/usage/app.ts';
import { verifyApp } from '../../functions/verify/app.ts';
import { streamSink } from '../../shared/events/event-sink.ts';
import { eventStorage } from '../../shared/events/event-storage.ts';
import { streamRefusals } from '../../shared/events/refusals.ts';
import { createAccess } from '../../shared/http/actor.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { readSettings } from '../../shared/platform/env.ts';
import { openS3Store } from '../../shared/platform/object-store/s3-store.ts';
import { createLogger } from '../../shared/platform/telemetry/telemetry.ts';

export interface FunctionRoute {
  /** The function that serves it. */
  owner: string;
  /** The name of the factory that makes it. */
  factory: string;
  method: string;
  path: string;
}

/**
 * Every route of every function, as its index.ts mounts them, beside what all have in common. No
 * client connects before it is used, and nobody is at these addresses.
 */
export function functionRoutes(): FunctionRoute[] {
  const settings = readSettings({
    LOG_LEVEL: 'silent',
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing',
    RABBITMQ_URL: 'amqp://127.0.0.1:1',
    S3_ENDPOINT: 'http://127.0.0.1:1',
    S3_ACCESS_KEY: 'none',
    S3_SECRET_KEY: 'none',
  });
  const logger = createLogger(settings, 'test');
  const database = openDatabase({ url: settings.DATABASE_URL ?? '', name: 'test' });
  const brokers = brokerSource(settings.RABBITMQ_URL ?? '', { name: 'test' });
  const sink = streamSink(brokers, settings);
  const refusals = streamRefusals(brokers, settings);
  const store = openS3Store(settings);
  const cache = openCache(settings, () => {});
  const access = createAccess(settings);
  const storage = eventStorage(database);
  const components = { database: null, stream: null, cache: null, objectStore: null };
  const runs = createExportRuns({ database, store, settings, logger });
  const apps: Record<string, Record<string, Hono<AppEnv>>> = {
    usage: { usageApp: usageApp({ database, access, settings }) },
    reliability: { reliabilityApp: reliabilityApp({ database, access, settings }) },
    status: {
      statusApp: statusApp({ database, cache, access, settings, components }),
      undeliveredApp: undeliveredApp(database),
    },
    events: { eventsApp: eventsApp({ sink, refusals, access, settings }) },
    exports: { exportsApp: exportsApp({ database, access, settings, store, announce: null }) },
    docs: {
      docsApp: docsApp({
        'openapi.json': '',
        'llms.txt': '',
        'swagger-ui-bundle.js': '',
        'swagger-ui.css': '',
      }),
    },
    console: { consoleApp: consoleApp({ settings, page: async () => new Map() }) },
    refresh: {
      refreshApp: refreshApp({ database, storage, cache, brokers, settings, logger }),
    },
    'export-worker': { exportWorkerApp: exportWorkerApp(runs) },
    verify: { verifyApp: verifyApp({ database, sink, brokers, settings, logger }) },
  };
  return Object.entries(apps).flatMap(([owner, mounted]) =>
    Object.entries(mounted).flatMap(([factory, { routes }]) =>
      routes.map(({ method, path }) => ({ owner, factory, method, path })),
    ),
  );
}
