import { describe, expect, test } from 'vitest';
import { deliver, type RetryPolicy, type Sink, waitMs } from './delivery.ts';
import { platformClock } from './platform-clock.ts';

const policy: RetryPolicy = { retry: 3, backoffPolicy: 'exponential', backoffDelay: 2_000 };
const event = { headers: { 'ce-id': '1' }, body: Buffer.from('{}') };

/** Delivers to a sink that answers with these statuses in turn; 0 breaks the connection. */
async function delivered(statuses: readonly number[], over: Partial<RetryPolicy> = {}) {
  const asked: (number | undefined)[] = [];
  const sink: Sink = {
    url: 'http://sink',
    post: async (_, timeoutMs) => {
      const status = statuses[Math.min(asked.length, statuses.length - 1)] ?? 0;
      asked.push(timeoutMs);
      if (status === 0) throw new Error('ECONNREFUSED');
      return { status, headers: {}, body: Buffer.from(`body ${status}`) };
    },
  };
  const retries: number[] = [];
  const result = await deliver(event, sink, {
    policy: { ...policy, ...over },
    clock: platformClock(0.000_1),
    signal: new AbortController().signal,
    onRetry: (attempt) => retries.push(attempt),
  });
  return { ...result, asked, retries };
}

test.each([200, 202, 204])('%d is delivered at once', async (status) => {
  expect(await delivered([status])).toMatchObject({ isDelivered: true, attempts: 1, retries: [] });
});

test.each([404, 408, 409, 429, 500, 502, 503, 0])('%d is tried again', async (status) => {
  expect(await delivered([status, status, 202])).toMatchObject({
    isDelivered: true,
    attempts: 3,
    retries: [1, 2],
  });
});

test.each([300, 301, 400, 401, 403, 410, 413, 415, 422])('%d is not', async (status) => {
  expect(await delivered([status])).toMatchObject({ isDelivered: false, attempts: 1, status });
});

test('there are as many retries as the policy has, and the last answer is kept', async () => {
  const result = await delivered([500, 500, 500, 503]);
  expect(result).toMatchObject({ isDelivered: false, attempts: 4, status: 503 });
  expect(result.body.toString()).toBe('body 503');
  expect(await delivered([500], { retry: 0 })).toMatchObject({ attempts: 1, retries: [] });
  expect(await delivered([0], { retry: 1 })).toMatchObject({
    attempts: 2,
    status: null,
    detail: 'ECONNREFUSED',
  });
});

test("the policy's timeout is each attempt's", async () => {
  expect((await delivered([500], { timeout: 600, retry: 1 })).asked).toEqual([600, 600]);
});

describe('waits', () => {
  test('double, or grow by the delay, as Knative counts them', () => {
    const waits = (backoffPolicy: RetryPolicy['backoffPolicy']) =>
      [1, 2, 3, 4].map((attempt) => waitMs({ backoffPolicy, backoffDelay: 2_000 }, attempt));
    expect(waits('exponential')).toEqual([2_000, 4_000, 8_000, 16_000]);
    expect(waits('linear')).toEqual([0, 2_000, 4_000, 6_000]);
  });

  test('are kept between attempts, by the clock of the platform', async () => {
    const startedMs = performance.now();
    // 2 + 4 + 8 s, a hundred times as fast.
    await deliver(
      event,
      { url: '', post: async () => ({ status: 500, headers: {}, body: Buffer.alloc(0) }) },
      { policy, clock: platformClock(0.01), signal: new AbortController().signal },
    );
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(135);
    expect(tookMs).toBeLessThan(1_000);
  });

  test('end when the platform stops', async () => {
    const stopping = new AbortController();
    const delivering = deliver(
      event,
      { url: '', post: async () => ({ status: 500, headers: {}, body: Buffer.alloc(0) }) },
      { policy, clock: platformClock(1), signal: stopping.signal },
    );
    stopping.abort();
    expect(await delivering).toMatchObject({ isDelivered: false });
  });
});
