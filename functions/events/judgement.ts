import type { Acceptance } from '../../shared/events/event-sink.ts';
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

/** Whether an event may be stored. */
export type Verdict =
  | { eventId: string | null; event: UsageEvent; trace: TraceHeaders | undefined }
  | { eventId: string | null; faults: readonly Fault[]; isForeign: boolean };

/**
 * Judges each event by itself.
 *
 * @param forbidden why the sender may not send an event, null where it may
 */
export function judge(
  candidates: readonly Candidate[],
  forbidden: (event: UsageEvent) => string | null,
): Verdict[] {
  return candidates.map(({ eventId, decoded, trace }) => {
    if ('faults' in decoded) return { eventId, faults: decoded.faults, isForeign: false };
    const reason = forbidden(decoded.event);
    if (reason === null) return { eventId, event: decoded.event, trace };
    const faults = [{ path: 'orgId', message: `forbidden: ${reason}` }];
    return { eventId, faults, isForeign: true };
  });
}

export interface EventResult {
  index: number;
  eventId: string | null;
  status: Acceptance['status'] | 'rejected';
  errors?: readonly Fault[];
}

/** What the sender is told of each. */
export interface Receipt {
  accepted: number;
  rejected: number;
  results: EventResult[];
}

/** Beyond so many in all, an event's first is told and the others are counted. */
const faultsToldOfAll = 1_000;

/**
 * What became of each event, and all that is wrong with them, in a list by the event's index.
 *
 * @param acceptances of those that may be stored, in their order; where none is given they would be
 * accepted
 */
export function receiptOf(
  verdicts: readonly Verdict[],
  acceptances: readonly Acceptance[],
  isList: boolean,
): { receipt: Receipt; faults: Fault[] } {
  const results: EventResult[] = [];
  const faults: Fault[] = [];
  let rejected = 0;
  let place = 0;
  for (const [index, verdict] of verdicts.entries()) {
    const { eventId } = verdict;
    const became =
      'event' in verdict
        ? (acceptances[place++] ?? { status: 'accepted' as const })
        : { status: 'rejected' as const, faults: verdict.faults };
    if (!('faults' in became)) {
      results.push({ index, eventId, status: became.status });
      continue;
    }
    rejected += 1;
    const errors = fewFaults(became.faults, faults.length < faultsToldOfAll ? undefined : 1);
    results.push({ index, eventId, status: became.status, errors });
    faults.push(...became.faults.map((fault) => (isList ? inList(index, fault) : fault)));
  }
  return { receipt: { accepted: results.length - rejected, rejected, results }, faults };
}

function inList(index: number, { path, message }: Fault): Fault {
  return { path: [`[${index}]`, path].filter(Boolean).join('.'), message };
}
