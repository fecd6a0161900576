import { describe, expect, test } from 'vitest';
import { parseDay, parseTimestamp, placed, shiftDaysOf } from './time.ts';

const at = (text: string) => Date.parse(text);

describe('parseTimestamp', () => {
  test.each([
    // Digits finer than milliseconds are cut off, not rounded.
    ['2023-11-16 18:17:03.9799600', '2023-11-16T18:17:03.979Z'],
    ['2023-11-16 18:17:03.9999999', '2023-11-16T18:17:03.999Z'],
    ['2023-11-16 18:17:03', '2023-11-16T18:17:03.000Z'],
    ['2023-11-16T18:17:03Z', '2023-11-16T18:17:03.000Z'],
    ['2023-11-16 18:17:03.5 UTC', '2023-11-16T18:17:03.500Z'],
    ['2023-11-16T18:17:03+05:45', '2023-11-16T12:32:03.000Z'],
  ])('%s', (text, expected) => {
    expect(parseTimestamp(text)).toBe(at(expected));
  });

  test.each(['', '2023-02-30 00:00:00', '2023-11-16', '16/11/2023 18:17', '1700158623'])(
    '%j is no time',
    (text) => {
      expect(parseTimestamp(text)).toBeUndefined();
    },
  );
});

describe('shifting', () => {
  const firstMs = at('2023-11-16T18:17:03.979Z');

  test('moves the first event’s UTC day to the day asked for, its hour kept', () => {
    const toDayMs = parseDay('2026-02-28', 0);
    expect(toDayMs).toBeDefined();
    const shiftDays = shiftDaysOf({ toDayMs: toDayMs ?? 0 }, firstMs);
    const placement = { firstMs, shiftDays, stretch: 1 };
    expect(placed(firstMs, placement)).toBe(at('2026-02-28T18:17:03.979Z'));
    expect(placed(at('2023-11-17T00:00:00.001Z'), placement)).toBe(at('2026-03-01T00:00:00.001Z'));
  });

  test('yesterday is the UTC day before', () => {
    expect(parseDay('yesterday', at('2026-03-01T00:00:00Z'))).toBe(at('2026-02-28T00:00:00Z'));
    expect(parseDay('yesterday', at('2026-02-28T23:59:59.999Z'))).toBe(at('2026-02-27T00:00:00Z'));
  });

  test('by days moves by days', () => {
    expect(shiftDaysOf({ days: -3 }, firstMs)).toBe(-3);
  });

  test('a day that does not exist is none', () => {
    expect(parseDay('2026-02-30', 0)).toBeUndefined();
    expect(parseDay('tomorrow', 0)).toBeUndefined();
  });
});

describe('stretching', () => {
  const firstMs = at('2026-01-01T12:00:00.000Z');
  const placement = { firstMs, shiftDays: 1, stretch: 76 };

  test('multiplies the time since the first event, which stays', () => {
    expect(placed(firstMs, placement)).toBe(at('2026-01-02T12:00:00Z'));
    expect(placed(firstMs + 1_001, placement)).toBe(at('2026-01-02T12:00:00Z') + 76_076);
  });

  test('takes what lies before the first row to the other side', () => {
    expect(placed(firstMs - 10, placement)).toBe(at('2026-01-02T12:00:00Z') - 760);
  });

  test('by a fraction gives whole milliseconds', () => {
    expect(placed(firstMs + 5, { ...placement, stretch: 0.5 })).toBe(
      at('2026-01-02T12:00:00Z') + 3,
    );
  });
});
