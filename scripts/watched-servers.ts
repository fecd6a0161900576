import { openCache } from '../shared/platform/cache.ts';
import { messageOf } from '../shared/platform/errors.ts';
import type { Preparation } from '../shared/preparation/preparation.ts';

/** Servers in which nothing has to be prepared: they are looked at, by those who start. */

const patienceMs = 5_000;

const look = (setting: Preparation['setting'], check: Preparation['check']): Preparation => ({
  setting,
  check,
  prepare: check,
});

export const cacheServer = look('REDIS_URL', async (settings) => {
  const cache = openCache(settings, undefined, patienceMs);
  try {
    await cache.check();
    return `${cache.name === 'upstash' ? 'Upstash' : 'Redis'} answers`;
  } finally {
    await cache.close();
  }
});

/** Sent no span at all: a collector that takes some takes none too. */
export const collector = look('OTEL_EXPORTER_OTLP_ENDPOINT', async (_, endpoint) => {
  const response = await fetch(`${endpoint.replace(/\/$/, '')}/v1/traces`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"resourceSpans":[]}',
    signal: AbortSignal.timeout(patienceMs),
  }).catch((error: Error) => {
    throw new Error(`no collector answers: ${messageOf(error.cause ?? error)}`);
  });
  if (response.status === 404 || response.status >= 500) {
    throw new Error(
      `${response.status} at /v1/traces: is it OTLP over HTTP, which usually has port 4318?`,
    );
  }
  return `the collector answers ${response.status}`;
});
