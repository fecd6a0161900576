import { Temporal } from 'temporal-polyfill';
import { ServiceError } from '../platform/errors.ts';

export const granularities = ['hour', 'day', 'month'] as const;
export type Granularity = (typeof granularities)[number];

/** Half-open, in milliseconds since 1970. */
export interface Range {
  startMs: number;
  endMs: number;
}

export interface TimeWindow extends Range {
  granularity: Granularity;
  /** IANA name, or an offset such as +05:30. */
  timeZone: string;
}

/**
 * How a window is answered exactly, whatever its edges (DESIGN 7). An hour is clean when it lies
 * wholly inside the window and inside one local bucket. `daily` less `less`, `hourly` and `raw` are
 * disjoint and together are the window; batches not yet folded are added from raw rows in clean
 * hours.
 */
export interface WindowPlan {
  window: TimeWindow;
  /** Where each local bucket that the window touches begins, ascending; the first may be before it. */
  bucketStarts: readonly number[];
  /** Whole UTC days, to be read from the daily rollup, each for the bucket that holds its noon. */
  daily: readonly Range[];
  /** Hours of those days that are not of that bucket and window, to be taken off again. */
  less: readonly HoursLess[];
  /** Clean hours that those days leave, to be read from the hourly rollup. */
  hourly: readonly Range[];
  /** The rest, to be read from raw rows. */
  raw: readonly Range[];
  /** From the first clean hour to the last; empty when there is none. */
  clean: Range;
  /** Hours between those two that are not clean. */
  uncleanHours: readonly number[];
}

/** Hours to be taken off a bucket, by its number from 1. */
export interface HoursLess extends Range {
  bucket: number;
}

export const hourMs = 3_600_000;
export const dayMs = 86_400_000;
export const windowMaxDays = 400;
export const pointsMax = 10_000;
const fractionalZoneHourlyMaxDays = 7;

const timeZoneForm = /^([A-Za-z][\w+/-]*|[+-]\d\d(:?\d\d)?)$/;

/** Whether this runtime knows the zone. Temporal would take the zone out of a date-time too. */
export function isTimeZone(timeZone: string): boolean {
  if (!timeZoneForm.test(timeZone)) return false;
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(timeZone);
    return true;
  } catch {
    return false;
  }
}

/**
 * Plans a window with start < end.
 *
 * @param anyHours allows hours of fractional zones over the whole window, for answers that nobody
 * waits for
 * @throws ServiceError `invalid_request` when it has more than 10,000 buckets, or would read raw
 * rows for every hour of more than 7 days.
 */
export function planWindow(window: TimeWindow, { anyHours = false } = {}): WindowPlan {
  const { startMs, endMs, granularity } = window;
  const bucketStarts = localBuckets(window);
  if (bucketStarts.length > pointsMax) throw tooManyPoints(bucketStarts.length);
  if (
    !anyHours &&
    granularity === 'hour' &&
    endMs - startMs > fractionalZoneHourlyMaxDays * dayMs &&
    bucketStarts.some((ms) => ms % hourMs !== 0)
  ) {
    const detail =
      `hours in ${window.timeZone}, which is not a whole number of hours from UTC, can be asked ` +
      `for at most ${fractionalZoneHourlyMaxDays} days: shorten the window or use granularity=day`;
    throw new ServiceError('invalid_request', detail, [{ path: 'granularity', message: detail }]);
  }
  const edges = [...bucketStarts.filter((ms) => ms > startMs), startMs, endMs].sort(
    (a, b) => a - b,
  );
  const uncleanHours = floors(edges, hourMs);
  const clean = {
    startMs: Math.ceil(startMs / hourMs) * hourMs,
    endMs: Math.floor(endMs / hourMs) * hourMs,
  };
  const days = mostlyOneBucket(bucketStarts, window);
  const taken = [
    ...uncleanHours.map((ms) => ({ startMs: ms, endMs: ms + hourMs })),
    ...days.map(({ startMs, endMs }) => ({ startMs, endMs })),
  ].sort((a, b) => a.startMs - b.startMs);
  return {
    window,
    bucketStarts,
    daily: joined(days.map(({ dayStartMs: ms }) => ({ startMs: ms, endMs: ms + dayMs }))),
    less: days.flatMap(hoursLess),
    hourly: without(clean, taken),
    raw: rawRanges(uncleanHours, window),
    clean,
    uncleanHours: uncleanHours.filter((ms) => ms >= clean.startMs && ms < clean.endMs),
  };
}

export function tooManyPoints(count: number): ServiceError {
  const detail =
    `the answer has ${count > pointsMax ? 'more than ' : ''}${pointsMax} points: shorten the ` +
    'window, take a coarser granularity, or group by less';
  return new ServiceError('invalid_request', detail, [{ path: 'granularity', message: detail }]);
}

/** A time as RFC 3339 with the zone's own offset. */
export function localTime(ms: number, timeZone: string): string {
  if (timeZone === 'UTC') return new Date(ms).toISOString().replace('.000Z', 'Z');
  return Temporal.Instant.fromEpochMilliseconds(ms)
    .toZonedDateTimeISO(timeZone)
    .toString({ timeZoneName: 'never' });
}

/** The whole steps that have an edge strictly inside, ascending, each once. */
function floors(edges: readonly number[], stepMs: number): number[] {
  const found = edges
    .filter((ms) => ms % stepMs !== 0)
    .map((ms) => Math.floor(ms / stepMs) * stepMs);
  return found.filter((ms, index) => ms !== found[index - 1]);
}

/** Most of a UTC day's hours: those of one bucket, by its number from 1, and of the window. */
interface DayPart extends HoursLess {
  dayStartMs: number;
}

/**
 * The UTC days of which more hours belong to one bucket than do not, and which. Such a day is its
 * row in the daily rollup less the other hours. A local day of New York, which is four or five hours
 * of one UTC day and the rest of another, so takes ten hourly rows at most in place of twenty-four.
 */
function mostlyOneBucket(
  bucketStarts: readonly number[],
  { startMs, endMs, granularity }: TimeWindow,
): DayPart[] {
  const parts: DayPart[] = [];
  if (granularity === 'hour') return parts;
  let bucket = 1;
  for (let day = Math.floor(startMs / dayMs) * dayMs; day < endMs; day += dayMs) {
    // More than half of a day, if it is one stretch, holds its noon.
    while ((bucketStarts[bucket] ?? endMs) <= day + dayMs / 2 && bucket < bucketStarts.length) {
      bucket += 1;
    }
    const fromMs = Math.max(day, startMs, bucketStarts[bucket - 1] ?? startMs);
    const toMs = Math.min(day + dayMs, endMs, bucketStarts[bucket] ?? endMs);
    const part = {
      startMs: Math.ceil(fromMs / hourMs) * hourMs,
      endMs: Math.floor(toMs / hourMs) * hourMs,
    };
    if (part.endMs - part.startMs > dayMs / 2) parts.push({ ...part, dayStartMs: day, bucket });
  }
  return parts;
}

function hoursLess({ dayStartMs, startMs, endMs, bucket }: DayPart): HoursLess[] {
  return [
    { startMs: dayStartMs, endMs: startMs, bucket },
    { startMs: endMs, endMs: dayStartMs + dayMs, bucket },
  ].filter((range) => range.startMs < range.endMs);
}

/** What is left of a range without others, which are ascending and apart. */
function without(range: Range, taken: readonly Range[]): Range[] {
  const left: Range[] = [];
  let { startMs } = range;
  for (const hole of taken) {
    if (hole.endMs <= range.startMs || hole.startMs >= range.endMs) continue;
    if (hole.startMs > startMs) left.push({ startMs, endMs: hole.startMs });
    startMs = hole.endMs;
  }
  if (startMs < range.endMs) left.push({ startMs, endMs: range.endMs });
  return left;
}

/** Ascending ranges, joined where they touch. */
function joined(ranges: readonly Range[]): Range[] {
  const found: Range[] = [];
  for (const { startMs, endMs } of ranges) {
    const last = found.at(-1);
    if (last?.endMs === startMs) last.endMs = endMs;
    else found.push({ startMs, endMs });
  }
  return found;
}

function rawRanges(uncleanHours: readonly number[], window: Range): Range[] {
  return joined(
    uncleanHours.map((hour) => ({
      startMs: Math.max(hour, window.startMs),
      endMs: Math.min(hour + hourMs, window.endMs),
    })),
  );
}

/** Where each local bucket of a plan ends, which is where the next begins. */
export function bucketEnds({ bucketStarts, window }: WindowPlan): number[] {
  const last = bucketStarts.at(-1) ?? window.startMs;
  // No bucket is longer than a month of 31 days and an hour of summer time given back.
  const [, end = window.endMs] = localBuckets({
    ...window,
    startMs: last,
    endMs: last + 32 * dayMs,
  });
  return [...bucketStarts.slice(1), end];
}

/** The local month that a moment is in. */
export function localMonth(ms: number, timeZone: string): Range {
  const first = zoned(ms, timeZone).toPlainDate().with({ day: 1 });
  return {
    startMs: first.toZonedDateTime(timeZone).epochMilliseconds,
    endMs: first.add({ months: 1 }).toZonedDateTime(timeZone).epochMilliseconds,
  };
}

/**
 * The starts of all local buckets that a window touches. Computed here alone and handed to SQL as
 * values: two time zone databases would not always agree.
 */
function localBuckets({ startMs, endMs, granularity, timeZone }: TimeWindow): number[] {
  if (granularity === 'hour') {
    // From well before, since the bucket that holds the start may begin at a change of the clocks.
    const hours = localHours(startMs - leadMs, endMs, timeZone);
    return hours.slice(hours.findLastIndex((ms) => ms <= startMs));
  }
  const starts: number[] = [];
  let date = zoned(startMs, timeZone).toPlainDate();
  if (granularity === 'month') date = date.with({ day: 1 });
  const step = granularity === 'day' ? { days: 1 } : { months: 1 };
  for (;;) {
    // Where midnight is skipped, the day begins at its first moment.
    const ms = date.toZonedDateTime(timeZone).epochMilliseconds;
    if (ms >= endMs || starts.length > pointsMax) return starts;
    // A day that a zone left out (Apia, 30 December 2011) begins with the next one.
    if (ms !== starts.at(-1)) starts.push(ms);
    date = date.add(step);
  }
}

/** Longer than any local hour: where clocks go back by half an hour, one lasts 90 minutes. */
const leadMs = 2 * hourMs;

/**
 * Between two changes of the zone's offset local hours are whole steps. A change begins a new
 * bucket where the clock shows another hour after it (or the same hour a second time).
 */
function localHours(startMs: number, endMs: number, timeZone: string): number[] {
  const starts: number[] = [];
  const most = pointsMax + 2 * (leadMs / hourMs);
  const offsetAt = (ms: number) => zoned(ms, timeZone).offsetNanoseconds / 1e6;
  const add = (fromMs: number, toMs: number, offsetMs: number) => {
    const first = Math.ceil((fromMs + offsetMs) / hourMs) * hourMs - offsetMs;
    for (let ms = first; ms < toMs && starts.length <= most; ms += hourMs) starts.push(ms);
  };
  let offsetMs = offsetAt(startMs);
  let fromMs = Math.floor((startMs + offsetMs) / hourMs) * hourMs - offsetMs;
  for (;;) {
    const change = zoned(Math.max(fromMs, startMs), timeZone).getTimeZoneTransition('next');
    const changeMs = change?.epochMilliseconds ?? Number.POSITIVE_INFINITY;
    add(fromMs, Math.min(changeMs, endMs), offsetMs);
    if (changeMs >= endMs || starts.length > most) return starts;
    const hourBefore = Math.floor((changeMs - 1 + offsetMs) / hourMs);
    offsetMs = offsetAt(changeMs);
    const isWhole = (changeMs + offsetMs) % hourMs === 0;
    if (!isWhole && Math.floor((changeMs + offsetMs) / hourMs) !== hourBefore) {
      starts.push(changeMs);
    }
    fromMs = changeMs;
  }
}

function zoned(ms: number, timeZone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone);
}
