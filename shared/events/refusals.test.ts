import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { gatherRefusals, refusalsIn, refusalsMessage } from './refusals.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What was sent, and whether it arrives. */
function sender() {
  const sent: number[] = [];
  const state = { isAway: false };
  const send = async (count: number) => {
    if (state.isAway) throw new Error('away');
    sent.push(count);
  };
  return { sent, state, refusals: gatherRefusals(send) };
}

test('a second’s refusals are sent as one number', async () => {
  const { sent, refusals } = sender();
  for (let n = 0; n < 1_000; n += 1) refusals.add(2);
  expect(sent).toEqual([]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sent).toEqual([2_000]);
  refusals.add(1);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sent).toEqual([2_000, 1]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toHaveLength(2);
});

test('what cannot be sent is kept, and sent with the rest once it can', async () => {
  const { sent, state, refusals } = sender();
  state.isAway = true;
  refusals.add(3);
  await vi.advanceTimersByTimeAsync(60_000);
  refusals.add(4);
  state.isAway = false;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(sent).toEqual([7]);
});

test('more than a message may tell goes with the next ones', async () => {
  const { sent, refusals } = sender();
  refusals.add(250_000);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(sent).toEqual([100_000, 100_000, 50_000]);
});

test('the close sends what is left, or says how many that are', async () => {
  const well = sender();
  well.refusals.add(250_000);
  expect(await well.refusals.close()).toBe(0);
  expect(well.sent).toEqual([100_000, 100_000, 50_000]);
  const away = sender();
  away.state.isAway = true;
  away.refusals.add(5);
  expect(await away.refusals.close()).toBe(5);
});

test('a message tells its number; any other message tells none', () => {
  const message = { offset: 0, headers: {}, ...refusalsMessage(7) };
  expect(refusalsIn(message)).toBe(7);
  expect(refusalsIn({ ...message, contentType: undefined })).toBeUndefined();
  for (const content of ['{"refused":0}', '{"refused":1e9}', '{"refused":"1"}', '{', 'null']) {
    expect(refusalsIn({ ...message, content: Buffer.from(content) })).toBeUndefined();
  }
});
