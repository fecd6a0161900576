import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks again and again until the answer is neither undefined, null nor false.
 *
 * @throws Error naming what was waited for, once `timeoutMs` are over.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | null | false>,
  { timeoutMs = 45_000, everyMs = 25 } = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== null && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`${timeoutMs} ms are over: ${what}`);
    await sleep(everyMs);
  }
}
