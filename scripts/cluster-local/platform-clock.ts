import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The time by which the platform waits: schedules, idle windows, polls, cooldowns, back-offs. Limits
 * on work are not of it, since the work takes its own time however fast the platform's clock runs.
 */
export interface PlatformClock {
  nowMs(): number;
  /** Resolves early, and without an error, when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** @param timeScale our time for one unit of the platform's: 0.1 makes its minute six seconds */
export function platformClock(timeScale: number): PlatformClock {
  const startedMs = Date.now();
  return {
    nowMs: () => startedMs + (Date.now() - startedMs) / timeScale,
    sleep: async (ms, signal) => {
      const until = performance.now() + ms * timeScale;
      // A timer holds at most 24 days, and a monthly schedule waits longer.
      for (let leftMs = ms * timeScale; leftMs > 0; leftMs = until - performance.now()) {
        if (signal?.aborted) return;
        await sleep(Math.min(leftMs, timerMaxMs), undefined, { signal }).catch(() => {});
      }
    },
  };
}

const timerMaxMs = 86_400_000;
