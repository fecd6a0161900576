import { expect } from 'vitest';
import * as z from 'zod';
import { adminHeaders, type System } from './system.ts';
import {
  exactPercentile,
  type PlainAnswer,
  type PlainSums,
  type Question,
  seriesKey,
  tenThousandths,
} from './window-recount.ts';

/** JSON.parse would round long sums, so the answers' decimals are quoted first. */
const decimalField = /"(costEstimateCents|inputTokens|outputTokens)":(\d+(?:\.\d+)?)/g;

const place = { bucketStart: z.string(), modelId: z.string().optional() };
const usageSums = z.object({
  invocations: z.number(),
  errors: z.number(),
  inputTokens: z.string().transform(BigInt),
  outputTokens: z.string().transform(BigInt),
  costEstimateCents: z.string().transform(tenThousandths),
});
const reliabilitySums = z.object({
  invocations: z.number(),
  errorRate: z.number(),
  statusCounts: z.object({
    success: z.number(),
    error: z.number(),
    timeout: z.number(),
    throttled: z.number(),
  }),
  latencyMs: z.object({
    p50: z.number().nullable(),
    p95: z.number().nullable(),
    p99: z.number().nullable(),
  }),
});
const clientId = z.string().nullable().optional();
const usageForm = z.object({
  totals: usageSums,
  series: z.array(usageSums.extend({ ...place, clientId })),
});
const reliabilityForm = z.object({
  totals: reliabilitySums,
  series: z.array(reliabilitySums.extend({ ...place, clientId })),
  topErrors: z.array(
    z.object({
      errorCode: z.string().nullable(),
      modelId: z.string(),
      clientId: z.string().nullable(),
      count: z.number(),
    }),
  ),
});
export type UsageReply = z.infer<typeof usageForm>;
export type ReliabilityReply = z.infer<typeof reliabilityForm>;

export async function askUsage(system: System, question: Question): Promise<UsageReply> {
  return usageForm.parse(await ask(system, 'usage', question));
}

export async function askReliability(
  system: System,
  question: Question,
): Promise<ReliabilityReply> {
  return reliabilityForm.parse(await ask(system, 'reliability', question));
}

/** An answer of ours that did not come over HTTP, as if it had. */
export function asReplies(
  usage: string,
  reliability: string,
): { usage: UsageReply; reliability: ReliabilityReply } {
  return {
    usage: usageForm.parse(parse(usage)),
    reliability: reliabilityForm.parse(parse(reliability)),
  };
}

async function ask(system: System, route: string, question: Question): Promise<unknown> {
  const parameters = new URLSearchParams({
    start: new Date(question.startMs).toISOString(),
    end: new Date(question.endMs).toISOString(),
    granularity: question.granularity,
    timezone: question.timeZone,
    groupBy: question.groupBy,
  });
  for (const modelId of question.modelIds) parameters.append('modelId', modelId);
  for (const client of question.clientIds) parameters.append('clientId', client);
  const response = await system.app.request(
    `/analytics/v1/orgs/${question.orgId}/${route}?${parameters}`,
    { headers: adminHeaders },
  );
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status} ${text}`);
  return parse(text);
}

function parse(text: string): unknown {
  return JSON.parse(text.replace(decimalField, '"$1":"$2"'));
}

export function expectUsage(reply: UsageReply, plain: PlainAnswer): void {
  expect(reply.totals).toEqual(plainUsage(plain.totals));
  expect(bySeriesKey(reply.series)).toEqual(mapValues(plain.series, plainUsage));
  expectAscending(reply.series);
}

export function expectReliability(reply: ReliabilityReply, plain: PlainAnswer): void {
  expectSums(reply.totals, plain.totals);
  expect(reply.topErrors).toEqual(plain.topErrors);
  const points = bySeriesKey(reply.series);
  expect([...points.keys()].sort()).toEqual([...plain.series.keys()].sort());
  for (const [key, sums] of plain.series) {
    const point = points.get(key);
    if (point !== undefined) expectSums(point, sums);
  }
  expectAscending(reply.series);
}

function expectSums(reply: z.infer<typeof reliabilitySums>, plain: PlainSums): void {
  expect(reply.invocations).toBe(plain.invocations);
  expect(reply.statusCounts).toEqual(plain.statusCounts);
  expect(reply.errorRate).toBeCloseTo(plain.errors / Math.max(plain.invocations, 1), 5);
  expectPercentile(reply.latencyMs.p50, plain, 50);
  expectPercentile(reply.latencyMs.p95, plain, 95);
  expectPercentile(reply.latencyMs.p99, plain, 99);
}

/** Within 2%, and half a millisecond for the rounding to whole ones. */
function expectPercentile(reply: number | null, { latenciesMs }: PlainSums, percent: number): void {
  const exact = exactPercentile(latenciesMs, percent);
  if (reply === null || exact === null) expect(reply).toBe(exact);
  else expect(Math.abs(reply - exact)).toBeLessThanOrEqual(0.02 * exact + 0.5);
}

function plainUsage({ invocations, errors, inputTokens, outputTokens, cost }: PlainSums) {
  return { invocations, errors, inputTokens, outputTokens, costEstimateCents: cost };
}

interface Placed {
  bucketStart: string;
  modelId?: string | undefined;
  clientId?: string | null | undefined;
}

/** @throws when two points have the same place. */
function bySeriesKey<Point extends Placed>(
  series: readonly Point[],
): Map<string, Omit<Point, keyof Placed>> {
  const points = new Map<string, Omit<Point, keyof Placed>>();
  for (const { bucketStart, modelId, clientId: client, ...sums } of series) {
    points.set(seriesKey(bucketStart, modelId, client), sums);
  }
  expect(points.size).toBe(series.length);
  return points;
}

function expectAscending(series: readonly Placed[]): void {
  const times = series.map(({ bucketStart }) => Date.parse(bucketStart));
  expect(times).toEqual([...times].sort((a, b) => a - b));
}

function mapValues<A, B>(map: ReadonlyMap<string, A>, change: (value: A) => B): Map<string, B> {
  return new Map([...map].map(([key, value]) => [key, change(value)]));
}
