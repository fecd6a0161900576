import { messageOf, ServiceError } from '../platform/errors.ts';
import { StoreError } from '../platform/object-store/store-error.ts';

/** Why an attempt failed: in words for those who asked, and for those who can mend it. */
export interface AttemptFailure {
  told: string;
  reason: string;
}

/** A failure of the attempt itself, whose two texts are known where it happens. */
export class AttemptError extends Error {
  override name = 'AttemptError';
  readonly told: string;

  constructor(told: string, reason: string) {
    super(reason);
    this.told = told;
  }
}

/**
 * What is told names no folder, endpoint, bucket, setting or statement of ours: a tenant reads it.
 * The reason has all of them.
 */
export function failureOf(error: unknown): AttemptFailure {
  return { told: toldOf(error), reason: messageOf(error) };
}

function toldOf(error: unknown): string {
  if (error instanceof AttemptError) return error.told;
  if (error instanceof StoreError) {
    return error.fault === 'unreachable'
      ? 'the object store is not available'
      : 'the object store refused the write';
  }
  if (error instanceof ServiceError) {
    // Of the other refusals a caller reads the detail in any answer.
    return error.code === 'unavailable' ? 'the database is not available' : error.message;
  }
  return 'the attempt failed';
}
