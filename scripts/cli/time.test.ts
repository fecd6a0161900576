import { expect, test } from 'vitest';
import { parseTime } from './time.ts';

// Ten days after the clocks of Berlin went forward; 01:30 there, on the next day.
const now = '2026-04-07T23:30:00Z';

test.each([
  ['2026-01-31T10:00:00+01:00', 'Europe/Berlin', '2026-01-31T09:00:00.000Z'],
  ['2026-01-31', 'UTC', '2026-01-31T00:00:00.000Z'],
  ['2026-01-31', 'Europe/Berlin', '2026-01-30T23:00:00.000Z'],
  ['2026-01-31T10:00', 'Europe/Berlin', '2026-01-31T09:00:00.000Z'],
  ['2026-01-31 10:00:30.5', 'Asia/Kathmandu', '2026-01-31T04:15:30.500Z'],
  ['now', 'Europe/Berlin', '2026-04-07T23:30:00.000Z'],
  ['today', 'UTC', '2026-04-07T00:00:00.000Z'],
  ['today', 'Europe/Berlin', '2026-04-07T22:00:00.000Z'],
  ['yesterday', 'Europe/Berlin', '2026-04-06T22:00:00.000Z'],
  ['tomorrow', 'Europe/Berlin', '2026-04-08T22:00:00.000Z'],
  ['90m', 'Europe/Berlin', '2026-04-07T22:00:00.000Z'],
  ['24h', 'Europe/Berlin', '2026-04-06T23:30:00.000Z'],
  ['7d', 'UTC', '2026-03-31T00:00:00.000Z'],
  // Before the clocks went forward: a whole local day all the same.
  ['2w', 'Europe/Berlin', '2026-03-24T23:00:00.000Z'],
  ['this-month', 'Europe/Berlin', '2026-03-31T22:00:00.000Z'],
  ['last-month', 'Europe/Berlin', '2026-02-28T23:00:00.000Z'],
  // The hour that the clocks skip, and the one that comes twice.
  ['2026-03-29T02:30', 'Europe/Berlin', '2026-03-29T01:30:00.000Z'],
  ['2026-10-25T02:30', 'Europe/Berlin', '2026-10-25T00:30:00.000Z'],
])('%s in %s is %s', (text, zone, expected) => {
  const ms = parseTime(text, Date.parse(now), zone);
  expect(new Date(ms ?? Number.NaN).toISOString()).toBe(expected);
});

test.each([
  '',
  'soon',
  '7',
  '7 d',
  '-7d',
  '7y',
  '2026-02-30',
  '2026-13-01',
  '2026-01-31T25:00',
  '2026-01-31T10:00[Europe/Berlin]',
  '999999d',
  'constructor',
])('%j is no time', (text) => {
  expect(parseTime(text, Date.parse(now))).toBeUndefined();
});
