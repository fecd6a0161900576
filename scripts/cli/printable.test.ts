import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesAsText, printable, printableJson, printableLines } from './printable.ts';

const raw = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\u001b[2J', '\u009b31m', '\u202e', '\u2028', '\u{e0001}', '\r'),
);

test('nothing of others’ text moves the cursor', () => {
  fc.assert(
    fc.property(text, (given) => {
      expect(printable(given)).not.toMatch(raw);
      expect(printableLines(given).replaceAll('\n', '')).not.toMatch(raw);
      const { text: shown } = bytesAsText(Buffer.from(given));
      expect(shown.replace(/[\n\t]/g, '')).not.toMatch(raw);
    }),
  );
});

test('JSON stays the same value, on one line', () => {
  fc.assert(
    fc.property(fc.dictionary(text, text), fc.constantFrom(0, 2, '\t'), (given, space) => {
      const json = printableJson(JSON.stringify(given, null, space));
      expect(json).not.toMatch(raw);
      expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(given)));
    }),
  );
});
