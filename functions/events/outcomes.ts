import type { Acceptance } from '../../shared/events/event-sink.ts';
import type { Fault } from '../../shared/platform/errors.ts';

export interface EventResult {
  index: number;
  /** As it was sent, null where there was none to read. */
  eventId: string | null;
  status: 'accepted' | 'duplicate' | 'conflict' | 'rejected';
  errors?: readonly Fault[];
}

/** What a request's events came to. */
export interface Receipt {
  accepted: number;
  rejected: number;
  results: readonly EventResult[];
}

/**
 * The receipt once the sink has answered: what it knew already is a duplicate, or in conflict, which
 * counts as rejected since it is not stored.
 *
 * @param outcomes one for each result that is `accepted`, in their order
 */
export function withOutcomes({ results }: Receipt, outcomes: readonly Acceptance[]): Receipt {
  const following = outcomes.values();
  const known = results.map((result): EventResult => {
    if (result.status !== 'accepted') return result;
    const outcome = following.next().value;
    if (outcome === undefined) return result;
    const { status } = outcome;
    return status === 'conflict'
      ? { ...result, status, errors: outcome.faults }
      : { ...result, status };
  });
  const rejected = known.filter(({ errors }) => errors !== undefined).length;
  return { accepted: known.length - rejected, rejected, results: known };
}
