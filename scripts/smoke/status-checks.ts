import * as z from 'zod';
import { readJson, unexpected } from './answer.ts';
import { type Seen, SkipCheck } from './check.ts';
import type { SmokeContext } from './context.ts';
import type { SmokeOptions } from './options.ts';

export async function healthz({ api }: SmokeContext): Promise<Seen<null>> {
  const answer = await api.ask('/status/healthz', { as: null });
  if (answer.status === 200 && answer.body.toString() === 'OK') return { seen: 'OK', value: null };
  throw unexpected(answer, '200 OK', { section: 'function' });
}

const readinessForm = z.object({
  status: z.enum(['ready', 'degraded']),
  components: z.record(z.string(), z.enum(['healthy', 'unhealthy', 'not_configured'])),
});

/** Only the database is required: without the others the service does less, and says so. */
export async function readyz({ api }: SmokeContext): Promise<Seen<null>> {
  const answer = await api.ask('/status/readyz', { as: null });
  const expected = answer.status === 503 ? 503 : 200;
  const { status, components } = readJson(answer, expected, readinessForm);
  const list = Object.entries(components).map(([name, state]) => `${name} ${state}`);
  const seen = `${status}: ${list.join(', ')}`;
  if (components.database !== 'healthy') {
    throw unexpected(answer, 'a healthy database', { came: seen, section: 'firstLook' });
  }
  return { seen, value: null };
}

const needed = ['analytics_ingestion_events_total', 'analytics_rollup_pending_batches'];

/** Skipped where the status function's /metrics is not reachable from here. */
export async function metrics(
  { api }: SmokeContext,
  { metricsUrl: url, metricsToken: token }: Pick<SmokeOptions, 'metricsUrl' | 'metricsToken'>,
): Promise<Seen<null>> {
  if (url === null) throw new SkipCheck('/metrics is not routed outside: give --metrics-url');
  const answer = await api.fetch(
    new URL(url),
    token === null ? {} : { Authorization: `Bearer ${token}` },
  );
  if (answer.status !== 200) throw unexpected(answer, '200', { section: 'status' });
  const names = new Set(answer.body.toString().match(/^analytics_\w+/gm));
  const missing = needed.filter((name) => !names.has(name));
  if (missing.length === 0) return { seen: `${names.size} numbers of the pipeline`, value: null };
  throw unexpected(answer, needed.join(' and '), {
    came: names.size === 0 ? 'no analytics_ numbers at all' : `none of ${missing.join(', ')}`,
    section: 'status',
  });
}
