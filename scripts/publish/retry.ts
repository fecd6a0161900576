import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '../cli/failure.ts';

/** Thrown by work that may well succeed when it is tried again. */
export class TryAgainError extends UnavailableError {
  override name = 'TryAgainError';
  /** What the other side asked to wait, null where it named nothing. */
  readonly waitMs: number | null;

  constructor(message: string, waitMs: number | null = null) {
    super(message);
    this.waitMs = waitMs;
  }
}

export interface Retries {
  triesMax: number;
  /** The first wait; each next one is twice as long. */
  firstWaitMs: number;
  /** Also bounds what the other side may ask for. */
  waitMaxMs: number;
}

const patient: Retries = { triesMax: 6, firstWaitMs: 500, waitMaxMs: 30_000 };

/** @throws UnavailableError with what the work said last; at once what is no TryAgainError. */
export async function retrying<T>(
  work: () => Promise<T>,
  { triesMax, firstWaitMs, waitMaxMs }: Retries = patient,
): Promise<{ value: T; tries: number }> {
  for (let tries = 1; ; tries += 1) {
    try {
      return { value: await work(), tries };
    } catch (error) {
      if (!(error instanceof TryAgainError)) throw error;
      if (tries >= triesMax) {
        throw new UnavailableError(`${error.message} (tried ${tries} times)`, { cause: error });
      }
      const waitMs = error.waitMs ?? firstWaitMs * 2 ** (tries - 1);
      await sleep(Math.min(waitMs, waitMaxMs));
    }
  }
}

/** A Retry-After header, seconds or a date (RFC 9110) → milliseconds, null for any other text. */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1_000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
