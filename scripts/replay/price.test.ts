import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { centsText, costOf, parsePrice } from './price.ts';

function cost(tokens: number, price: string): string {
  return centsText(costOf(tokens, parsePrice(price) ?? -1n));
}

describe('the cost of tokens', () => {
  test.each([
    [1_000_000, '300', '300.0000'],
    [1, '300', '0.0003'],
    [0, '300', '0.0000'],
    [4_808, '2.5', '0.0120'],
    // 0.01195 and 0.01185: half a unit goes up.
    [4_780, '2.5', '0.0120'],
    [4_740, '2.5', '0.0119'],
    [4_739, '2.5', '0.0118'],
    [1, '0.000001', '0.0000'],
    // Beyond what a float counts exactly.
    [Number.MAX_SAFE_INTEGER, '0.3', '2702159776.4223'],
  ])('%d at %s cents a million is %s', (tokens, price, expected) => {
    expect(cost(tokens, price)).toBe(expected);
  });

  test('is within half a unit of the exact product', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(999_999_999), fc.nat(999_999), (tokens, whole, parts) => {
        const millionths = BigInt(whole) * 1_000_000n + BigInt(parts);
        const price = parsePrice(`${whole}.${String(parts).padStart(6, '0')}`);
        expect(price).toBe(millionths);
        // In units of 10^-12 cents, both exact.
        const error = costOf(tokens, millionths) * 100_000_000n - BigInt(tokens) * millionths;
        expect(error <= 50_000_000n && error > -50_000_000n).toBe(true);
      }),
    );
  });
});

test.each(['', '-1', '1.', '.5', '1e3', '1.1234567', '10 cents'])('%j is no price', (text) => {
  expect(parsePrice(text)).toBeUndefined();
});
