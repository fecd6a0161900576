import { expect, test } from 'vitest';
import {
  autoGranularity,
  fromLocalInput,
  previousRange,
  rangeText,
  resolveRange,
  toLocalInput,
} from './range.ts';

const at = (text: string) => Date.parse(text);
const window = (start: string, end: string) => ({ startMs: at(start), endMs: at(end) });
const berlin = 'Europe/Berlin';

// Clocks in Berlin go back on 25 October 2026, and forward on 28 March 2027.
test.each([
  [
    'a week after clocks went back, by local days',
    berlin,
    window('2026-10-26T00:00:00+01:00', '2026-11-02T00:00:00+01:00'),
    window('2026-10-19T00:00:00+02:00', '2026-10-26T00:00:00+01:00'),
  ],
  [
    'the day on which they went back: 25 hours against 24',
    berlin,
    window('2026-10-25T00:00:00+02:00', '2026-10-26T00:00:00+01:00'),
    window('2026-10-24T00:00:00+02:00', '2026-10-25T00:00:00+02:00'),
  ],
  [
    'April against March, whose clocks went forward',
    berlin,
    window('2027-04-01T00:00:00+02:00', '2027-05-01T00:00:00+02:00'),
    window('2027-03-01T00:00:00+01:00', '2027-04-01T00:00:00+02:00'),
  ],
  [
    'a quarter against the quarter before',
    'UTC',
    window('2026-07-01T00:00:00Z', '2026-10-01T00:00:00Z'),
    window('2026-04-01T00:00:00Z', '2026-07-01T00:00:00Z'),
  ],
  [
    'hours against as many hours',
    berlin,
    window('2026-10-25T00:30:00Z', '2026-10-25T06:30:00Z'),
    window('2026-10-24T18:30:00Z', '2026-10-25T00:30:00Z'),
  ],
])('the previous period of %s', (_, timeZone, range, before) => {
  expect(previousRange(range, timeZone)).toEqual(before);
});

test('a window that is not over is compared with the same stretch of the one before', () => {
  const now = at('2026-11-18T09:30:20Z');
  const week = resolveRange({ preset: '7d' }, 'UTC', now);
  expect(week).toEqual(window('2026-11-12T00:00:00Z', '2026-11-19T00:00:00Z'));
  expect(previousRange(week, 'UTC', now)).toEqual(
    window('2026-11-05T00:00:00Z', '2026-11-11T09:30:00Z'),
  );
});

test.each([
  ['24h', 'UTC', window('2026-10-25T10:00:00Z', '2026-10-26T10:00:00Z')],
  ['7d', berlin, window('2026-10-20T00:00:00+02:00', '2026-10-27T00:00:00+01:00')],
  ['month', berlin, window('2026-10-01T00:00:00+02:00', '2026-10-27T00:00:00+01:00')],
  [
    'last-month',
    'Asia/Kathmandu',
    window('2026-09-01T00:00:00+05:45', '2026-10-01T00:00:00+05:45'),
  ],
  ['400d', 'UTC', window('2025-09-22T00:00:00Z', '2026-10-27T00:00:00Z')],
] as const)('%s in %s, asked for on 26 October', (preset, timeZone, range) => {
  expect(resolveRange({ preset }, timeZone, at('2026-10-26T09:15:00Z'))).toEqual(range);
});

test.each([
  [window('2026-11-01T00:00:00Z', '2026-11-03T00:00:00Z'), 'hour'],
  [window('2026-11-01T00:00:00Z', '2026-11-04T00:00:00Z'), 'day'],
  [window('2025-10-01T00:00:00Z', '2026-11-05T00:00:00Z'), 'day'],
] as const)('%o is shown by %s', (range, granularity) => {
  expect(autoGranularity(range)).toBe(granularity);
});

test('a time that is typed is of the view’s zone', () => {
  const ms = at('2026-11-16T23:30:00Z');
  expect(toLocalInput(ms, berlin)).toBe('2026-11-17T00:30');
  expect(fromLocalInput('2026-11-17T00:30', berlin)).toBe(ms);
  expect(fromLocalInput('', berlin)).toBeUndefined();
});

test('whole days are named by days, others with their times', () => {
  expect(rangeText(window('2026-11-16T00:00:00Z', '2026-11-23T00:00:00Z'), 'UTC')).toBe(
    '16 Nov 2026 – 22 Nov 2026',
  );
  expect(rangeText(window('2026-11-16T00:00:00Z', '2026-11-17T00:00:00Z'), 'UTC')).toBe(
    '16 Nov 2026',
  );
  expect(rangeText(window('2026-11-16T10:00:00Z', '2026-11-16T11:30:00Z'), 'UTC')).toBe(
    '16 Nov 2026, 10:00 – 16 Nov 2026, 11:30',
  );
});
