import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readSettings } from '../env.ts';
import { redactor } from './redaction.ts';

const clean = redactor(
  readSettings({
    DATABASE_URL: 'postgres://me:long-passw%C3%B6rd@db:5432/usage',
    GATEWAY_SHARED_SECRET: 'a-shared-secret-of-ours',
  }),
);

/** Processor time, which other processes on the machine do not add to. */
function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** The least of several: what else a process does, such as collecting garbage, only adds to it. */
function leastMs(times: number, work: () => void): number {
  return Math.min(...Array.from({ length: times }, () => cpuMs(work)));
}

const pieces = [
  'a',
  'a-',
  'a.+-',
  ':',
  '/',
  '://',
  'a://',
  'x://u:',
  'a:b',
  '@',
  ':@',
  '"',
  '\\"',
  '\\',
  '[',
  ']',
  '["',
  '"cookie":',
  '"cookie":["',
  '"cookie":["\\"',
  '"authorization":"\\',
  'Bearer ',
  'Basic a',
  'X-Amz-Signature=',
  ' ',
  '\u009b',
  '\u202e',
  'é',
] as const;

describe('a line of whatever a caller likes takes time by its length, not by its square', () => {
  const ofLength = (piece: string, length: number) =>
    piece.repeat(Math.ceil(length / piece.length)).slice(0, length);

  // Ten times the length is ten times the work, and a hundred times if it is quadratic: that of
  // `a-` took seconds for 100 KB, which the first step finds without trying 1 MB.
  function expectLinear(head: string, piece: string): void {
    const work = (length: number) => {
      const line = `${head}${ofLength(piece, length)}`;
      return () => void clean(line);
    };
    for (const [length, atLeastMs] of [
      [10_000, 5],
      [100_000, 1],
    ] as const) {
      const shortMs = Math.max(leastMs(3, work(length)), atLeastMs);
      expect(leastMs(2, work(10 * length))).toBeLessThan(40 * shortMs);
    }
  }

  test.each(pieces)('%j, over and over', (piece) => {
    expectLinear('', piece);
    for (const head of ['x://u:', '"cookie":["', '"authorization":"']) expectLinear(head, piece);
  });

  test('and any few of them, over and over', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { minLength: 2, maxLength: 6 }), (chosen) =>
        expectLinear('', chosen.join('')),
      ),
      { numRuns: 30, seed: 16 },
    );
  });
});

test('a password of any URL is gone, whatever stands around it', () => {
  const text = fc.string({ maxLength: 30, unit: fc.constantFrom(...'ab-.+1:@/" \\'.split('')) });
  const plain = (max: number) =>
    fc.string({ maxLength: max, unit: fc.constantFrom(...'abc-.+123'.split('')) });
  fc.assert(
    fc.property(text, plain(20), plain(5), plain(4), (before, scheme, user, end) => {
      const password = `pw${end}PW`;
      const line = `${before} ${scheme}://${user}:${password}@host/path ${before}`;
      expect(clean(line)).not.toContain(password);
      expect(clean(line)).toContain('[redacted]@host/path');
    }),
  );
});

test.each([
  [
    'a list of them',
    '{"set-cookie":["a=1","b=[2]; \\"c\\""],"x":1}',
    '{"set-cookie":"[redacted]","x":1}',
  ],
  ['a value with brackets and quotes', '{"cookie":"a=[\\"1"}', '{"cookie":"[redacted]"}'],
  ['one with an @, in a scheme of one letter', 'x://u:p@ss@host/', 'x://u:[redacted]@host/'],
])('%s is taken out of JSON', (_, line, expected) => {
  expect(clean(line)).toBe(expected);
});

test('what a terminal would obey is escaped, and the line is the same JSON', () => {
  const obeyed =
    '\u007f\u009b2J\u009d0;title\u009c\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069';
  const line = JSON.stringify({ [obeyed]: obeyed });
  expect(clean(line)).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(clean(line))).toEqual({ [obeyed]: obeyed });
  // Letters of any script are none of these.
  for (const text of ['Łódź', 'אב', 'नमस्ते', '👩‍🚀']) expect(clean(text)).toBe(text);
});
