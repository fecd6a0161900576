import { describe, expect, test } from 'vitest';
import { retryAfterMs, retrying, TryAgainError } from './retry.ts';

const quick = { triesMax: 3, firstWaitMs: 1, waitMaxMs: 5 };

describe('retrying', () => {
  test('gives what the first good try gives, and how many it took', async () => {
    let tries = 0;
    const work = async () => {
      tries += 1;
      if (tries < 3) throw new TryAgainError('not yet');
      return 'done';
    };
    expect(await retrying(work, quick)).toEqual({ value: 'done', tries: 3 });
  });

  test('ends after its bound with the last reason', async () => {
    let tries = 0;
    const work = async () => {
      tries += 1;
      throw new TryAgainError(`away ${tries}`);
    };
    await expect(retrying(work, quick)).rejects.toThrow('away 3 (tried 3 times)');
    expect(tries).toBe(3);
  });

  test('does not repeat what will not get better', async () => {
    let tries = 0;
    const work = async () => {
      tries += 1;
      throw new Error('forbidden');
    };
    await expect(retrying(work, quick)).rejects.toThrow('forbidden');
    expect(tries).toBe(1);
  });

  test('waits as long as it was asked to, up to its bound', async () => {
    const startedMs = performance.now();
    const work = async () => {
      throw new TryAgainError('away', 60_000);
    };
    await expect(retrying(work, { triesMax: 3, firstWaitMs: 1, waitMaxMs: 30 })).rejects.toThrow();
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(50);
    expect(tookMs).toBeLessThan(10_000);
  });
});

test.each([
  ['5', 5_000],
  ['0', 0],
  ['Thu, 01 Jan 1970 00:01:40 GMT', 40_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['soon', null],
  [null, null],
])('Retry-After %s', (header, expected) => {
  expect(retryAfterMs(header, 60_000)).toBe(expected);
});
