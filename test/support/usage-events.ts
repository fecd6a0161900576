import { randomUUID } from 'node:crypto';
import type { UsageEvent, UsageStatus } from '../../shared/events/usage-event.ts';
import type { Random } from './random.ts';

/** A valid event of a minute ago; what a test is about, it names. */
export function usageEvent(fields: Partial<UsageEvent> = {}): UsageEvent {
  return {
    eventId: randomUUID(),
    orgId: '00000000-0000-4000-8000-00000000000a',
    modelId: '00000000-0000-4000-8000-0000000000a1',
    actorId: null,
    clientId: 'web',
    occurredAtMs: Date.now() - 60_000,
    latencyMs: 120,
    status: 'success',
    errorCode: null,
    inputTokens: 10,
    outputTokens: 20,
    costEstimateCents: '0.1234',
    inputCostCents: null,
    outputCostCents: null,
    metadata: null,
    ...fields,
  };
}

/** What makes two events one, as the contract has it. */
export function dedupeKey({ orgId, occurredAtMs, eventId }: UsageEvent): string {
  return `${orgId}/${occurredAtMs}/${eventId}`;
}

/** The first of each key, in the order given: what storage must hold afterwards. */
export function distinctEvents(events: Iterable<UsageEvent>): UsageEvent[] {
  const first = new Map<string, UsageEvent>();
  for (const event of events) {
    const key = dedupeKey(event);
    if (!first.has(key)) first.set(key, event);
  }
  return [...first.values()];
}

/** A random event of one of two orgs, within the last `spreadMs`. */
export function randomEvent(random: Random, nowMs: number, spreadMs: number): UsageEvent {
  const status = random.pick<UsageStatus>([
    'success',
    'success',
    'success',
    'error',
    'timeout',
    'throttled',
  ]);
  return usageEvent({
    eventId: random.uuid(),
    orgId: `00000000-0000-4000-8000-00000000000${1 + random.below(2)}`,
    modelId: `00000000-0000-4000-8000-0000000000a${1 + random.below(3)}`,
    clientId: random.pick(['', 'web', 'batch']),
    occurredAtMs: nowMs - random.below(spreadMs),
    latencyMs: random.below(30_000),
    status,
    errorCode: status === 'success' ? null : random.pick([null, 'overloaded', 'bad_gateway']),
    inputTokens: random.below(4_000),
    outputTokens: random.below(1_000),
    costEstimateCents: `${random.below(100)}.${String(random.below(10_000)).padStart(4, '0')}`,
  });
}
