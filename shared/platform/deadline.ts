/** Thrown when work was not done in time. The work itself goes on, unheard. */
export class DeadlineError extends Error {
  override name = 'DeadlineError';
}

/**
 * Waits for work, but no longer than `limitMs`.
 *
 * @throws DeadlineError with `fault` as its message, or what the work throws in time.
 */
export async function within<T>(limitMs: number, work: Promise<T>, fault: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(fault)), limitMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    // When the limit came first, the late answer's error has nobody left to hear it.
    work.catch(() => {});
  }
}
