import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { getRequestListener, RequestError } from '@hono/node-server';
import type { Hono } from 'hono';
import { Registry } from 'prom-client';
import { readSettings, type Settings } from '../platform/env.ts';
import { messageOf } from '../platform/errors.ts';
import { createLogger, type Logger, startTelemetry } from '../platform/telemetry/telemetry.ts';
import { type ConnectionLimits, superviseConnections } from './connections.ts';
import type { AppEnv } from './context.ts';
import { addressRefused, refuseUnreadable, refuseWithoutHost } from './unreadable.ts';

export interface Server {
  port: number;
  /**
   * Stops taking connections and lets requests under way finish, at most 25 s. Each connection's next
   * answer says that it is its last; those that rest are closed at once.
   */
  close(): Promise<void>;
}

const answerLimits: ConnectionLimits = { stallMs: 20_000, drainMs: 25_000 };

/**
 * A connection costs little while it says nothing, and a request that is never finished costs one
 * for good: each part of one has its time. Node ends what takes longer with a 408.
 */
const requestLimits = {
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  // With its body: 8 MiB in that time are 3.4 Mbit/s.
  requestTimeout: 20_000,
  // How often the two are looked at; 30 s by default, which would be their true bound.
  connectionsCheckingInterval: 1_000,
  // Longer than the 90 s of Go's proxies in front: who closes first must not be the one who is asked.
  keepAliveTimeout: 100_000,
  // Refused here, with a reason.
  requireHostHeader: false,
};

/** Then the connection is closed, and the next one may go to another replica. */
const requestsPerConnectionMax = 1_000;

/**
 * Serves an app on the platform's port, or `HTTP_PORT`.
 *
 * @param limits for tests
 * @throws Error with one clear line when the port is taken or not permitted.
 */
export function serve(
  app: Hono<AppEnv>,
  settings: Pick<Settings, 'PORT' | 'HTTP_PORT' | 'HTTP_HOST'>,
  hostname = settings.HTTP_HOST ?? '0.0.0.0',
  limits: Partial<ConnectionLimits> = {},
): Promise<Server> {
  const wanted = settings.PORT ?? settings.HTTP_PORT;
  const server = createServer(requestLimits);
  server.maxRequestsPerSocket = requestsPerConnectionMax;
  // 16 KiB bound them. Beyond 1,000 lines Node would drop the rest without a word, and with them
  // what the gateway set.
  server.maxHeadersCount = 0;
  const connections = superviseConnections(server, { ...answerLimits, ...limits });
  refuseUnreadable(server, connections.atWork);
  server.on('request', connections.oneAtATime(listenerOf(app, hostname)));
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new Error(listenFault(error, wanted, hostname))));
    server.listen(wanted, hostname, () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : wanted;
      resolve({ port, close: connections.close });
    });
  });
}

function listenerOf(app: Hono<AppEnv>, hostname: string) {
  /** Whose address is looked at: the listener does so before anything else, and at once. */
  let looking: IncomingMessage | undefined;
  const answer = getRequestListener(app.fetch, {
    hostname,
    // The app answers its own faults.
    errorHandler: (error) =>
      error instanceof RequestError ? addressRefused(looking) : new Response(null, { status: 500 }),
  });
  return (request: IncomingMessage, response: ServerResponse) => {
    if (refuseWithoutHost(request, response)) return;
    looking = request;
    answer(request, response);
  };
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
