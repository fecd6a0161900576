import { expect, test } from 'vitest';
import { pingSource } from './manifests.ts';
import { scheduleOf } from './ping-source.ts';

const source = (schedule: string, timezone?: string) =>
  pingSource.parse({
    metadata: { name: 'refresh' },
    spec: { schedule, timezone, sink: { ref: { kind: 'Service', name: 'refresh' } } },
  });

/** The next three times after one. */
function times(schedule: string, after: string, timezone?: string): string[] {
  const next = scheduleOf(source(schedule, timezone));
  const found: string[] = [];
  for (let at = next(Date.parse(after)); at !== null && found.length < 3; at = next(at)) {
    found.push(new Date(at).toISOString());
  }
  return found;
}

test('a schedule is of UTC unless it names a zone', () => {
  expect(times('* * * * *', '2026-11-26T20:00:30Z')).toEqual([
    '2026-11-26T20:01:00.000Z',
    '2026-11-26T20:02:00.000Z',
    '2026-11-26T20:03:00.000Z',
  ]);
  expect(times('17 0 3-5 * *', '2026-11-26T20:00:00Z')).toEqual([
    '2026-12-03T00:17:00.000Z',
    '2026-12-04T00:17:00.000Z',
    '2026-12-05T00:17:00.000Z',
  ]);
});

test('a zone is followed over a change of its clocks', () => {
  expect(times('0 9 * * *', '2026-10-24T00:00:00Z', 'Europe/Berlin')).toEqual([
    '2026-10-24T07:00:00.000Z',
    '2026-10-25T08:00:00.000Z',
    '2026-10-26T08:00:00.000Z',
  ]);
});

test('a leading field of seconds is taken', () => {
  expect(times('*/20 * * * * *', '2026-11-26T20:00:30Z')[0]).toBe('2026-11-26T20:00:40.000Z');
});

test('a schedule or zone that cannot be read is refused by the name of its source', () => {
  expect(() => scheduleOf(source('every minute'))).toThrow('PingSource refresh: ');
  expect(() => scheduleOf(source('* * * * *', 'Mars/Olympus'))).toThrow('PingSource refresh: ');
});
