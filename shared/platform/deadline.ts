/** Thrown when work was not done in time. The work itself goes on, unheard. */
export class DeadlineError extends Error {
  override name = 'DeadlineError';
}

/** Time for work that is done in several waits, one after the other. */
export interface Patience {
  /**
   * Waits for work, but no longer than is left.
   *
   * @throws DeadlineError with `fault` as its message, or what the work throws in time.
   */
  within<T>(work: Promise<T>, fault: string): Promise<T>;
}

/** A limit is counted in so many parts, and a part counts for two at most. */
const parts = 32;
/** To be later than that is to be held up; less is how timers are. */
const partMinMs = 10;
/** However long the process is held up: no limit lasts longer than so many times its length. */
export const stretchMax = 10;

/**
 * Calls `onOver` when the time is over: the time in which an answer could have been heard. While
 * this process is busy with other requests, or is not given the machine, answers lie unread in its
 * sockets, and a timer would fire before they are looked at: 1,500 requests at once took all ten
 * new connections to a healthy database for lost ones.
 *
 * @returns how to stop it, which gives the milliseconds that are left
 */
export function countDown(limitMs: number, onOver: () => void): () => number {
  const partMs = Math.max(limitMs / parts, partMinMs);
  const endMs = performance.now() + limitMs * stretchMax;
  let leftMs = limitMs;
  let sinceMs = performance.now();
  let isLastLook = false;
  const look = () => {
    const nowMs = performance.now();
    const isLate = nowMs - sinceMs > 2 * partMs;
    leftMs -= Math.min(nowMs - sinceMs, 2 * partMs);
    sinceMs = nowMs;
    // After one that came late the sockets are read before the next, which may be late as well.
    if (nowMs >= endMs || (leftMs <= 0 && (!isLate || isLastLook))) return onOver();
    isLastLook = leftMs <= 0;
    timer = setTimeout(look, Math.min(partMs, Math.max(leftMs, 1)));
  };
  let timer = setTimeout(look, Math.min(partMs, limitMs));
  return () => {
    clearTimeout(timer);
    return Math.max(0, leftMs - Math.min(performance.now() - sinceMs, 2 * partMs));
  };
}

export function createPatience(limitMs: number): Patience {
  let leftMs = limitMs;
  return {
    within: async <T>(work: Promise<T>, fault: string): Promise<T> => {
      let stop = () => leftMs;
      const limit = new Promise<never>((_, reject) => {
        stop = countDown(leftMs, () => reject(new DeadlineError(fault)));
      });
      try {
        return await Promise.race([work, limit]);
      } finally {
        leftMs = stop();
        // When the limit came first, the late answer's error has nobody left to hear it.
        work.catch(() => {});
      }
    },
  };
}

/**
 * Waits for work, but no longer than `limitMs`, in which this process's own delays do not count.
 *
 * @throws DeadlineError with `fault` as its message, or what the work throws in time.
 */
export function within<T>(limitMs: number, work: Promise<T>, fault: string): Promise<T> {
  return createPatience(limitMs).within(work, fault);
}
