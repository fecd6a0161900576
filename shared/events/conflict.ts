import type { Fault } from '../platform/errors.ts';
import type { Logger } from '../platform/telemetry/telemetry.ts';
import type { UsageEvent } from './usage-event.ts';

/**
 * An event that is not stored, since what is stored of its id is something else: the same identity
 * with other content, or the same event and org with another time, from a retry that stamped itself
 * again. Counted among the duplicates, and apart.
 */
export interface Conflict {
  event: UsageEvent;
  /** What differs. */
  faults: Fault[];
}

/** A producer that sends one conflict sends many. */
const toldMax = 3;

/** @param fields in which the content differs, as the event's JSON names them */
export function contentConflict(event: UsageEvent, fields: readonly string[]): Conflict {
  const message = 'differs from what is stored of this event';
  return { event, faults: fields.map((path) => ({ path, message })) };
}

export function timeConflict(event: UsageEvent, storedAtMs: number): Conflict {
  const stored = new Date(storedAtMs).toISOString();
  const message = `differs from ${stored}, with which this eventId is stored: a retry must repeat it`;
  return { event, faults: [{ path: 'occurredAt', message }] };
}

/** Says of a batch's first conflicts what they are. */
export function tellConflicts(
  logger: Logger,
  stream: string,
  conflicts: readonly Conflict[],
): void {
  for (const { event, faults } of conflicts.slice(0, toldMax)) {
    const { orgId, eventId } = event;
    logger.warn(
      { stream, orgId, eventId, faults, conflicts: conflicts.length },
      'an event came again with other content: what is stored stays',
    );
  }
}
