import type { Conflict } from '../events/conflict.ts';
import type { UsageEvent } from '../events/usage-event.ts';
import type { StreamMessage } from '../platform/broker/stream.ts';
import { type RejectedMessage, reasonsOf } from './dead-letters.ts';

/** Conflicts on their way to the dead-letter queue, which keeps what they would have stored. */
export function conflictLetters(
  stream: string,
  items: readonly { message: StreamMessage; event: UsageEvent | null }[],
  conflicts: readonly Conflict[],
): RejectedMessage[] {
  const faultsOf = new Map(conflicts.map(({ event, faults }) => [event, faults]));
  return items.flatMap(({ event, message }) => {
    const faults = event === null ? undefined : faultsOf.get(event);
    if (faults === undefined) return [];
    return [{ stream, message, reasons: reasonsOf(faults), isConflict: true }];
  });
}
