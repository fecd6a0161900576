import fc from 'fast-check';
import { expect, test } from 'vitest';
import { partitionOf } from './partition-routing.ts';

const streams = (count: number) => Array.from({ length: count }, (_, index) => `s-${index}`);

test('the route is fixed: producers in other languages compute it too', () => {
  // python: int.from_bytes(hashlib.sha256(org.encode()).digest()[:4], 'big') % 8
  expect(partitionOf('00000000-0000-0000-0000-000000000001', streams(8))).toBe('s-7');
  expect(partitionOf('abcdefab-abcd-4abc-8abc-abcdefabcdef', streams(8))).toBe('s-4');
});

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
