import fc from 'fast-check';
import { expect, test } from 'vitest';
import { binOf, binSql, binValueMs, packSql } from './histogram.ts';

const dayMs = 86_400_000;
const errorMax = Math.tanh(0.02);
// Rounding of the floats themselves.
const slack = 1e-12;

const relativeError = (latencyMs: number) => Math.abs(binValueMs(binOf(latencyMs)) / latencyMs - 1);

test('a bin’s value is within tanh(0.02) of every latency from 1 ms to 24 h', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: dayMs }), (latencyMs) => {
      expect(relativeError(latencyMs)).toBeLessThanOrEqual(errorMax + slack);
    }),
    { numRuns: 5_000 },
  );
  for (let latencyMs = 1; latencyMs <= 10_000; latencyMs += 1) {
    expect(relativeError(latencyMs)).toBeLessThanOrEqual(errorMax + slack);
  }
  expect(relativeError(dayMs)).toBeLessThanOrEqual(errorMax + slack);
});

test('no narrower bound holds: it is reached at the edges of the bins', () => {
  const worst = Math.max(...Array.from({ length: 20_000 }, (_, index) => relativeError(index + 1)));
  expect(worst).toBeGreaterThan(errorMax * 0.99);
});

test('a longer latency is never in a lower bin', () => {
  const latency = fc.integer({ min: 0, max: dayMs });
  fc.assert(
    fc.property(latency, latency, (a, b) => {
      const [low, high] = a < b ? [a, b] : [b, a];
      expect(binOf(low)).toBeLessThanOrEqual(binOf(high));
      expect(binValueMs(binOf(low))).toBeLessThanOrEqual(binValueMs(binOf(high)));
    }),
  );
});

test('there are bins for nothing, for 1 ms and for 24 h, and they fit the packing', () => {
  expect(binOf(0)).toBe(-1);
  expect(binValueMs(-1)).toBe(0);
  expect(binOf(1)).toBe(0);
  expect(binOf(dayMs)).toBe(457);
  // Packed with `& 511` and `>> 9`: bin + 1 must stay below 512.
  expect(binOf(dayMs) + 1).toBeLessThan(512);
});

test('the SQL says the same', () => {
  expect(binSql('e.latency_ms')).toBe(
    '(case when e.latency_ms < 1 then -1 else ceil(25 * ln(e.latency_ms::float8))::int end)',
  );
  expect(packSql('bin', 'events')).toBe('(events) * 512 + (bin) + 1');
});
