import fc from 'fast-check';
import { expect, test } from 'vitest';
import { guardedCell, unguardedCell } from './formula-guard.ts';

test.each([
  ['plain', 'plain'],
  ['', ''],
  ['a=1', 'a=1'],
  ["it's", "it's"],
  ['=1+1', "'=1+1"],
  ['-prod', "'-prod"],
  ['＝1+1', "'＝1+1"],
  ["'=1", "''=1"],
  ["'quoted", "''quoted"],
  ["''", "'''"],
  ['\tx', "'\tx"],
  ['\t=1', "'\t'=1"],
  ['\r\n=1', "'\r\n'=1"],
  ["\t'", "'\t''"],
  ['x;=cmd', "x;'=cmd"],
  ['x\t@SUM(1)', "x\t'@SUM(1)"],
  ['x\n+1', "x\n'+1"],
  ['x\r\n－1', "x\r\n'－1"],
  ['a,=1', "a,'=1"],
  ["a; 'b'", "a; ''b'"],
  ['x;\t=1', "x;\t'=1"],
  ['x; =1', "x; '=1"],
  ['x;"=1', `x;"'=1`],
  [' =1', " '=1"],
  ['a;b\r\nc', 'a;b\r\nc'],
])('the text %j is guarded as %j, and read back', (text, cell) => {
  expect(guardedCell(text)).toBe(cell);
  expect(unguardedCell(cell)).toBe(text);
});

/** Made of what the rule looks at, for the most part. */
const texts = fc.oneof(
  fc
    .array(fc.constantFrom(...'\'"=+-@＝＋－＠;, \t\r\nax'.split('')), { maxLength: 12 })
    .map((characters) => characters.join('')),
  fc.string({ unit: 'binary', maxLength: 8 }),
);

test('a guarded text is read back as it was, so that no two become one', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const cell = guardedCell(text);
      expect(unguardedCell(cell)).toBe(text);
      // As docs/exports.md has it for other languages.
      expect(cell.replace(/(^|[,;\t\r\n])([ "]*)'/g, '$1$2')).toBe(text);
    }),
    { numRuns: 5_000 },
  );
});

test('however a guarded text is split and trimmed, no part begins as a formula', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const cell = guardedCell(text);
      expect(cell).not.toMatch(/^[\t\r\n]/);
      for (const split of [/$^/, /,/, /;/, /\t/, /[\r\n]/, /[,;\t\r\n]/]) {
        for (const part of cell.split(split))
          expect(part).not.toMatch(/^[ \t\r\n"]*[=+\-@＝＋－＠]/);
      }
    }),
    { numRuns: 5_000 },
  );
});

test('a cell guarded by the earlier rule, at its start alone, is read back', () => {
  const earlier = (text: string) => (/^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text);
  for (const text of [
    '@acme/app',
    '-prod',
    '+49 30 1234',
    '=sum',
    '\tx',
    "'quoted",
    '  lead',
    'a;b',
  ]) {
    expect(unguardedCell(earlier(text))).toBe(text);
  }
});

test('a long text takes no longer for each character', () => {
  // Quadratic work on these would take minutes.
  for (const long of [' ', '"', '\t', "'", ';', '=', ';  ']) {
    const text = long.repeat(300_000);
    expect(unguardedCell(guardedCell(text)) === text).toBe(true);
  }
});
