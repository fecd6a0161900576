import { describe, expect, test } from 'vitest';
import { parseDay, parseRelativeTime, parseRowTime, placed, shiftDaysOf } from './time.ts';

const at = (text: string) => Date.parse(text);

describe('parseRowTime', () => {
  const ms = (text: string, timeZone = 'UTC') => {
    const read = parseRowTime(text, timeZone);
    return 'fault' in read ? read.fault : new Date(read.ms).toISOString();
  };

  test.each([
    // Digits finer than milliseconds are cut off, not rounded.
    ['2023-11-16 18:17:03.9799600', '2023-11-16T18:17:03.979Z'],
    ['2023-11-16 18:17:03.9999999', '2023-11-16T18:17:03.999Z'],
    ['2023-11-16 18:17:03', '2023-11-16T18:17:03.000Z'],
    ['2023-11-16T18:17:03Z', '2023-11-16T18:17:03.000Z'],
    ['2023-11-16 18:17:03.5 UTC', '2023-11-16T18:17:03.500Z'],
    ['2023-11-16T18:17:03+05:45', '2023-11-16T12:32:03.000Z'],
    // PostgreSQL, pandas, Python, Go.
    ['2026-11-20 12:47:35.248+00', '2026-11-20T12:47:35.248Z'],
    ['2026-11-20 18:17:35.248+0530', '2026-11-20T12:47:35.248Z'],
    ['2026-11-21T12:00:00+0000', '2026-11-21T12:00:00.000Z'],
    ['2026-11-21 12:00:00 +0000', '2026-11-21T12:00:00.000Z'],
    ['2026-11-21 12:00:00 +0000 UTC', '2026-11-21T12:00:00.000Z'],
    ['2026-11-21T12:00:00-05', '2026-11-21T17:00:00.000Z'],
    ['2026-11-21 12:00', '2026-11-21T12:00:00.000Z'],
    ['2026-11-21T12:00Z', '2026-11-21T12:00:00.000Z'],
    ['2026-11-21T12:00:00 Z', '2026-11-21T12:00:00.000Z'],
    ['2026-11-21 12:00:00,123', '2026-11-21T12:00:00.123Z'],
    // Since 1970, in seconds, milli-, micro- and nanoseconds.
    ['1763596800', '2025-11-20T00:00:00.000Z'],
    ['1763596800.1239', '2025-11-20T00:00:00.123Z'],
    ['1763596800123', '2025-11-20T00:00:00.123Z'],
    ['1763596800123456', '2025-11-20T00:00:00.123Z'],
    ['1763596800123456789', '2025-11-20T00:00:00.123Z'],
    ['999999999', '2001-09-09T01:46:39.000Z'],
    ['999999999999', '2001-09-09T01:46:39.999Z'],
  ])('%s', (text, expected) => {
    expect(ms(text)).toBe(expected);
  });

  test.each([
    ['2023-02-30 00:00:00', /^must be a date and time, not/],
    ['2023-11-16', /^must have a time of day, not "2023-11-16" alone$/],
    ['16/11/2023 18:17', /^may be month or day first, "16\/11\/2023 18:17": write it as/],
    ['11/21/2026 12:00:00', /^may be month or day first/],
    ['Nov 21, 2026 12:00:00 PM', /^must be a date and time/],
    ['17635968001', /^must be a date and time/],
    ['2026-11-21T12:00:00+99', /^must be a date and time/],
    ['', /^must be a date and time, not ""$/],
  ])('%j is named', (text, fault) => {
    expect(ms(text)).toMatch(fault);
  });

  test('says whether it has a zone, and keeps the finer digits', () => {
    expect(parseRowTime('2026-11-21 12:00:00.1234500', 'UTC')).toMatchObject({
      finer: '45',
      hasZone: false,
    });
    expect(parseRowTime('1763596800.1239', 'UTC')).toMatchObject({ finer: '9', hasZone: true });
  });

  test('without a zone is of the one given, where its clocks show it once', () => {
    const berlin = 'Europe/Berlin';
    expect(ms('2026-11-21 12:00', berlin)).toBe('2026-11-21T11:00:00.000Z');
    expect(ms('2026-07-21 12:00', berlin)).toBe('2026-07-21T10:00:00.000Z');
    expect(ms('2026-11-21 12:00+00', berlin)).toBe('2026-11-21T12:00:00.000Z');
    expect(ms('2026-10-25 02:30', berlin)).toMatch(
      /^the clocks of Europe\/Berlin show .* twice or never/,
    );
    expect(ms('2026-03-29 02:30', berlin)).toMatch(/twice or never/);
  });
});

test.each([
  ['5', 1_000, 5_000],
  ['5.5', 1_000, 5_500],
  ['3052', 1, 3_052],
  ['0.0001', 1_000, 0],
])('a trace’s time %s of %d ms', (text, unitMs, ms) => {
  expect(parseRelativeTime(text, unitMs)).toMatchObject({ ms, hasZone: true });
});

test.each(['-1', 'x', ''])('%j is no time of a trace', (text) => {
  expect(parseRelativeTime(text, 1)).toHaveProperty('fault');
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
