import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { one } from './exact.ts';
import { centsText, costOf, parsePrice } from './price.ts';

describe('the cost of tokens', () => {
  test.each([
    [1_000_000, '300', 300n * one],
    [1, '300', (3n * one) / 10_000n],
    [0, '300', 0n],
    [20, '2', (4n * one) / 100_000n],
    [1, '0.000001', one / 10n ** 12n],
  ])('%d at %s cents a million', (tokens, price, expected) => {
    expect(costOf(tokens, parsePrice(price) ?? -1n)).toBe(expected);
  });

  test('is the exact product', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(999_999_999), fc.nat(999_999), (tokens, whole, parts) => {
        const millionths = BigInt(whole) * 1_000_000n + BigInt(parts);
        const price = parsePrice(`${whole}.${String(parts).padStart(6, '0')}`) ?? -1n;
        expect(costOf(tokens, price) * 10n ** 12n).toBe(BigInt(tokens) * millionths * one);
      }),
    );
  });
});

test.each(['', '-1', '1.', '.5', '1e3', '1.1234567', '10 cents'])('%j is no price', (text) => {
  expect(parsePrice(text)).toBeUndefined();
});

test.each([
  [0n, '0.0000'],
  [1n, '0.0001'],
  [123_456n, '12.3456'],
])('%d ten-thousandths are %s', (amount, text) => {
  expect(centsText(amount)).toBe(text);
});
