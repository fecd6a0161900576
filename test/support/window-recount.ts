import { Temporal } from 'temporal-polyfill';
import type { UsageEvent } from '../../shared/events/usage-event.ts';

/**
 * What the API must answer, counted plainly from single events. It shares nothing with the
 * service's way: buckets come from rounding each event's local time down.
 */

export interface Question {
  orgId: string;
  startMs: number;
  endMs: number;
  granularity: 'hour' | 'day' | 'month';
  timeZone: string;
  groupBy: 'model' | 'client' | 'model,client' | 'none';
  modelIds: readonly string[];
  clientIds: readonly string[];
}

export interface PlainSums {
  invocations: number;
  errors: number;
  inputTokens: bigint;
  outputTokens: bigint;
  /** In ten-thousandths of a cent. */
  cost: bigint;
  statusCounts: { success: number; error: number; timeout: number; throttled: number };
  /** Ascending, every one. */
  latenciesMs: number[];
}

export interface PlainAnswer {
  totals: PlainSums;
  /** By `bucketStart|modelId|clientId`, the last two only where the grouping has them. */
  series: Map<string, PlainSums>;
  topErrors: {
    errorCode: string | null;
    modelId: string;
    clientId: string | null;
    count: number;
  }[];
}

export function plainAnswer(events: Iterable<UsageEvent>, question: Question): PlainAnswer {
  const answer: PlainAnswer = { totals: nothing(), series: new Map(), topErrors: [] };
  const errors = new Map<string, PlainAnswer['topErrors'][number]>();
  for (const event of events) {
    if (!isAskedFor(event, question)) continue;
    add(answer.totals, event);
    const key = seriesKey(
      localBucket(event.occurredAtMs, question),
      question.groupBy.includes('model') ? event.modelId : undefined,
      question.groupBy.includes('client') ? event.clientId || null : undefined,
    );
    const point = answer.series.get(key) ?? nothing();
    answer.series.set(key, point);
    add(point, event);
    if (event.status === 'success') continue;
    const { errorCode, modelId, clientId } = event;
    const errorKey = JSON.stringify([errorCode ?? '', modelId, clientId]);
    const error = errors.get(errorKey) ?? {
      errorCode,
      modelId,
      clientId: clientId || null,
      count: 0,
    };
    errors.set(errorKey, error);
    error.count += 1;
  }
  for (const sums of [answer.totals, ...answer.series.values()]) {
    sums.latenciesMs.sort((a, b) => a - b);
  }
  answer.topErrors = [...errors]
    .sort(([keyA, a], [keyB, b]) => b.count - a.count || (keyA < keyB ? -1 : 1))
    .slice(0, 10)
    .map(([, error]) => error);
  return answer;
}

/** The smallest value that at least this share of the values does not exceed (percentile_disc). */
export function exactPercentile(ascending: readonly number[], percent: number): number | null {
  return ascending[Math.ceil((ascending.length * percent) / 100) - 1] ?? null;
}

/** A point's place; `undefined` leaves the part out, null is an event without a client. */
export function seriesKey(
  bucketStart: string,
  modelId: string | undefined,
  clientId: string | null | undefined,
): string {
  return JSON.stringify([bucketStart, modelId, clientId]);
}

function isAskedFor(event: UsageEvent, question: Question): boolean {
  return (
    event.orgId === question.orgId &&
    event.occurredAtMs >= question.startMs &&
    event.occurredAtMs < question.endMs &&
    (question.modelIds.length === 0 || question.modelIds.includes(event.modelId)) &&
    (question.clientIds.length === 0 || question.clientIds.includes(event.clientId))
  );
}

const buckets = new Map<string, string>();

/** RFC 3339 with the zone's own offset: the start of the local hour, day or month. */
export function localBucket(
  ms: number,
  { granularity, timeZone }: Pick<Question, 'granularity' | 'timeZone'>,
): string {
  // Temporal takes some 50 us for one, and tests ask for the same moments again and again.
  const key = `${ms}/${granularity}/${timeZone}`;
  let bucket = buckets.get(key);
  if (bucket === undefined) {
    const local = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone);
    const start =
      granularity === 'hour'
        ? local.round({ smallestUnit: 'hour', roundingMode: 'floor' })
        : granularity === 'day'
          ? local.startOfDay()
          : local.with({ day: 1 }).startOfDay();
    bucket = start.toString({ timeZoneName: 'never', smallestUnit: 'second' });
    if (timeZone === 'UTC') bucket = bucket.replace('+00:00', 'Z');
    buckets.set(key, bucket);
  }
  return bucket;
}

function nothing(): PlainSums {
  return {
    invocations: 0,
    errors: 0,
    inputTokens: 0n,
    outputTokens: 0n,
    cost: 0n,
    statusCounts: { success: 0, error: 0, timeout: 0, throttled: 0 },
    latenciesMs: [],
  };
}

function add(sums: PlainSums, event: UsageEvent): void {
  sums.invocations += 1;
  if (event.status !== 'success') sums.errors += 1;
  sums.inputTokens += BigInt(event.inputTokens);
  sums.outputTokens += BigInt(event.outputTokens);
  sums.cost += tenThousandths(event.costEstimateCents);
  sums.statusCounts[event.status] += 1;
  sums.latenciesMs.push(event.latencyMs);
}

/** Decimal text with at most 4 decimals → a whole number. */
export function tenThousandths(text: string): bigint {
  const match = /^(\d+)(?:\.(\d{1,4}))?$/.exec(text);
  if (match === null) throw new Error(`no decimal of at most 4 digits: ${text}`);
  return BigInt((match[1] ?? '') + (match[2] ?? '').padEnd(4, '0'));
}
