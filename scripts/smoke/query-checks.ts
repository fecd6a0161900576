import * as z from 'zod';
import { readJson, sumsForm, unexpected } from './answer.ts';
import type { Seen } from './check.ts';
import type { SmokeContext } from './context.ts';
import { addSums, smokeModelId, sumsText } from './events.ts';
import { eventually } from './wait.ts';

const timeForm = z.iso.datetime().nullable();
const usageForm = z.object({
  series: z.array(sumsForm),
  totals: sumsForm,
  freshness: z.object({ completeThrough: timeForm }),
});

async function askUsage({ api, as, plan: { orgId, clientId, window } }: SmokeContext) {
  // The series comes from the hourly rollups, the totals of whole days from the daily ones.
  const parameters = { ...window, clientId, granularity: 'hour', groupBy: 'client' };
  const path = `/orgs/${orgId}/usage?${new URLSearchParams(parameters)}`;
  const answer = await api.ask(path, { as });
  return { answer, ...readJson(answer, 200, usageForm) };
}

/**
 * Waits until all that was accepted before `publishedMs` is stored. The answers tell: a consumer
 * that KEDA has put to zero again by then was there all the same.
 */
export function consumed(context: SmokeContext, publishedMs: number): Promise<Seen<null>> {
  return eventually(context.timeoutMs, async () => {
    const { answer, totals, freshness } = await askUsage(context);
    const { completeThrough } = freshness;
    if (isReached(completeThrough, publishedMs)) {
      return { seen: `complete through ${completeThrough}`, value: null };
    }
    const { invocations: wanted } = context.plan.sums;
    throw unexpected(answer, `completeThrough to reach ${time(publishedMs)}`, {
      came: `${completeThrough ?? 'none'}, with ${totals.invocations} of ${wanted} events stored`,
      // All are stored: it is only that nobody has looked up the head of the stream since.
      section: totals.invocations >= wanted ? 'refresh' : 'consumer',
      mayPass: true,
    });
  });
}

/** Waits for exactly what was published: none missing, none counted twice. */
export function usage(context: SmokeContext): Promise<Seen<null>> {
  return eventually(context.timeoutMs, () => exactUsage(context));
}

async function exactUsage(context: SmokeContext): Promise<Seen<null>> {
  const { sums } = context.plan;
  const expected = sumsText(sums);
  const { answer, totals, series } = await askUsage(context);
  for (const [name, found] of [
    ['totals', totals],
    ['series', addSums(series)],
  ] as const) {
    if (sumsText(found) === expected) continue;
    const missing = sums.invocations - found.invocations;
    throw unexpected(answer, `${name} of ${expected}`, {
      came: sumsText(found),
      section: missing > 0 ? 'consumer' : missing < 0 ? 'dedupe' : 'drift',
      mayPass: missing > 0,
    });
  }
  return { seen: expected, value: null };
}

const freshnessForm = z.object({
  entries: z.array(z.object({ modelId: z.string(), lastRollupAt: timeForm })),
});

/** Waits until the events were folded into the rollups, which must then tell the same. */
export async function rollup(context: SmokeContext, validatedMs: number): Promise<Seen<null>> {
  const { api, as, plan, timeoutMs } = context;
  const path = `/orgs/${plan.orgId}/freshness?modelId=${smokeModelId}`;
  const foldedAt = await eventually(timeoutMs, async () => {
    const answer = await api.ask(path, { as });
    const { entries } = readJson(answer, 200, freshnessForm);
    const at = entries.find(({ modelId }) => modelId === smokeModelId)?.lastRollupAt ?? null;
    if (isReached(at, validatedMs)) return at;
    throw unexpected(answer, `lastRollupAt to reach ${time(validatedMs)}`, {
      came: at ?? 'none',
      section: 'rollup',
      mayPass: true,
    });
  });
  await exactUsage(context);
  return { seen: `folded at ${foldedAt}, with the same sums`, value: null };
}

const reliabilityForm = z.object({
  totals: z.object({
    errorRate: z.number(),
    statusCounts: z.object({
      success: z.int(),
      error: z.int(),
      timeout: z.int(),
      throttled: z.int(),
    }),
  }),
  topErrors: z.array(z.object({ errorCode: z.string().nullable(), count: z.int() })),
});

export async function reliability({ api, as, plan }: SmokeContext): Promise<Seen<null>> {
  const { orgId, clientId, window, sums, statusCounts, topError } = plan;
  const query = new URLSearchParams({ ...window, clientId });
  const answer = await api.ask(`/orgs/${orgId}/reliability?${query}`, { as });
  const { totals, topErrors } = readJson(answer, 200, reliabilityForm);
  // The API rounds to six digits.
  const errorRate = Number((sums.errors / sums.invocations).toFixed(6));
  const expected = reliabilityText({ errorRate, statusCounts }, topError);
  const found = reliabilityText(totals, topErrors[0]);
  if (found === expected) return { seen: found, value: null };
  throw unexpected(answer, expected, { came: found, section: 'drift' });
}

function reliabilityText(
  { errorRate, statusCounts }: z.output<typeof reliabilityForm>['totals'],
  top: { errorCode: string | null; count: number } | undefined,
): string {
  const { success, error, timeout, throttled } = statusCounts;
  return (
    `error rate ${errorRate}: ${success} success, ${error} error, ${timeout} timeout, ` +
    `${throttled} throttled; most often ${top?.errorCode ?? 'none'} (${top?.count ?? 0})`
  );
}

const modelsForm = z.object({
  models: z.array(z.object({ modelId: z.string(), lastEventAt: z.iso.datetime() })),
});

export async function models({ api, as, plan }: SmokeContext): Promise<Seen<null>> {
  const answer = await api.ask(`/orgs/${plan.orgId}/models`, { as });
  const found = readJson(answer, 200, modelsForm).models;
  const latestMs = Math.max(...plan.events.map(({ occurredAtMs }) => occurredAtMs));
  const own = found.find(({ modelId }) => modelId === smokeModelId);
  if (own !== undefined && isReached(own.lastEventAt, latestMs)) {
    return { seen: `${found.length} seen, the last event of ours ${own.lastEventAt}`, value: null };
  }
  throw unexpected(answer, `model ${smokeModelId}, last seen ${time(latestMs)}`, {
    came: own === undefined ? `${found.length} others` : `last seen ${own.lastEventAt}`,
    section: 'rollup',
  });
}

function isReached(at: string | null, ms: number): boolean {
  return at !== null && Date.parse(at) >= ms;
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
