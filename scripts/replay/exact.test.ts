import { describe, expect, test } from 'vitest';
import { one, parseExact, parseWhole, rounded } from './exact.ts';

describe('parseExact', () => {
  test.each([
    ['12', 12n * one],
    ['1200.0', 1_200n * one],
    ['.5', one / 2n],
    ['-0.25', -one / 4n],
    ['2e-05', one / 50_000n],
    ['7.25E-5', (725n * one) / 10_000_000n],
    ['1.2e3', 1_200n * one],
    ['0e-999', 0n],
    // Every digit that a float may have, and more.
    ['0.4875000000000001', (4_875_000_000_000_001n * one) / 10n ** 16n],
    ['0.000000000000000000000000000001', 1n],
  ])('%s', (text, amount) => {
    expect(parseExact(text)).toBe(amount);
  });

  test.each(['', '.', '1,200', '$1', 'NaN', 'Infinity', '0x10', '1e', '1e9999', '1e-31', '1 2'])(
    '%j is none',
    (text) => {
      expect(parseExact(text)).toBeUndefined();
    },
  );

  test('a text of a million digits is none, at once', () => {
    expect(parseExact('9'.repeat(1_000_000))).toBeUndefined();
  });
});

test.each([
  ['1200', 1_200],
  ['1200.0', 1_200],
  ['1.2e3', 1_200],
  ['-5', -5],
  ['840.5', undefined],
  ['many', undefined],
])('%s as a whole number', (text, value) => {
  expect(parseWhole(text)).toBe(value);
});

test('half is rounded up', () => {
  expect([one / 2n - 1n, one / 2n, one].map(rounded)).toEqual([0n, 1n, 1n]);
});
