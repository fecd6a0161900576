import { randomUUID } from 'node:crypto';
import { refresh } from '../../functions/refresh/refresh.ts';
import { eventStorage } from '../../shared/events/event-storage.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { createLogger } from '../../shared/platform/telemetry/telemetry.ts';
import { UnavailableError } from '../cli/failure.ts';
import { causeOf } from '../publish/http-target.ts';

const answerMs = 120_000;

/**
 * Folds what was stored: by the schedule's CloudEvent where the local run serves the refresh
 * function, else, given a database, in this process.
 *
 * @returns how it was done
 * @throws Error when it could not be done either way.
 */
export async function triggerRefresh(
  url: string,
  database: Database | null,
  settings: Settings,
): Promise<string> {
  const path = `${url}/internal/refresh`;
  try {
    await postPing(path);
    return `by ${path}`;
  } catch (error) {
    if (database === null)
      throw new UnavailableError(`not refreshed: ${path}: ${messageOf(error)}`);
  }
  await refreshHere(database, settings);
  return 'in this process, on the database';
}

/** A CloudEvent in binary mode, as PingSource sends it. */
async function postPing(path: string): Promise<void> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'ce-specversion': '1.0',
        'ce-id': randomUUID(),
        'ce-source': '/scripts/seed',
        'ce-type': 'dev.knative.sources.ping',
      },
      body: JSON.stringify({ job: 'refresh' }),
      signal: AbortSignal.timeout(answerMs),
    });
  } catch (error) {
    throw new Error(causeOf(error));
  }
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`it answered ${response.status}`);
}

async function refreshHere(database: Database, settings: Settings): Promise<void> {
  const cache = openCache(settings);
  const brokers =
    settings.RABBITMQ_URL === undefined
      ? null
      : brokerSource(settings.RABBITMQ_URL, { name: 'seed' });
  try {
    await refresh({
      database,
      storage: eventStorage(database),
      cache,
      brokers,
      settings,
      logger: createLogger({ ...settings, LOG_LEVEL: 'warn' }, 'seed'),
    });
  } finally {
    await brokers?.close();
    await cache.close();
  }
}
