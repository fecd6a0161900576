import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import type { UsageEvent } from '../../shared/events/usage-event.ts';
import { usageEvent } from './usage-events.ts';
import type { Question } from './window-recount.ts';

/** Half-hour and quarter-hour offsets, half-hour daylight saving, both hemispheres. */
const zones = [
  'UTC',
  'Asia/Kathmandu',
  'America/St_Johns',
  'Australia/Lord_Howe',
  'America/New_York',
] as const;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const models = [1, 2, 3].map((number) => `00000000-0000-4000-8000-0000000000a${number}`);
const clients = ['', 'web', 'batch'];

/** Moments where something could go wrong: changes of the clocks, and first days of months. */
function anchors(nowMs: number): number[] {
  const found = [Math.floor(nowMs / dayMs) * dayMs - 3 * dayMs];
  for (const zone of zones) {
    const now = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(zone);
    const month = now.with({ day: 1 }).startOfDay().subtract({ months: 2 });
    found.push(month.epochMilliseconds, month.add({ days: 14 }).epochMilliseconds);
    for (let at = now.getTimeZoneTransition('previous'); at; ) {
      if (at.epochMilliseconds < nowMs - 380 * dayMs) break;
      found.push(at.epochMilliseconds);
      at = at.getTimeZoneTransition('previous');
    }
  }
  return found;
}

/** Moments on, beside and around the anchors, all within retention and in the past. */
function moments(nowMs: number): fc.Arbitrary<number> {
  const step = fc.oneof(
    fc.constantFrom(0, -1, 1),
    fc.constantFrom(-1_800_000, 1_800_000, -900_000, 900_000, -dayMs, dayMs),
    fc.integer({ min: -30, max: 30 }).map((hours) => hours * hourMs),
    fc.integer({ min: -30 * 4, max: 30 * 4 }).map((quarters) => quarters * 15 * minuteMs - 1),
    fc.integer({ min: -30 * hourMs, max: 30 * hourMs }),
  );
  return fc
    .tuple(fc.constantFrom(...anchors(nowMs)), step)
    .map(([anchorMs, stepMs]) => anchorMs + stepMs);
}

const costs = fc.oneof(
  fc.constantFrom('0', '0.0001', '99999999999999.9999', '0.1', '12.3'),
  fc.integer({ min: 0, max: 10_000_000 }).map((units) => (units / 10_000).toFixed(4)),
);
const outcomes = fc.oneof(
  fc.constant({ status: 'success' as const, errorCode: null }),
  fc.record({
    status: fc.constantFrom('error' as const, 'timeout' as const, 'throttled' as const),
    errorCode: fc.constantFrom(null, 'overloaded', 'refused', 'toolong', 'unknown'),
  }),
);

/** Events without an org; each has an id of its own. */
export function eventLists(nowMs: number): fc.Arbitrary<UsageEvent[]> {
  const event = fc.record({
    eventId: fc.uuid(),
    occurredAtMs: moments(nowMs),
    modelId: fc.constantFrom(...models),
    clientId: fc.constantFrom(...clients),
    outcome: outcomes,
    latencyMs: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: dayMs })),
    inputTokens: fc.oneof(fc.nat(5_000), fc.constant(Number.MAX_SAFE_INTEGER)),
    outputTokens: fc.nat(5_000),
    costEstimateCents: costs,
  });
  return fc
    .uniqueArray(event, { minLength: 1, maxLength: 60, selector: ({ eventId }) => eventId })
    .map((list) => list.map(({ outcome, ...fields }) => usageEvent({ ...fields, ...outcome })));
}

/** One event on its way: its index in the list (modulo its length), unchanged or not. */
export interface Delivery {
  index: number;
  isAltered: boolean;
}

/** What happens to storage: batches of deliveries, late, repeated, in any order; folds in between. */
export const histories: fc.Arbitrary<(Delivery[] | 'fold')[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.array(
        fc.record({
          index: fc.nat(1_000),
          isAltered: fc.constantFrom(false, false, false, false, true),
        }),
        { minLength: 1, maxLength: 40 },
      ),
    },
    { weight: 1, arbitrary: fc.constant('fold' as const) },
  ),
  { minLength: 1, maxLength: 8 },
);

/** Questions without an org. Those that the API refuses by its limits are cut to what it takes. */
export function questions(nowMs: number): fc.Arbitrary<Omit<Question, 'orgId'>> {
  return fc
    .record({
      edges: fc.tuple(moments(nowMs), moments(nowMs)),
      granularity: fc.constantFrom('hour', 'day', 'month'),
      timeZone: fc.constantFrom(...zones),
      groupBy: fc.constantFrom('model', 'client', 'model,client', 'none'),
      modelIds: fc.oneof(fc.constant([]), fc.subarray(models)),
      clientIds: fc.oneof(fc.constant([]), fc.subarray(clients)),
    })
    .map(({ edges: [a, b], ...rest }) => {
      const startMs = Math.min(a, b);
      const endMs = Math.max(a, b, startMs + 1);
      const isLimited = rest.granularity === 'hour' && !isWholeHours(rest.timeZone);
      return { ...rest, startMs, endMs: isLimited ? Math.min(endMs, startMs + 7 * dayMs) : endMs };
    });
}

function isWholeHours(timeZone: string): boolean {
  return timeZone === 'UTC' || timeZone === 'America/New_York';
}
