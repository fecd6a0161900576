import fc from 'fast-check';
import { expect, test } from 'vitest';
import vectors from '../../examples/routing-vectors.json' with { type: 'json' };
import { partitionOf } from './routing.ts';

const streams = (count: number) => Array.from({ length: count }, (_, index) => `s-${index}`);

// Made in Python: int.from_bytes(hashlib.sha256(org.lower().encode()).digest()[:4], 'big') % count
test.each(vectors)(
  'the route is fixed, as producers in other languages compute it: %j',
  ({ orgId, partitions, partition }) => {
    expect(partitionOf(orgId, streams(partitions))).toBe(`s-${partition}`);
  },
);

test('an org has one partition, however its id is spelt', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.integer({ min: 1, max: 256 }), (orgId, count) => {
      const partition = partitionOf(orgId, streams(count));
      expect(streams(count)).toContain(partition);
      expect(partitionOf(orgId.toUpperCase(), streams(count))).toBe(partition);
    }),
  );
});

test('orgs spread over all partitions about evenly', () => {
  const counts = new Map<string, number>();
  for (let org = 0; org < 8_000; org += 1) {
    const orgId = `00000000-0000-4000-8000-${String(org).padStart(12, '0')}`;
    const partition = partitionOf(orgId, streams(8));
    counts.set(partition, (counts.get(partition) ?? 0) + 1);
  }
  expect(counts.size).toBe(8);
  // Mean 1,000, standard deviation 30.
  for (const count of counts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150);
});

test('without a partition there is no route', () => {
  expect(() => partitionOf('x', [])).toThrow(/at least one partition/);
});
