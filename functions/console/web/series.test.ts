import fc from 'fast-check';
import { expect, test } from 'vitest';
import { groupPoints, topGroups } from './series.ts';

const add = (one: number, other: number) => one + other;
const starts = [0, 10, 20];

test('sparse points are put into their buckets; what is in none is left out', () => {
  const points = [
    { atMs: 10, key: 'a', sums: 1 },
    { atMs: 10, key: 'a', sums: 2 },
    { atMs: 20, key: 'b', sums: 4 },
    { atMs: 15, key: 'b', sums: 8 },
  ];
  expect(groupPoints(points, starts, add)).toEqual([
    { key: 'a', total: 3, points: [null, 3, null] },
    { key: 'b', total: 4, points: [null, null, 4] },
  ]);
});

test('the largest are kept apart and the others are one, of which nothing is lost', () => {
  const point = fc.record({
    atMs: fc.constantFrom(...starts),
    key: fc.constantFrom(...'abcdefgh'),
    sums: fc.integer({ min: 0, max: 1_000 }),
  });
  fc.assert(
    fc.property(fc.array(point), fc.integer({ min: 1, max: 9 }), (points, countMax) => {
      const groups = groupPoints(points, starts, add);
      const shown = topGroups(groups, (sums) => sums, countMax, add);
      expect(shown.length).toBe(groups.length <= countMax + 1 ? groups.length : countMax + 1);
      starts.forEach((start, index) => {
        const all = points.filter(({ atMs }) => atMs === start);
        const sum = shown.reduce((sum, { points: found }) => sum + (found[index] ?? 0), 0);
        expect(sum).toBe(all.reduce((sum, { sums }) => sum + sums, 0));
      });
      const named = shown.filter(({ key }) => key !== null).map(({ total }) => total);
      expect(named).toEqual(named.toSorted((a, b) => b - a));
      const left = groups.filter(({ key }) => !shown.some((one) => one.key === key));
      for (const { total } of left) expect(total).toBeLessThanOrEqual(named.at(-1) ?? 0);
    }),
  );
});
