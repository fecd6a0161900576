import { serve as listen } from '@hono/node-server';
import type { Hono } from 'hono';
import { Registry } from 'prom-client';
import { readSettings, type Settings } from '../platform/env.ts';
import { messageOf } from '../platform/errors.ts';
import { createLogger, type Logger, startTelemetry } from '../platform/telemetry/telemetry.ts';
import type { AppEnv } from './context.ts';

export interface Server {
  port: number;
  /** Stops taking requests, lets those under way finish (at most `drainMs`), then closes. */
  close(): Promise<void>;
}

const drainMs = 25_000;

/**
 * A connection costs little while it says nothing, and a request that is never finished costs one
 * for good: each part of one has its time. Node ends what takes longer with a 408.
 */
const connectionLimits = {
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  // With its body: 8 MiB in that time are 3.4 Mbit/s.
  requestTimeout: 20_000,
  // How often the two are looked at; 30 s by default, which would be their true bound.
  connectionsCheckingInterval: 1_000,
  // Longer than the 90 s of Go's proxies in front: who closes first must not be the one who is asked.
  keepAliveTimeout: 100_000,
};

/** Then the connection is closed, and the next one may go to another replica. */
const requestsPerConnectionMax = 1_000;

/**
 * Serves an app on the platform's port, or `HTTP_PORT`.
 *
 * @throws Error with one clear line when the port is taken or not permitted.
 */
export function serve(
  app: Hono<AppEnv>,
  settings: Pick<Settings, 'PORT' | 'HTTP_PORT' | 'HTTP_HOST'>,
  hostname = settings.HTTP_HOST ?? '0.0.0.0',
): Promise<Server> {
  const wanted = settings.PORT ?? settings.HTTP_PORT;
  return new Promise((resolve, reject) => {
    const options = {
      fetch: app.fetch,
      port: wanted,
      hostname,
      serverOptions: connectionLimits,
    };
    const server = listen(options, ({ port }) => {
      resolve({
        port,
        close: () =>
          new Promise<void>((closed) => {
            const limit = setTimeout(() => {
              if ('closeAllConnections' in server) server.closeAllConnections();
            }, drainMs);
            server.close(() => {
              clearTimeout(limit);
              closed();
            });
            if ('closeIdleConnections' in server) server.closeIdleConnections();
          }),
      });
    });
    if ('maxRequestsPerSocket' in server) server.maxRequestsPerSocket = requestsPerConnectionMax;
    server.once('error', (error) => reject(new Error(listenFault(error, wanted, hostname))));
  });
}

function listenFault(error: Error, port: number, hostname: string): string {
  const code = 'code' in error ? error.code : '';
  if (code === 'EADDRINUSE') {
    return `port ${port} is taken on ${hostname}: stop what uses it, or set HTTP_PORT to another`;
  }
  if (code === 'EACCES') {
    return `no permission to listen on port ${port}: set HTTP_PORT to one above 1023`;
  }
  return `cannot listen on ${hostname}:${port}: ${messageOf(error)}`;
}

/** Runs `stop` once at SIGTERM or SIGINT, then ends the process. */
function stopOnSignal(logger: Logger, stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping');
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ error: messageOf(error) }, 'did not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

/**
 * The life of a function's process: settings, log, start, signals. A start that fails ends it with
 * one clear line.
 *
 * @param start builds and serves, counting in the registry; returns how to stop
 */
export function runFunction(name: string, start: Start): void {
  run(name, true, start);
}

/** The same for a function that no actor calls: production gives it no secret of the gateway. */
export function runInternalFunction(name: string, start: Start): void {
  run(name, false, start);
}

type Start = (
  settings: Settings,
  logger: Logger,
  registry: Registry,
) => Promise<() => Promise<void>>;

function run(name: string, knowsActors: boolean, start: Start): void {
  const life = async () => {
    const settings = readSettings(process.env, { knowsActors });
    const logger = createLogger(settings, name);
    const registry = new Registry();
    const stopTelemetry = await startTelemetry(settings, name, logger, registry);
    const stop = await start(settings, logger, registry);
    logger.info({ version: process.version }, 'started');
    // What the end of the work traces and counts is sent too.
    stopOnSignal(logger, () => stop().finally(stopTelemetry));
  };
  life().catch((error: unknown) => {
    process.stderr.write(`${name}: ${messageOf(error)}\n`);
    process.exit(1);
  });
}
