import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvLine, fromScaled, TotalsSum, textCell, toScaled } from './format.ts';
import { unguardedCell } from './formula-guard.ts';

test.each([
  ['plain', 'plain'],
  ['', ''],
  ['a,b', '"a,b"'],
  ['say "hi"', '"say ""hi"""'],
  ['a\nb', '"a\nb"'],
  ['a\rb', '"a\rb"'],
  ['=1+1', "'=1+1"],
  ['-5', "'-5"],
  ['@x', "'@x"],
  ['\t=1', "'\t'=1"],
  ['\r=1', `"'\r'=1"`],
  ['\n=1', `"'\n'=1"`],
  ['x;=1', "x;'=1"],
  ['＋1', "'＋1"],
  ["'=1", "''=1"],
  ['a=1', 'a=1'],
])('the text %j is the cell %j', (text, cell) => {
  expect(textCell(text)).toBe(cell);
});

test('any texts come back from a strict reader', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme' }), { minLength: 2, maxLength: 5 }),
      (texts) => {
        const csv = csvLine(texts.map(textCell));
        // Every line break is inside quotes, but for the last.
        expect(csv.replace(/"(""|[^"])*"/g, '')).toMatch(/^[^\r\n]*\r\n$/);
        const [cells]: string[][] = parse(csv, { record_delimiter: '\r\n' });
        expect(cells?.map(unguardedCell)).toEqual(texts);
      },
    ),
  );
});

test('sums are exact beyond what a float holds', () => {
  const sum = new TotalsSum();
  sum.add('1', '0', '9007199254740993', '1', '99999999999999.9999');
  sum.add('2', '1', '2', '0', '0.0001');
  expect(sum.toTotals()).toEqual({
    invocations: 3,
    errors: 1,
    inputTokens: '9007199254740995',
    outputTokens: '1',
    costEstimateCents: '100000000000000',
  });
});

test.each(['0', '0.0001', '12.3', '99999999999999.9999', '-0.5', '-12'])(
  '%s is the same after scaling',
  (text) => {
    expect(fromScaled(toScaled(text))).toBe(text);
  },
);
