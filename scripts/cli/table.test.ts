import { expect, test } from 'vitest';
import { factsText, tableText } from './table.ts';

const rows = [
  { name: 'chat\u001b[2J\nlarge\u202e', count: 1_234_567 },
  { name: '日本', count: null },
];
const columns = [
  { title: 'model', cell: ({ name }: (typeof rows)[number]) => name },
  { title: 'count', align: 'right', cell: ({ count }: (typeof rows)[number]) => count },
] as const;

test('elsewhere than on a terminal it is plain text, whatever its cells hold', () => {
  expect(tableText(rows, columns, { isTerminal: false, hasColour: false })).toBe(
    [
      'model                                count',
      'chat\\u{1b}[2J\\u{a}large\\u{202e}  1,234,567',
      '日本                                     -',
    ].join('\n'),
  );
});

test('on a terminal a rule parts the titles, in colour where colour is wanted', () => {
  const ruled = tableText(rows, columns, { isTerminal: true, hasColour: false });
  expect(ruled.split('\n')[1]).toMatch(/^─+$/);
  expect(ruled).not.toContain('\u001b');
  expect(tableText(rows, columns, { isTerminal: true, hasColour: true })).toContain('\u001b[');
});

test('without rows it has titles, and a long cell is cut', () => {
  expect(tableText([], columns)).toBe('model  count');
  const [, line = ''] = tableText([{ name: 'x'.repeat(500), count: 1 }], columns).split('\n');
  expect(line).toMatch(/^x{99}… +1$/);
});

test('facts stand under each other', () => {
  expect(factsText({ a: 'b\u009b', longer: 1_000, none: null })).toBe(
    'a       b\\u{9b}\nlonger  1,000\nnone    -',
  );
});

test('a whole number beyond 2^53 is shown digit for digit', () => {
  const column = { title: 'tokens', cell: (tokens: bigint) => tokens };
  expect(tableText([9_007_199_254_741_241n], [column])).toBe('tokens\n9,007,199,254,741,241');
  expect(factsText({ tokens: 2n ** 64n })).toBe('tokens  18,446,744,073,709,551,616');
});
