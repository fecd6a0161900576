import { setImmediate as nextRound } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { createPatience, DeadlineError, within } from './deadline.ts';

/** As many requests at once do: nothing else of this process runs. */
function holdUp(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

/** Comes after some rounds of the event loop, as an answer does that takes some round trips. */
async function afterRounds<T>(rounds: number, value: T): Promise<T> {
  for (let round = 0; round < rounds; round += 1) await nextRound();
  return value;
}

test('what comes in time is given, an error too', async () => {
  expect(await within(10_000, Promise.resolve(1), 'late')).toBe(1);
  await expect(within(10_000, Promise.reject(new Error('no')), 'late')).rejects.toThrow('no');
});

test('what does not come is given up, and its late error heard', async () => {
  const late = sleep(200, 0).then(() => Promise.reject(new Error('unheard')));
  await expect(within(10, late, 'late')).rejects.toEqual(new DeadlineError('late'));
  await expect(within(10, new Promise(() => {}), 'late')).rejects.toThrow('late');
});

test('a process that is held up gives nothing up for it', async () => {
  const answered = within(100, afterRounds(8, 'here'), 'late');
  holdUp(300);
  expect(await answered).toBe('here');
});

test('held up again and again it gives up all the same', async () => {
  let isOver = false;
  const answered = within(20, new Promise(() => {}), 'late').finally(() => {
    isOver = true;
  });
  answered.catch(() => {});
  let rounds = 0;
  for (; !isOver && rounds < 100; rounds += 1) {
    holdUp(50);
    await nextRound();
  }
  await expect(answered).rejects.toThrow('late');
  expect(rounds).toBeLessThan(100);
});

test('a process that is a little late all the time waits little longer', async () => {
  let isOver = false;
  const answered = within(100, new Promise(() => {}), 'late').finally(() => {
    isOver = true;
  });
  answered.catch(() => {});
  let rounds = 0;
  for (; !isOver && rounds < 40; rounds += 1) {
    holdUp(25);
    await nextRound();
  }
  await expect(answered).rejects.toThrow('late');
  // Five of them count 20 ms each; ten times the limit would be forty.
  expect(rounds).toBeLessThan(10);
});

test('waits in a row share one time', async () => {
  vi.useFakeTimers();
  try {
    const patience = createPatience(100);
    const first = patience.within(sleep(60, 'first'), 'late');
    await vi.advanceTimersByTimeAsync(60);
    expect(await first).toBe('first');
    // Alone it would have come in time.
    const second = patience.within(sleep(60, 'second'), 'late');
    second.catch(() => {});
    await vi.advanceTimersByTimeAsync(60);
    await expect(second).rejects.toThrow('late');
  } finally {
    vi.useRealTimers();
  }
});

function sleep<T>(ms: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(resolve, ms, value));
}
