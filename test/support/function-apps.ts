import type { Hono } from 'hono';
import { eventsApp } from '../../functions/events/app.ts';
import { exportWorkerApp } from '../../functions/export-worker/app.ts';
import { createExportRuns } from '../../functions/export-worker/runs.ts';
import { exportsApp } from '../../functions/exports/app.ts';
import { refreshApp } from '../../functions/refresh/app.ts';
import { reliabilityApp } from '../../functions/reliability/app.ts';
import { statusApp } from '../../functions/status/app.ts';
import { usageApp } from '../../functions/usage/app.ts';
import { verifyApp } from '../../functions/verify/app.ts';
import { openCache } from '../../shared/cache.ts';
import { openDatabase } from '../../shared/db.ts';
import { readSettings } from '../../shared/env.ts';
import { streamSink } from '../../shared/event-sink.ts';
import { eventStorage } from '../../shared/event-storage.ts';
import { createAccess } from '../../shared/http/actor.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { openS3Store } from '../../shared/s3-store.ts';
import { brokerSource } from '../../shared/stream.ts';
import { createLogger } from '../../shared/telemetry.ts';

/**
 * The app of each function by name, as its index.ts mounts it, to ask for its routes. No client
 * connects before it is used, and nobody is at these addresses.
 */
export function functionApps(): Record<string, Hono<AppEnv>> {
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
  const store = openS3Store(settings);
  const cache = openCache(settings, () => {});
  const access = createAccess(settings);
  const storage = eventStorage(database);
  const components = { database: null, stream: null, cache: null, objectStore: null };
  return {
    usage: usageApp({ database, access, settings }),
    reliability: reliabilityApp({ database, access, settings }),
    status: statusApp({ database, cache, access, settings, components }),
    events: eventsApp({ sink, access, settings }),
    exports: exportsApp({ database, access, settings, store, announce: null }),
    refresh: refreshApp({ database, storage, cache, brokers, settings, logger }),
    'export-worker': exportWorkerApp(createExportRuns({ database, store, settings, logger })),
    verify: verifyApp({ database, sink, brokers, settings, logger }),
  };
}
