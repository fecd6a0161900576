import { setTimeout as sleep } from 'node:timers/promises';
import { CheckFailure } from './check.ts';

const everyMs = 500;

/**
 * Looks until what is waited for is there.
 *
 * @param look throws a CheckFailure that `mayPass` while it is not there
 * @throws the last failure once `timeoutMs` are over; at once what cannot pass
 */
export async function eventually<T>(timeoutMs: number, look: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      const isWorthWaiting = error instanceof CheckFailure && error.mayPass;
      if (!isWorthWaiting || performance.now() + everyMs > deadline) throw error;
    }
    await sleep(everyMs);
  }
}
