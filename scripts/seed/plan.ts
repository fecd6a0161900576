import { encodeEvent, type UsageEvent } from '../../shared/events/usage-event.ts';
import type { Outgoing } from '../publish/outgoing.ts';
import { sampleEvents, uuidOf } from '../sample-events.ts';
import { invalidEvents } from './invalid.ts';

/** What a seed sends, in its order, and what must come of it. */
export interface SeedPlan {
  outgoing: Outgoing[];
  /** Different valid events. */
  distinct: number;
  /** Of these, those whose status is not success. */
  errors: number;
  /** Of these, those that are days old. */
  late: number;
  /** Valid events sent a second time. */
  repeated: number;
  invalid: number;
}

const recentHours = 48;
const lateHours = 24;
const lateAfterDays = 3;
const dayMs = 86_400_000;
/** One event in twenty is late, one in fifty is sent twice. */
const lateOneIn = 20;
const repeatedOneIn = 50;

/**
 * The same count within the same hour gives the same events, so that a second seed adds nothing.
 * Some repeats follow at once, in the same batch; the others come at the end, behind the late ones.
 */
export function planSeed(events: number, nowMs: number): SeedPlan {
  const lateCount = Math.ceil(events / lateOneIn);
  const recent = newest(events - lateCount, nowMs, recentHours);
  const late = newest(lateCount, nowMs - lateAfterDays * dayMs, lateHours);
  const first: UsageEvent[] = [];
  const again: UsageEvent[] = [];
  for (const [index, event] of recent.entries()) {
    first.push(event);
    if (index % repeatedOneIn !== 0) continue;
    (index % (2 * repeatedOneIn) === 0 ? first : again).push(event);
  }
  const invalid = invalidEvents(recent[0] ?? late[0], nowMs);
  const distinct = recent.length + late.length;
  const valid = [...first, ...late, ...again];
  return {
    // In the middle, where they could block the valid ones behind them.
    outgoing: [
      ...valid.slice(0, valid.length / 2).map(asOutgoing),
      ...invalid,
      ...valid.slice(valid.length / 2).map(asOutgoing),
    ],
    distinct,
    errors: [...recent, ...late].filter(({ status }) => status !== 'success').length,
    late: late.length,
    repeated: valid.length - distinct,
    invalid: invalid.length,
  };
}

/** Exactly so many of the newest sample events before a time. */
function newest(count: number, untilMs: number, hours: number): UsageEvent[] {
  // One more an hour than the mean makes up for rounding.
  const perHour = Math.ceil(count / hours) + 1;
  return (
    sampleEvents({ untilMs, hours, perHour })
      .slice(-count)
      // The first start of the local service stores sample events under their own ids.
      .map((event) => ({ ...event, eventId: uuidOf(`seed/${event.eventId}`) }))
  );
}

function asOutgoing(event: UsageEvent): Outgoing {
  const { eventId, orgId } = event;
  return { label: eventId, eventId, orgId, content: encodeEvent(event) };
}
