import fc from 'fast-check';
import { expect, test } from 'vitest';
import { percentText } from './format.ts';
import { centsText, exactMoneyText, moneyOf, moneyText, shareOfMoney } from './money.ts';

test.each([
  ['1689.8797', 'USD', '$16.90', '$16.898797'],
  ['0', 'USD', '$0.00', '$0.00'],
  ['0.4875', 'USD', '$0.0049', '$0.004875'],
  ['99.995', 'USD', '$1.0000', '$0.99995'],
  ['100', 'USD', '$1.00', '$1.00'],
  ['123456789.5', 'EUR', '€1,234,567.90', '€1,234,567.895'],
  ['12345', 'JPY', '¥123', '¥123.45'],
  ['0.0001', 'USD', '< $0.0001', '$0.000001'],
  ['0.0049', 'USD', '< $0.0001', '$0.000049'],
  ['0.005', 'USD', '$0.0001', '$0.00005'],
  ['0.0001', 'JPY', '< ¥0.01', '¥0.000001'],
  // As a float this is ….53.
  ['900719925474099252.9999', 'USD', '$9,007,199,254,740,992.53', '$9,007,199,254,740,992.529999'],
])('%s cents of %s are %s, all of it %s', (cents, currency, rounded, exact) => {
  const money = moneyOf(cents);
  expect(moneyText(money, currency)).toBe(rounded);
  expect(exactMoneyText(money, currency)).toBe(exact);
});

test('what is not nothing never reads as nothing', () => {
  fc.assert(
    fc.property(
      fc.bigInt(1n, 10n ** 12n),
      fc.integer({ min: 1, max: 2 ** 53 - 1 }),
      fc.constantFrom('USD', 'EUR', 'JPY'),
      (money, count, currency) => {
        const average = shareOfMoney(money, count, 1_000);
        for (const text of [money, average].map((one) => moneyText(one, currency))) {
          expect(text).toMatch(/[1-9]/);
        }
      },
    ),
  );
  expect(moneyText(shareOfMoney(0n, 5), 'USD')).toBe('$0.00');
  expect(moneyText(shareOfMoney(5n, 0), 'USD')).toBe('$0.00');
});

test.each([
  [0, '0.00%'],
  [0.038203, '3.82%'],
  [0.0004, '0.040%'],
  [0.000_005, '0.001%'],
  [0.000_004_9, '< 0.001%'],
  [1e-12, '< 0.001%'],
  [1, '100.00%'],
])('a share of %s reads %s', (share, text) => {
  expect(percentText(share)).toBe(text);
});

test('sums are exact where floats are not, and go back to cents digit for digit', () => {
  expect(centsText(moneyOf('0.1') + moneyOf('0.2'))).toBe('0.3');
  const cents = fc.tuple(fc.bigInt(0n, 10n ** 15n), fc.integer({ min: 0, max: 9_999 }));
  fc.assert(
    fc.property(cents, ([whole, places]) => {
      const text = `${whole}.${String(places).padStart(4, '0')}`.replace(/\.?0+$/, '');
      const given = places === 0 ? String(whole) : text;
      expect(centsText(moneyOf(given))).toBe(given);
    }),
  );
});

test.each(['', '-1', '1.23456', '1e3', 'NaN'])('%s is no amount', (text) => {
  expect(() => moneyOf(text)).toThrow('is not an amount in cents');
});
