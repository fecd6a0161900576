import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { costCarry } from './carry.ts';
import { type Exact, parseExact } from './exact.ts';
import { centUnit } from './price.ts';

const exact = (text: string): Exact => parseExact(text) ?? -1n;
const sum = (amounts: readonly bigint[]) => amounts.reduce((left, right) => left + right, 0n);

describe('a thousand small costs', () => {
  test.each([
    // 20 tokens at 2 cents a million, and 4 at 15: rounded each for itself, 0 and 0.1.
    ['0.00004', 400n],
    ['0.00006', 600n],
    ['0.00725', 72_500n],
    ['0.0001', 1_000n],
    ['0', 0n],
  ])('of %s come to their sum', (cost, units) => {
    const carry = costCarry();
    const given = Array.from({ length: 1_000 }, () => carry('org', 'a', exact(cost)));
    expect(sum(given)).toBe(units);
  });
});

const costs = fc.array(
  fc.record({
    whole: fc.constantFrom('org', 'other'),
    part: fc.constantFrom('a', 'b', 'c', 'd'),
    cost: fc.oneof(fc.bigInt(0n, 3n * centUnit), fc.constantFrom(0n, centUnit / 2n, centUnit)),
  }),
  { maxLength: 200 },
);

test('no part is ever off by a unit, and nothing is negative', () => {
  fc.assert(
    fc.property(costs, (rows) => {
      const carry = costCarry();
      const given = rows.map(({ whole, part, cost }) => carry(whole, part, cost));
      expect(given.every((amount) => amount >= 0n)).toBe(true);
      const errorOf = (isMeant: (row: (typeof rows)[number]) => boolean) => {
        const error = rows.map((row, index) =>
          isMeant(row) ? (given[index] ?? 0n) * centUnit - row.cost : 0n,
        );
        return sum(error);
      };
      for (const whole of ['org', 'other']) {
        for (const part of ['a', 'b', 'c', 'd']) {
          const error = errorOf((row) => row.whole === whole && row.part === part);
          expect(error < centUnit && error > -centUnit).toBe(true);
        }
      }
    }),
  );
});

test('many small parts come to the sum of the whole', () => {
  const carry = costCarry();
  const given = Array.from({ length: 1_000 }, (_, index) => {
    return carry('org', `client ${index}`, exact('0.00005'));
  });
  expect(sum(given)).toBe(500n);
});

test('one part alone is rounded as its sum is', () => {
  fc.assert(
    fc.property(fc.array(fc.bigInt(0n, 3n * centUnit)), (amounts) => {
      const carry = costCarry();
      const given = amounts.map((amount) => carry('org', 'a', amount));
      expect(sum(given)).toBe((sum(amounts) + centUnit / 2n) / centUnit);
    }),
  );
});

test('what follows changes nothing that came before', () => {
  fc.assert(
    fc.property(costs, fc.nat(200), (rows, cut) => {
      const all = costCarry();
      const first = costCarry();
      const given = rows.map(({ whole, part, cost }) => all(whole, part, cost));
      const again = rows.slice(0, cut).map(({ whole, part, cost }) => first(whole, part, cost));
      expect(again).toEqual(given.slice(0, cut));
    }),
  );
});
