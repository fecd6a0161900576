import { randomUUID } from 'node:crypto';
import type { UsageEvent, UsageStatus } from '../../shared/events/usage-event.ts';
import { dayMs } from '../../shared/queries/time-window.ts';

/**
 * The org that smoke tests publish to. Reserved, as the one of verify's synthetic events is: no
 * tenant may have it.
 */
export const smokeOrgId = '736d6f6b-6500-4000-8000-000000000001';
/** Reserved too, and without events: who belongs to it must see nothing of the other. */
export const strangerOrgId = '736d6f6b-6500-4000-8000-000000000002';
/** One for all runs, or lists of models would grow with each of them. */
export const smokeModelId = '736d6f6b-6500-4000-8000-0000000000a1';

const endings: readonly { status: UsageStatus; errorCode: string | null }[] = [
  ...Array.from({ length: 8 }, () => ({ status: 'success', errorCode: null }) as const),
  { status: 'error', errorCode: 'smoke_error' },
  { status: 'error', errorCode: 'smoke_error' },
  { status: 'timeout', errorCode: 'smoke_timeout' },
  { status: 'throttled', errorCode: 'smoke_limit' },
];
/** An org is judged by alerts from 20 events in 5 minutes on: those of a smoke test never are. */
const apartMs = 5 * 60_000;

/** Sums of events. The cost is decimal text. */
export interface Sums {
  invocations: number;
  errors: number;
  inputTokens: number;
  outputTokens: number;
  costEstimateCents: string;
}

/** The events of one run, and what the API has to say of them. */
export interface Plan {
  orgId: string;
  /** Names the run: what is counted of this client is exactly its own. */
  clientId: string;
  events: readonly UsageEvent[];
  sums: Sums;
  statusCounts: Record<UsageStatus, number>;
  topError: { errorCode: string; count: number };
  /** Whole UTC days, for which the daily rollups answer. */
  window: { start: string; end: string };
}

/** Twelve events of the last hour, which cost less than a hundredth of a cent together. */
export function planEvents(orgId: string, clientId: string, nowMs: number): Plan {
  const timeOf = (index: number) => nowMs - (endings.length - 1 - index) * apartMs;
  const events = endings.map(
    ({ status, errorCode }, index): UsageEvent => ({
      eventId: randomUUID(),
      orgId,
      modelId: smokeModelId,
      actorId: null,
      clientId,
      occurredAtMs: timeOf(index),
      latencyMs: 100 + 10 * index,
      status,
      errorCode,
      // Different ones, so that no event lost and another counted twice add up to the same.
      inputTokens: 101 + 7 * index ** 2,
      outputTokens: 11 + 3 * index ** 2,
      costEstimateCents: centsOf(1 + index),
      inputCostCents: null,
      outputCostCents: null,
      metadata: null,
    }),
  );
  const sum = (of: (event: UsageEvent, index: number) => number) =>
    events.reduce((total, event, index) => total + of(event, index), 0);
  const statusCounts = { success: 8, error: 2, timeout: 1, throttled: 1 };
  return {
    orgId,
    clientId,
    events,
    sums: {
      invocations: events.length,
      errors: events.length - statusCounts.success,
      inputTokens: sum(({ inputTokens }) => inputTokens),
      outputTokens: sum(({ outputTokens }) => outputTokens),
      costEstimateCents: centsOf(sum((_, index) => 1 + index)),
    },
    statusCounts,
    topError: { errorCode: 'smoke_error', count: 2 },
    window: { start: dayStart(timeOf(0)), end: dayStart(nowMs + dayMs) },
  };
}

/** Ten-thousandths of a cent → cents as decimal text. So few of them a float holds exactly. */
function centsOf(tenThousandths: number): string {
  return String(tenThousandths / 10_000);
}

export function addSums(parts: readonly Sums[]): Sums {
  const sum = (of: (part: Sums) => number) => parts.reduce((total, part) => total + of(part), 0);
  return {
    invocations: sum(({ invocations }) => invocations),
    errors: sum(({ errors }) => errors),
    inputTokens: sum(({ inputTokens }) => inputTokens),
    outputTokens: sum(({ outputTokens }) => outputTokens),
    costEstimateCents: centsOf(
      sum(({ costEstimateCents }) => Math.round(Number(costEstimateCents) * 10_000)),
    ),
  };
}

/** All of it: the same text is the same sums. */
export function sumsText(sums: Sums): string {
  const { invocations, errors, inputTokens, outputTokens, costEstimateCents } = sums;
  return (
    `${invocations} events, ${errors} errors, ${inputTokens} and ${outputTokens} tokens, ` +
    `${costEstimateCents} cents`
  );
}

function dayStart(ms: number): string {
  return new Date(Math.floor(ms / dayMs) * dayMs).toISOString();
}
