import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ServiceError } from '../platform/errors.ts';
import {
  dayMs,
  type Granularity,
  granularities,
  hourMs,
  isTimeZone,
  localTime,
  planWindow,
  pointsMax,
  type Range,
  type TimeWindow,
  type WindowPlan,
} from './time-window.ts';

const quarterMs = hourMs / 4;
const zones = [
  'UTC',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'Asia/Kathmandu',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'Europe/Berlin',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
];

/** What a clock on the wall of the zone shows: of ICU, not of the library that the code asks. */
function wallClock(
  timeZone: string,
): (ms: number) => Record<'month' | 'day' | 'hour', string> & { minute: string } {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (ms) => {
    // 2026-03-08, 02:30
    const text = format.format(ms);
    const [date = '', time = ''] = text.split(', ');
    return {
      month: date.slice(0, 7),
      day: date,
      hour: `${date} ${time.slice(0, 2)}`,
      minute: time.slice(3),
    };
  };
}

/**
 * Where buckets begin, by watching the clock every quarter of an hour, at which alone zones have
 * changed since 2012: where it shows another month, day or hour, and for hours also where it shows
 * a full one, since an hour may come twice.
 */
function watchedBuckets({ startMs, endMs, granularity, timeZone }: TimeWindow): number[] {
  const clock = wallClock(timeZone);
  const starts: number[] = [];
  const begins = (ms: number) =>
    clock(ms)[granularity] !== clock(ms - 1)[granularity] ||
    (granularity === 'hour' && clock(ms).minute === '00');
  let first = Math.floor(startMs / quarterMs) * quarterMs;
  while (!begins(first)) first -= quarterMs;
  starts.push(first);
  for (let ms = Math.floor(startMs / quarterMs + 1) * quarterMs; ms < endMs; ms += quarterMs) {
    if (begins(ms)) starts.push(ms);
  }
  return starts;
}

const window: fc.Arbitrary<TimeWindow> = fc
  .record({
    granularity: fc.constantFrom(...granularities),
    timeZone: fc.constantFrom(...zones),
    startMs: fc.integer({
      min: Date.parse('2012-02-01T00:00:00Z'),
      max: Date.parse('2030-01-01T00:00:00Z'),
    }),
    edge: fc.constantFrom(1, 60_000, quarterMs, hourMs, dayMs),
    length: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ startMs, edge, length, granularity, timeZone }) => {
    const start = Math.floor(startMs / edge) * edge;
    const lengthMs = 1 + length ** 3 * maxLengthMs[granularity];
    const endMs = Math.max(start + 1, Math.ceil((start + lengthMs) / edge) * edge);
    return {
      startMs: start,
      endMs: Math.min(endMs, start + maxLengthMs[granularity]),
      granularity,
      timeZone,
    };
  });
const maxLengthMs: Record<Granularity, number> = {
  hour: 7 * dayMs,
  day: 12 * dayMs,
  month: 70 * dayMs,
};

function covered(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
}

/** A plan's ranges in pieces of one hour, or less, each of one bucket, with the sign it counts by. */
function pieces(
  plan: WindowPlan,
): { startMs: number; endMs: number; bucket: number; sign: number }[] {
  const bucketAt = (ms: number) => plan.bucketStarts.findLastIndex((start) => start <= ms) + 1;
  const found: ReturnType<typeof pieces> = [];
  const add = (ranges: readonly Range[], sign: number, bucketOf: (ms: number) => number) => {
    for (const range of ranges) {
      for (let ms = range.startMs; ms < range.endMs; ) {
        const endMs = Math.min(Math.floor(ms / hourMs + 1) * hourMs, range.endMs);
        found.push({ startMs: ms, endMs, bucket: bucketOf(ms), sign });
        ms = endMs;
      }
    }
  };
  add(plan.daily, 1, (ms) => bucketAt((Math.floor(ms / dayMs) + 0.5) * dayMs));
  for (const { bucket, ...range } of plan.less) add([range], -1, () => bucket);
  add(plan.hourly, 1, bucketAt);
  // Raw rows are told apart one by one.
  for (const range of plan.raw) {
    const edges = plan.bucketStarts.filter((ms) => ms > range.startMs && ms < range.endMs);
    for (const [index, startMs] of [range.startMs, ...edges].entries()) {
      add([{ startMs, endMs: edges[index] ?? range.endMs }], 1, bucketAt);
    }
  }
  return found;
}

test('daily less other hours, hourly and raw give each moment of the window once, to its own bucket', () => {
  fc.assert(
    fc.property(window, (asked) => {
      const plan = planWindow(asked);
      const counted = new Map<string, number>();
      for (const { startMs, endMs, bucket, sign } of pieces(plan)) {
        const key = `${bucket}/${startMs}/${endMs}`;
        counted.set(key, (counted.get(key) ?? 0) + sign);
      }
      const once: Range[] = [];
      for (const [key, times] of counted) {
        const [bucket = 0, startMs = 0, endMs = 0] = key.split('/').map(Number);
        if (times === 0) continue;
        expect(times).toBe(1);
        expect(startMs).toBeGreaterThanOrEqual(plan.bucketStarts[bucket - 1] ?? Number.NaN);
        expect(endMs).toBeLessThanOrEqual(plan.bucketStarts[bucket] ?? asked.endMs);
        once.push({ startMs, endMs });
      }
      let atMs = asked.startMs;
      for (const { startMs, endMs } of once.sort((a, b) => a.startMs - b.startMs)) {
        expect(startMs).toBe(atMs);
        atMs = endMs;
      }
      expect(atMs).toBe(asked.endMs);
    }),
    { numRuns: 1_000 },
  );
});

test('fewer hours are taken off a day than it keeps', () => {
  fc.assert(
    fc.property(window, (asked) => {
      const { daily, less } = planWindow(asked);
      const byDay = new Map<number, number>();
      for (const { startMs, endMs } of less) {
        const day = Math.floor(startMs / dayMs) * dayMs;
        expect(endMs).toBeLessThanOrEqual(day + dayMs);
        expect(daily.some((range) => range.startMs <= day && range.endMs > day)).toBe(true);
        byDay.set(day, (byDay.get(day) ?? 0) + endMs - startMs);
      }
      for (const lessMs of byDay.values()) expect(lessMs).toBeLessThan(dayMs / 2);
    }),
    { numRuns: 1_000 },
  );
});

test('what is read from rollups are whole UTC days, and hours that are each within one bucket', () => {
  fc.assert(
    fc.property(window, (asked) => {
      const plan = planWindow(asked);
      const inner = plan.bucketStarts.slice(1);
      for (const [ranges, stepMs] of [
        [plan.daily, dayMs],
        [plan.hourly, hourMs],
        [plan.less, hourMs],
      ] as const) {
        for (const { startMs, endMs } of ranges) {
          expect(endMs).toBeGreaterThan(startMs);
          expect([startMs % stepMs, endMs % stepMs]).toEqual([0, 0]);
        }
      }
      for (const { startMs, endMs } of plan.hourly) {
        for (let ms = startMs; ms < endMs; ms += hourMs) {
          expect(inner.some((edge) => edge > ms && edge < ms + hourMs)).toBe(false);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test('an hour is clean or named unclean: raw ranges lie in unclean hours and at the edges alone', () => {
  fc.assert(
    fc.property(window, (asked) => {
      const { clean, uncleanHours, raw, daily, less, hourly } = planWindow(asked);
      expect(clean.startMs % hourMs).toBe(0);
      expect(clean.endMs % hourMs).toBe(0);
      const unclean = new Set(uncleanHours);
      expect(unclean.size).toBe(uncleanHours.length);
      for (const { startMs, endMs } of raw) {
        for (let ms = startMs; ms < endMs; ms = Math.floor(ms / hourMs + 1) * hourMs) {
          const hour = Math.floor(ms / hourMs) * hourMs;
          const isInside = hour >= clean.startMs && hour < clean.endMs;
          expect(unclean.has(hour)).toBe(isInside);
        }
      }
      // Pending batches are added from `clean` without the unclean hours: just the rollups' part.
      const cleanMs = Math.max(0, clean.endMs - clean.startMs) - unclean.size * hourMs;
      expect(cleanMs).toBe(covered(daily) - covered(less) + covered(hourly));
    }),
    { numRuns: 1_000 },
  );
});

test('buckets are strictly ascending and those that a clock on the wall shows', () => {
  fc.assert(
    fc.property(window, (asked) => {
      const { bucketStarts } = planWindow(asked);
      for (const [index, ms] of bucketStarts.entries()) {
        if (index > 0) expect(ms).toBeGreaterThan(bucketStarts[index - 1] ?? 0);
      }
      expect(bucketStarts).toEqual(watchedBuckets(asked));
    }),
    { numRuns: 400 },
  );
});

test.each(zones)('a month around every change of the clocks of %s since 2012', (timeZone) => {
  for (const month of [
    '2013-10',
    '2014-02',
    '2016-04',
    '2018-11',
    '2021-04',
    '2025-03',
    '2026-11',
  ]) {
    const startMs = Date.parse(`${month}-01T00:00:00Z`);
    for (const [granularity, days] of [
      ['hour', 7],
      ['day', 33],
      ['month', 70],
    ] as const) {
      for (let from = 0; from < 30; from += granularity === 'hour' ? 7 : 40) {
        const first = startMs + from * dayMs;
        const asked = { startMs: first, endMs: first + days * dayMs, granularity, timeZone };
        expect(planWindow(asked).bucketStarts).toEqual(watchedBuckets(asked));
      }
    }
  }
});

const plan = (granularity: Granularity, timeZone: string, start: string, end: string) =>
  planWindow({ startMs: Date.parse(start), endMs: Date.parse(end), granularity, timeZone });
const steps = (starts: readonly number[]) =>
  starts.slice(1).map((ms, index) => (ms - (starts[index] ?? 0)) / hourMs);

describe('days when the clocks change', () => {
  test.each([
    ['America/New_York', '2026-03-07T05:00:00Z', '2026-03-10T04:00:00Z', [24, 23]],
    ['America/New_York', '2026-10-31T04:00:00Z', '2026-11-03T05:00:00Z', [24, 25]],
    ['Australia/Lord_Howe', '2026-10-02T13:30:00Z', '2026-10-05T13:00:00Z', [24, 23.5]],
    ['Australia/Lord_Howe', '2026-04-03T13:00:00Z', '2026-04-06T13:30:00Z', [24, 24.5]],
    ['Pacific/Chatham', '2026-09-25T11:15:00Z', '2026-09-28T10:15:00Z', [24, 23]],
    // Midnight itself is skipped: the day begins at one o'clock.
    ['America/Sao_Paulo', '2018-11-03T03:00:00Z', '2018-11-06T02:00:00Z', [24, 23]],
  ])('%s from %s', (timeZone, start, end, hours) => {
    expect(steps(plan('day', timeZone, start, end).bucketStarts)).toEqual(hours);
  });

  test('an hour that comes twice is two buckets, one that is skipped is none', () => {
    const back = plan('hour', 'America/New_York', '2026-11-01T04:00:00Z', '2026-11-01T08:00:00Z');
    const shown = back.bucketStarts.map((ms) => localTime(ms, 'America/New_York').slice(11));
    expect(shown).toEqual(['00:00:00-04:00', '01:00:00-04:00', '01:00:00-05:00', '02:00:00-05:00']);
    const forth = plan('hour', 'America/New_York', '2026-03-08T06:00:00Z', '2026-03-08T08:00:00Z');
    expect(forth.bucketStarts.map((ms) => localTime(ms, 'America/New_York').slice(11))).toEqual([
      '01:00:00-05:00',
      '03:00:00-04:00',
    ]);
  });

  test.each([
    // From 02:45 to 03:45: the hour of three begins at a quarter to four.
    ['Pacific/Chatham', '2022-09-24T14:00:00Z', '2022-09-24T14:00:00Z'],
    ['Pacific/Chatham', '2022-09-24T14:10:00Z', '2022-09-24T14:00:00Z'],
    // From 02:00 back to 01:30: the hour of one goes on.
    ['Australia/Lord_Howe', '2026-04-04T15:10:00Z', '2026-04-04T14:00:00Z'],
  ])('in %s the hour that holds %s begins at %s', (timeZone, start, begins) => {
    const { bucketStarts } = plan('hour', timeZone, start, start.replace('0Z', '1Z'));
    expect(bucketStarts).toEqual([Date.parse(begins)]);
  });

  test('a day that a zone left out is no bucket', () => {
    const { bucketStarts } = plan(
      'day',
      'Pacific/Apia',
      '2011-12-29T00:00:00Z',
      '2012-01-02T00:00:00Z',
    );
    expect(bucketStarts.map((ms) => localTime(ms, 'Pacific/Apia').slice(0, 10))).toEqual([
      '2011-12-28',
      '2011-12-29',
      '2011-12-31',
      '2012-01-01',
      '2012-01-02',
    ]);
  });
});

describe('what is read where', () => {
  test('whole UTC days come from the daily rollup alone', () => {
    const { daily, less, hourly, raw, bucketStarts } = plan(
      'day',
      'UTC',
      '2026-01-01T00:00:00Z',
      '2026-02-01T00:00:00Z',
    );
    expect(bucketStarts).toHaveLength(31);
    expect(covered(daily)).toBe(31 * dayMs);
    expect([less, hourly, raw]).toEqual([[], [], []]);
  });

  test('a day of a zone is a UTC day less its first hours and with those of the next', () => {
    const { daily, less, hourly, raw } = plan(
      'day',
      'America/New_York',
      '2026-06-01T04:00:00Z',
      '2026-06-04T04:00:00Z',
    );
    expect(covered(daily)).toBe(3 * dayMs);
    expect(less.map(({ bucket, startMs, endMs }) => [bucket, (endMs - startMs) / hourMs])).toEqual([
      [1, 4],
      [2, 4],
      [3, 4],
    ]);
    expect(covered(hourly)).toBe(3 * 4 * hourMs);
    expect(raw).toEqual([]);
  });

  test('months of a zone need hours at their edges alone', () => {
    const { daily, less, hourly, raw } = plan(
      'month',
      'Europe/Berlin',
      '2025-12-31T23:00:00Z',
      '2026-03-31T22:00:00Z',
    );
    // The last hour of each month is the first of the next: of December, January and February.
    expect(covered(hourly)).toBe(3 * hourMs);
    // Of January and February, and of March, which ends in summer time.
    expect(less.map((range) => (range.endMs - range.startMs) / hourMs)).toEqual([1, 1, 2]);
    expect(covered(daily)).toBe(90 * dayMs);
    expect(raw).toEqual([]);
  });

  test('midnights at :15 need one raw hour a day', () => {
    const { raw } = plan('day', 'Asia/Kathmandu', '2026-01-01T00:00:00Z', '2026-01-08T00:00:00Z');
    expect(covered(raw)).toBe(7 * hourMs);
  });

  test('less than an hour is read raw', () => {
    const { raw, clean } = plan('day', 'UTC', '2026-01-01T00:10:00Z', '2026-01-01T00:20:00Z');
    expect(covered(raw)).toBe(600_000);
    expect(clean.endMs).toBeLessThanOrEqual(clean.startMs);
  });
});

describe('limits', () => {
  const start = Date.parse('2026-01-01T00:00:00Z');
  // Winter on Lord Howe, half an hour from whole ones; in summer it has whole hours.
  const june = Date.parse('2026-06-01T00:00:00Z');

  test('10,000 buckets are planned, one more is told to narrow the window', () => {
    const hours = (count: number) => ({
      startMs: start,
      endMs: start + count * hourMs,
      granularity: 'hour' as const,
      timeZone: 'UTC',
    });
    expect(planWindow(hours(pointsMax)).bucketStarts).toHaveLength(pointsMax);
    expect(() => planWindow(hours(pointsMax + 1))).toThrow(/more than 10000 points: shorten/);
    expect(() => planWindow({ ...hours(1), endMs: Number.MAX_SAFE_INTEGER / 8 })).toThrow(
      ServiceError,
    );
  });

  test.each(['Asia/Kathmandu', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/St_Johns'])(
    'hours in %s are planned for 7 days, and not longer',
    (timeZone) => {
      const days = (count: number) => ({
        startMs: june,
        endMs: june + count * dayMs,
        granularity: 'hour' as const,
        timeZone,
      });
      expect(planWindow(days(7)).bucketStarts.length).toBeGreaterThan(0);
      expect(() => planWindow({ ...days(7), endMs: june + 7 * dayMs + 1 })).toThrow(
        /at most 7 days/,
      );
      expect(planWindow({ ...days(60), granularity: 'day' }).bucketStarts.length).toBeGreaterThan(
        59,
      );
    },
  );
});

test('a time is written with the zone’s own offset', () => {
  const ms = Date.parse('2026-07-01T00:00:00Z');
  expect(localTime(ms, 'UTC')).toBe('2026-07-01T00:00:00Z');
  expect(localTime(ms + 5, 'UTC')).toBe('2026-07-01T00:00:00.005Z');
  expect(localTime(ms, 'America/St_Johns')).toBe('2026-06-30T21:30:00-02:30');
  fc.assert(
    fc.property(fc.constantFrom(...zones), fc.integer({ min: 1.3e12, max: 2e12 }), (zone, at) => {
      expect(Date.parse(localTime(at, zone))).toBe(at);
    }),
  );
});

test('a zone is an IANA name that is known', () => {
  for (const zone of zones) expect(isTimeZone(zone)).toBe(true);
  for (const zone of ['', 'Mars/Olympus', 'UTC+1', ' UTC', 'Europe', "x'; drop"]) {
    expect(isTimeZone(zone)).toBe(false);
  }
});
