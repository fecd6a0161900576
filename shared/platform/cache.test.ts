import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Cache, openCache } from './cache.ts';

describe('the cache in memory', () => {
  let cache: Cache;

  beforeEach(() => {
    // The clock alone: what waits must go on waiting in real time.
    vi.useFakeTimers({ toFake: ['Date'] });
    cache = openCache({ REDIS_URL: undefined, REDIS_TOKEN: undefined });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('is what there is without REDIS_URL, and always answers', async () => {
    expect(cache.name).toBe('memory');
    await expect(cache.check()).resolves.toBeUndefined();
    await expect(cache.close()).resolves.toBeUndefined();
  });

  test('keeps a value for its time to live', async () => {
    expect(await cache.get('a')).toBeNull();
    await cache.set('a', '1', 1_000);
    vi.advanceTimersByTime(999);
    expect(await cache.get('a')).toBe('1');
    vi.advanceTimersByTime(1);
    expect(await cache.get('a')).toBeNull();
  });

  test('takes the newer value and its time', async () => {
    await cache.set('a', '1', 1_000);
    await cache.set('a', '2', 5_000);
    vi.advanceTimersByTime(2_000);
    expect(await cache.get('a')).toBe('2');
  });

  test('deletes just the keys named', async () => {
    for (const key of ['a', 'b', 'c']) await cache.set(key, key, 1_000);
    await cache.delete(['a', 'c', 'none']);
    await cache.delete([]);
    expect(await Promise.all(['a', 'b', 'c'].map((key) => cache.get(key)))).toEqual([
      null,
      'b',
      null,
    ]);
  });

  test('holds 10,000 entries; then the oldest goes', async () => {
    for (let entry = 0; entry < 10_000; entry += 1) await cache.set(`k${entry}`, 'v', 60_000);
    await cache.set('k0', 'again', 60_000);
    await cache.set('one more', 'v', 60_000);
    expect(await cache.get('k0')).toBe('again');
    expect(await cache.get('k1')).toBeNull();
    expect(await cache.get('k2')).toBe('v');
    expect(await cache.get('one more')).toBe('v');
  });
});
