import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rowOrdinals } from './ordinals.ts';

const hashOf = (text: string) => createHash('sha256').update(text).digest();

test('counts how often each row came', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz')), (rows) => {
      const ordinalOf = rowOrdinals(rows.length);
      const seen = new Map<string, number>();
      for (const row of rows) {
        seen.set(row, (seen.get(row) ?? 0) + 1);
        expect(ordinalOf(hashOf(row))).toBe(seen.get(row));
      }
    }),
  );
});

test('hashes that begin alike are told apart', () => {
  const ordinalOf = rowOrdinals(3);
  const hash = (high: number, low: number) => {
    const bytes = Buffer.alloc(32);
    bytes.writeUInt32BE(high, 0);
    bytes.writeUInt32BE(low, 4);
    return bytes;
  };
  const rows = [hash(1, 16), hash(2, 16), hash(1, 32), hash(1, 16), hash(0, 0), hash(0, 0)];
  expect(rows.map((row) => ordinalOf(row))).toEqual([1, 1, 1, 2, 1, 2]);
});
