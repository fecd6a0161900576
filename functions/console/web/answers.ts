import * as z from 'zod/mini';
import { literalOf } from '../../../shared/decimal-json.ts';
import { moneyOf } from './money.ts';

// Compiled validators would need eval, which the page's policy forbids.
z.config({ jitless: true });

/** What the API answers, as far as the page reads it. */

const count = z.number();
const text = z.string();
const instant = z.pipe(
  z.string(),
  z.transform((value) => Date.parse(value)),
);
const clientId = z.optional(z.nullable(text));

/** Marked digits, as `parseKeepingCosts` leaves them. */
const money = z.pipe(
  z.unknown(),
  z.transform((value) => moneyOf(literalOf(value) ?? '')),
);

const freshness = z.object({
  status: z.enum(['fresh', 'stale', 'delayed', 'empty']),
  lagSeconds: z.nullable(count),
  lastEventAt: z.nullable(instant),
  lastRollupAt: z.nullable(instant),
  completeThrough: z.nullable(instant),
});
export type Freshness = z.infer<typeof freshness>;

const usageSums = {
  invocations: count,
  errors: count,
  inputTokens: count,
  outputTokens: count,
  costEstimateCents: money,
};
const usageTotals = z.object(usageSums);
export type UsageSums = z.infer<typeof usageTotals>;

const group = { bucketStart: instant, modelId: z.optional(text), clientId };

export const usageAnswer = z.object({
  series: z.array(z.object({ ...group, ...usageSums })),
  totals: usageTotals,
  freshness,
});

const latency = z.nullable(count);
const reliabilitySums = {
  invocations: count,
  errorRate: count,
  statusCounts: z.object({ success: count, error: count, timeout: count, throttled: count }),
  latencyMs: z.object({ p50: latency, p95: latency, p99: latency }),
};
const reliabilityTotals = z.object(reliabilitySums);
export type ReliabilitySums = z.infer<typeof reliabilityTotals>;

export const reliabilityAnswer = z.object({
  series: z.array(z.object({ ...group, ...reliabilitySums })),
  totals: reliabilityTotals,
  topErrors: z.array(
    z.object({ errorCode: z.nullable(text), modelId: text, clientId: z.nullable(text), count }),
  ),
  freshness,
});

/** Of the org as a whole, as the answers about a window have it. */
export const freshnessAnswer = z.pipe(
  z.object({
    status: freshness.shape.status,
    lagSeconds: freshness.shape.lagSeconds,
    completeThrough: freshness.shape.completeThrough,
    entries: z.array(freshness),
  }),
  z.transform(({ entries, ...overall }): Freshness => {
    const latest = (times: (number | null)[]) =>
      times.reduce((one, other) => (one === null || (other ?? 0) > one ? other : one), null);
    return {
      ...overall,
      lastEventAt: latest(entries.map(({ lastEventAt }) => lastEventAt)),
      lastRollupAt: latest(entries.map(({ lastRollupAt }) => lastRollupAt)),
    };
  }),
);

export const modelsAnswer = z.object({
  orgName: z.nullable(text),
  models: z.array(z.object({ modelId: text, name: z.nullable(text) })),
});

export const orgsAnswer = z.object({
  items: z.array(z.object({ orgId: text, name: z.nullable(text) })),
  nextCursor: z.nullable(text),
});

export const exportJob = z.object({
  jobId: text,
  orgId: z.nullable(text),
  status: z.enum(['pending', 'running', 'succeeded', 'failed', 'expired']),
  granularity: text,
  timezone: text,
  models: z.nullable(z.array(text)),
  format: text,
  timeRange: z.object({ start: text, end: text }),
  createdAt: instant,
  startedAt: z.nullable(instant),
  completedAt: z.nullable(instant),
  expiresAt: z.nullable(instant),
  completeThrough: z.nullable(instant),
  rowCount: z.nullable(count),
  bytes: z.nullable(count),
  checksum: z.nullable(text),
  totals: z.nullable(usageTotals),
  error: z.nullable(text),
  attempts: count,
  initiatedBy: text,
});
export type ExportJob = z.infer<typeof exportJob>;

export const exportsAnswer = z.object({
  items: z.array(exportJob),
  nextCursor: z.nullable(text),
});

export const exportLink = z.object({ url: text, filename: text });

export const problemAnswer = z.object({
  title: text,
  status: count,
  detail: text,
  errors: z.optional(z.array(z.object({ path: text, message: text }))),
});

export const consoleConfig = z.object({
  environment: text,
  authMode: z.enum(['gateway', 'jwt']),
  isRbacOn: z.boolean(),
  canSwitchActor: z.boolean(),
  currency: text,
  retentionDays: count,
  actor: z.nullable(z.object({ subject: text, roles: z.array(text), orgs: z.array(text) })),
  refusal: z.nullable(z.object({ code: text, detail: text })),
});
export type Config = z.infer<typeof consoleConfig>;
