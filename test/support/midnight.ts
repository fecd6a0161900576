import { setTimeout as sleep } from 'node:timers/promises';

const dayMs = 86_400_000;
/** One moment for a whole test file: the day may end while it runs. */
const nowMs = Date.now();

/** When the UTC day began, so many days before the one on which the test file began to run. */
export function midnight(daysAgo: number): string {
  return `${new Date(nowMs - daysAgo * dayMs).toISOString().slice(0, 10)}T00:00:00Z`;
}

/**
 * The time now, on a UTC day that does not end soon: shortly before midnight it waits for the next one.
 * For tests that ask for today, or this month, of what they stored a moment before.
 */
export async function nowWithRoom(roomMs = 120_000): Promise<number> {
  const leftMs = dayMs - (Date.now() % dayMs);
  if (leftMs < roomMs) await sleep(leftMs + 1_000);
  return Date.now();
}
