import type { UsageEvent } from '../../shared/events/usage-event.ts';

const [orgs, models, clients] = [20, 40, 5];
const uuid = (kind: string, number: number) =>
  `00000000-0000-4000-8000-${kind}${number.toString(16).padStart(11, '0')}`;

/** The soak's event of a number from 0: what must come of the first n is known by n alone. */
export function soakEvent(number: number, occurredAtMs: number): UsageEvent {
  const isServed = number % 25 !== 0;
  return {
    eventId: uuid('e', number),
    orgId: uuid('a', number % orgs),
    modelId: uuid('b', number % models),
    actorId: null,
    clientId: `client-${number % clients}`,
    occurredAtMs,
    latencyMs: 50 + ((number * 7_919) % 4_000),
    status: isServed ? 'success' : 'error',
    errorCode: isServed ? null : `code-${number % 7}`,
    inputTokens: tokensOf(number),
    outputTokens: number % 900,
    costEstimateCents: `${number % 3}.${String(number % 10_000).padStart(4, '0')}`,
    inputCostCents: null,
    outputCostCents: null,
    metadata: null,
  };
}

function tokensOf(number: number): number {
  return number % 4_001;
}

/** Input tokens of the first `count` events together. */
export function tokensOfFirst(count: number): number {
  let sum = 0;
  for (let number = 0; number < count; number += 1) sum += tokensOf(number);
  return sum;
}
