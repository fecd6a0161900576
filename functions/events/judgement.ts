import type { EventOrigins } from '../../shared/events/event-sink.ts';
import type { Decoded, UsageEvent } from '../../shared/events/usage-event.ts';
import { type Fault, fewFaults } from '../../shared/platform/errors.ts';
import type { TraceHeaders } from '../../shared/platform/telemetry/tracing.ts';

/** What wants to be an event. */
export interface Candidate {
  /** As it was sent, null where there was none to read. */
  eventId: string | null;
  decoded: Decoded;
  /** Where a CloudEvent was made. */
  trace?: TraceHeaders | undefined;
}

export interface EventResult {
  index: number;
  eventId: string | null;
  status: 'accepted' | 'rejected';
  errors?: Fault[];
}

export interface Judgement {
  accepted: UsageEvent[];
  origins: EventOrigins;
  /** What the sender is told of each. */
  receipt: { accepted: number; rejected: number; results: EventResult[] };
  /** All that is wrong, in a list by the event's index. */
  faults: Fault[];
  /** Whether nothing is wrong but whose they are. */
  areAllForeign: boolean;
}

/** Beyond so many in all, an event's first is told and the others are counted. */
const faultsToldOfAll = 1_000;

/**
 * Judges each event by itself.
 *
 * @param forbidden why the sender may not send an event, null where it may
 */
export function judge(
  candidates: readonly Candidate[],
  isList: boolean,
  forbidden: (event: UsageEvent) => string | null,
): Judgement {
  const accepted: UsageEvent[] = [];
  const origins = new Map<UsageEvent, TraceHeaders>();
  const results: EventResult[] = [];
  const faults: Fault[] = [];
  let foreign = 0;
  for (const [index, { eventId, decoded, trace }] of candidates.entries()) {
    const reason = 'event' in decoded ? forbidden(decoded.event) : null;
    if ('event' in decoded && reason === null) {
      accepted.push(decoded.event);
      if (trace !== undefined) origins.set(decoded.event, trace);
      results.push({ index, eventId, status: 'accepted' });
      continue;
    }
    if (reason !== null) foreign += 1;
    const own =
      'faults' in decoded ? decoded.faults : [{ path: 'orgId', message: `forbidden: ${reason}` }];
    const errors = fewFaults(own, faults.length < faultsToldOfAll ? undefined : 1);
    results.push({ index, eventId, status: 'rejected', errors });
    faults.push(...(isList ? own.map((fault) => inList(index, fault)) : own));
  }
  const rejected = results.length - accepted.length;
  return {
    accepted,
    origins,
    receipt: { accepted: accepted.length, rejected, results },
    faults,
    areAllForeign: foreign === results.length,
  };
}

function inList(index: number, { path, message }: Fault): Fault {
  return { path: [`[${index}]`, path].filter(Boolean).join('.'), message };
}
