import { describe, expect, test } from 'vitest';
import { scaledObject } from './manifests.ts';
import { type Reading, replicaCounter } from './replica-count.ts';

type Spec = Record<string, unknown>;

/** Counts after each reading, which come every 30 s. */
function counts(readings: readonly (number | 'fault')[], over: Spec = {}, query: Spec = {}) {
  const counter = replicaCounter(
    scaledObject.parse({
      metadata: { name: 'consumer' },
      spec: {
        scaleTargetRef: { name: 'consumer' },
        pollingInterval: 30,
        cooldownPeriod: 60,
        maxReplicaCount: 4,
        triggers: [
          {
            type: 'postgresql',
            metadata: { query: 'select 1', targetQueryValue: '100', ...query },
            authenticationRef: { name: 'database' },
          },
        ],
        ...over,
      },
    }),
  );
  let current = 0;
  return readings.map((given, index) => {
    const reading: Reading = given === 'fault' ? { fault: 'away' } : { value: given };
    current = counter(reading, current, index * 30_000);
    return current;
  });
}

describe('from and to zero', () => {
  test('a value above the activation starts one, and only a whole cooldown without stops it', () => {
    expect(counts([0, 1, 0, 0, 0, 0])).toEqual([0, 1, 1, 1, 0, 0]);
    expect(counts([1, 0, 0, 5, 0, 0, 0, 0])).toEqual([1, 1, 1, 1, 1, 1, 0, 0]);
  });

  test('the activation value itself starts none', () => {
    expect(counts([10, 11], {}, { activationTargetQueryValue: '10' })).toEqual([0, 1]);
  });

  test('a minimum above zero is always there', () => {
    expect(counts([0, 0, 0], { minReplicaCount: 2 })).toEqual([2, 2, 2]);
  });
});

describe('among several', () => {
  test('there is one for each target value begun, up to the maximum', () => {
    expect(counts([1])).toEqual([1]);
    expect(counts([100])).toEqual([1]);
    expect(counts([101])).toEqual([2]);
    expect(counts([5_000])).toEqual([4]);
  });

  test('fewer are kept only once more were not wanted for five minutes', () => {
    const low = Array.from({ length: 11 }, () => 1);
    expect(counts([300, ...low])).toEqual([...Array.from({ length: 10 }, () => 3), 1, 1]);
  });
});

describe('when the query fails', () => {
  test('nothing changes until it failed more often than the threshold', () => {
    const fallback = { failureThreshold: 3, replicas: 1 };
    const readings = ['fault', 'fault', 'fault', 'fault', 'fault'] as const;
    expect(counts(readings, { fallback })).toEqual([0, 0, 0, 1, 1]);
    expect(counts(['fault', 'fault', 0, 'fault', 'fault'], { fallback })).toEqual([0, 0, 0, 0, 0]);
  });

  test('more than the fallback stay where its behavior says so', () => {
    const fallback = { failureThreshold: 0, replicas: 1 };
    expect(counts([300, 'fault'], { fallback })).toEqual([3, 1]);
    const lenient = { ...fallback, behavior: 'currentReplicasIfHigher' };
    expect(counts([300, 'fault'], { fallback: lenient })).toEqual([3, 3]);
  });

  test('without a fallback nothing ever changes', () => {
    expect(counts([300, 'fault', 'fault', 'fault', 'fault', 'fault'])).toEqual([3, 3, 3, 3, 3, 3]);
  });
});
