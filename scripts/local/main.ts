import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Hono } from 'hono';
import { Registry } from 'prom-client';
import type { AppEnv } from '../../shared/http/context.ts';
import { type Server, serve } from '../../shared/http/serve.ts';
import { readSettings, type Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { createLogger, startTelemetry } from '../../shared/platform/telemetry/telemetry.ts';
import { migrate } from '../../shared/preparation/migrate.ts';
import { sampleOrgs } from '../sample-events.ts';
import { databaseUrlFile } from './database-url.ts';
import { embeddedDatabase } from './embedded-database.ts';
import { seedIfEmpty } from './first-seed.ts';
import { knownHosts } from './known-hosts.ts';
import { openService } from './service.ts';
import { checkDatabase, checkServers } from './start-check.ts';

/** What `npm start` was asked for beside the settings. */
export interface LocalOptions {
  dataFolder: string;
  migrationsFolder: string;
  /** Migrate and seed a database that is not the embedded one. */
  migrate: boolean;
  seed: boolean;
}

/**
 * Runs the whole service on this machine until a signal. Each part that no setting names is
 * replaced by one that needs nothing: an embedded PostgreSQL, direct ingest, memory, a folder.
 */
export async function runLocal(
  environment: NodeJS.ProcessEnv,
  options: LocalOptions,
): Promise<void> {
  // A replay at its trace's own pace asks once for each event, and here nobody else is kept waiting.
  const given = readSettings({ RATE_LIMIT_PER_MINUTE: '0', ...environment });
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) return;
    stopping = true;
    say(`\n${signal}: stopping`);
    close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`did not stop cleanly: ${messageOf(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);

  try {
    // Before anything is started: the usual fault is a service that already runs.
    await (await serve(new Hono<AppEnv>(), given, given.HTTP_HOST ?? '127.0.0.1')).close();
    await mkdir(options.dataFolder, { recursive: true });
    const isEmbedded = given.DATABASE_URL === undefined;
    let settings = given;
    if (isEmbedded) {
      say('starting the embedded PostgreSQL');
      const postgres = await embeddedDatabase(options.dataFolder);
      closers.push(() => postgres.stop());
      settings = { ...given, DATABASE_URL: postgres.url };
      const urlFile = databaseUrlFile(options.dataFolder);
      await writeFile(urlFile, `${postgres.url}\n`, { mode: 0o600 });
      closers.push(() => rm(urlFile, { force: true }));
    }
    const { DATABASE_URL: databaseUrl = '', DATABASE_DRIVER: driver } = settings;
    if (isEmbedded || options.migrate) {
      const { applied } = await migrate(databaseUrl, {
        driver,
        folder: options.migrationsFolder,
      });
      if (applied.length > 0) say(`migrated: ${applied.join(', ')}`);
    }
    await checkDatabase(databaseUrl, driver);
    const logger = createLogger(settings);
    const registry = new Registry();
    closers.push(await startTelemetry(settings, 'local', logger, registry));
    const exportsFolder = join(options.dataFolder, 'exports');
    const service = await openService(settings, logger, {
      exportsFolder,
      registry,
      beforeStart: checkServers,
    });
    closers.push(() => service.close());
    const app = knownHosts(service.app, settings.HTTP_HOST);
    const server = await serve(app, settings, settings.HTTP_HOST ?? '127.0.0.1');
    closers.push(() => server.close());
    const seeded = isEmbedded || options.seed ? await seedIfEmpty(settings, service) : null;
    if (seeded !== null) say(seeded);
    say(greeting(settings, server, isEmbedded ? options.dataFolder : null));
  } catch (error) {
    await close();
    if (!stopping) throw error;
  }
}

function greeting(settings: Settings, { port }: Server, dataFolder: string | null): string {
  const at = (url: string | undefined) => {
    const { host } = new URL(url ?? '');
    return host;
  };
  const base = `http://127.0.0.1:${port}/analytics/v1`;
  const org = sampleOrgs[0];
  const headers = `-H 'X-Actor-Subject: me' -H 'X-Actor-Roles: admin'`;
  const now = Date.now();
  const day = (offset: number) => new Date(now + offset * 86_400_000).toISOString().slice(0, 10);
  const week = `start=${day(-6)}T00:00:00Z&end=${day(1)}T00:00:00Z`;
  const where = {
    API: `${base} (every function, one process)`,
    console: `http://127.0.0.1:${port}/analytics/console (open it in a browser)`,
    docs: `${base}/docs (read and try it in a browser)`,
    database:
      dataFolder === null
        ? `PostgreSQL at ${at(settings.DATABASE_URL)}`
        : `embedded PostgreSQL at ${at(settings.DATABASE_URL)}, data in ${dataFolder}`,
    events:
      settings.RABBITMQ_URL === undefined
        ? 'POST /events, stored as they are taken'
        : `stream ${settings.RABBITMQ_STREAM} at ${at(settings.RABBITMQ_URL)}, consumer running`,
    cache: settings.REDIS_URL === undefined ? 'in memory' : `Redis at ${at(settings.REDIS_URL)}`,
    exports:
      settings.S3_ENDPOINT === undefined
        ? 'a folder beside the data'
        : `bucket ${settings.S3_BUCKET} at ${at(settings.S3_ENDPOINT)}`,
    schedule: `refresh every ${settings.RABBITMQ_URL === undefined ? '2 s' : '60 s; the consumer folds every 2 s'}`,
  };
  return [
    '',
    'analytics-service is running',
    ...Object.entries(where).map(([name, text]) => `  ${name.padEnd(9)} ${text}`),
    '',
    'Try:',
    `  curl -s '${base}/orgs/${org}/usage?${week}' ${headers}`,
    `  curl -s '${base}/orgs/${org}/reliability?${week}&groupBy=none' ${headers}`,
    `  curl -s '${base}/orgs/${org}/freshness' ${headers}`,
    '',
    'Ctrl-C stops it.',
  ].join('\n');
}
