import fc from 'fast-check';
import { expect, test } from 'vitest';
import { binOf, binSql, binValueMs, packedPercentiles, packSql, slotCount } from './histogram.ts';

const dayMs = 86_400_000;
/** The promise, as answers round it. */
const errorMax = 0.02;

const relativeError = (latencyMs: number) => Math.abs(binValueMs(binOf(latencyMs)) / latencyMs - 1);

test('a bin’s value, as it is answered, is within 2% of every latency from 1 ms to 24 h', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: dayMs }), (latencyMs) => {
      expect(relativeError(latencyMs)).toBeLessThanOrEqual(errorMax);
    }),
    { numRuns: 5_000 },
  );
  for (let latencyMs = 1; latencyMs <= 10_000; latencyMs += 1) {
    expect(relativeError(latencyMs)).toBeLessThanOrEqual(errorMax);
  }
  expect(relativeError(dayMs)).toBeLessThanOrEqual(errorMax);
});

test('no narrower bound holds: it is reached at the edges of the bins', () => {
  const worst = Math.max(...Array.from({ length: 20_000 }, (_, index) => relativeError(index + 1)));
  expect(worst).toBeGreaterThan(errorMax * 0.99);
});

test('a bin that holds one whole millisecond is answered as that', () => {
  expect(binValueMs(binOf(0))).toBe(0);
  for (let latencyMs = 1; latencyMs <= 100; latencyMs += 1) {
    const isAlone = [latencyMs - 1, latencyMs + 1].every((ms) => binOf(ms) !== binOf(latencyMs));
    if (isAlone) expect(binValueMs(binOf(latencyMs))).toBe(latencyMs);
  }
  // The last of them: from here on every bin holds at least two.
  expect(binValueMs(binOf(36))).toBe(36);
});

test('an answer has a decimal only where a whole one would be further off', () => {
  expect(binValueMs(binOf(30))).toBe(30.5);
  expect(binValueMs(binOf(137))).toBe(134.5);
  const values = new Set<number>();
  for (let bin = 0; bin <= 457; bin += 1) {
    const last = Math.floor(Math.exp(bin / 25));
    // The first bins are narrower than a millisecond: most hold none.
    if (binOf(last) === bin) values.add(binValueMs(bin));
  }
  expect(values.size).toBe(401);
  for (const value of values) expect(String(value)).toMatch(/^\d+(\.\d)?$/);
  expect([...values].filter((value) => !Number.isInteger(value))).toHaveLength(35);
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

test('percentiles of packed histograms are those of their events, in any order of bins', () => {
  const bins = fc.array(fc.record({ bin: fc.integer({ min: -1, max: 457 }), events: fc.nat(50) }), {
    minLength: 1,
    maxLength: 30,
  });
  fc.assert(
    fc.property(bins, (drawn) => {
      const held = drawn.map(({ bin, events }) => ({ bin, events: events + 1 }));
      const sorted = held.flatMap(({ bin, events }) => Array<number>(events).fill(bin));
      sorted.sort((a, b) => a - b);
      const expected = [50, 95, 99].map((percent) => {
        const bin = sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? Number.NaN;
        return String(binValueMs(bin));
      });
      const packed = held.map(({ bin, events }) => events * 512 + bin + 1).join(',');
      expect(packedPercentiles(packed)).toEqual(expected);
    }),
    { numRuns: 2_000 },
  );
});

test('bins after a minus are taken off again, in any order', () => {
  const histogram = fc.array(fc.integer({ min: 0, max: 458 }), { minLength: 1, maxLength: 30 });
  const packed = (slots: number[], sign: string) => slots.map((slot) => `${sign}${512 + slot}`);
  fc.assert(
    fc.property(
      histogram,
      fc.array(fc.integer({ min: 0, max: 458 })),
      fc.infiniteStream(fc.boolean()),
      (kept, gone, order) => {
        const [sum, expected] = [new Float64Array(slotCount), new Float64Array(slotCount)];
        const bins = [...packed(kept, ''), ...packed(gone, '')];
        for (const bin of packed(gone, '-')) {
          if (order.next().value) bins.push(bin);
          else bins.unshift(bin);
        }
        const alone = packedPercentiles(packed(kept, '').join(','), expected);
        expect(packedPercentiles(bins.join(','), sum)).toEqual(alone);
        expect(sum).toEqual(expected);
      },
    ),
  );
});
