import { Temporal } from 'temporal-polyfill';
import {
  dayMs,
  type Granularity,
  hourMs,
  type Range,
} from '../../../shared/queries/time-window.ts';
import { dateText, minuteText } from './format.ts';

/** Windows that move along with the clock. */
export const presets = ['24h', '7d', '30d', '90d', 'month', 'last-month', '400d'] as const;
export type Preset = (typeof presets)[number];

export const presetNames: Readonly<Record<Preset, string>> = {
  '24h': 'Last 24 hours',
  '7d': 'Last 7 days',
  '30d': 'Last 30 days',
  '90d': 'Last 90 days',
  month: 'This month',
  'last-month': 'Last month',
  '400d': 'Last 400 days',
};

/** A preset, or two moments. */
export type RangeChoice = { preset: Preset } | Range;

const defaultPreset: Preset = '7d';

/** `range`, or `start` and `end`; the default where they make no sense. */
export function parseRange(query: URLSearchParams): RangeChoice {
  const startMs = Date.parse(query.get('start') ?? '');
  const endMs = Date.parse(query.get('end') ?? '');
  if (startMs < endMs) return { startMs, endMs };
  const given = query.get('range');
  return { preset: presets.find((preset) => preset === given) ?? defaultPreset };
}

/** The parameters that `parseRange` reads back. */
export function rangeParameters(choice: RangeChoice): [name: string, value: string][] {
  if ('preset' in choice) {
    return choice.preset === defaultPreset ? [] : [['range', choice.preset]];
  }
  return [
    ['start', instantText(choice.startMs)],
    ['end', instantText(choice.endMs)],
  ];
}

export function instantText(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

/**
 * The window that is meant now. Presets of days begin at a local midnight and end at the next one,
 * so that today is in them whole; 24 hours are whole hours.
 */
export function resolveRange(choice: RangeChoice, timeZone: string, nowMs: number): Range {
  if (!('preset' in choice)) return choice;
  const now = zoned(nowMs, timeZone);
  const { preset } = choice;
  if (preset === '24h') {
    const hour = now.round({ smallestUnit: 'hour', roundingMode: 'floor' }).add({ hours: 1 });
    return { startMs: hour.subtract({ hours: 24 }).epochMilliseconds, endMs: ms(hour) };
  }
  const tomorrow = now.startOfDay().add({ days: 1 });
  if (preset === 'month' || preset === 'last-month') {
    const first = now.toPlainDate().with({ day: 1 });
    if (preset === 'month') return { startMs: ms(midnight(first, timeZone)), endMs: ms(tomorrow) };
    return {
      startMs: ms(midnight(first.subtract({ months: 1 }), timeZone)),
      endMs: ms(midnight(first, timeZone)),
    };
  }
  const days = Number.parseInt(preset, 10);
  return {
    startMs: ms(midnight(tomorrow.toPlainDate().subtract({ days }), timeZone)),
    endMs: ms(tomorrow),
  };
}

/**
 * The period before a window, to compare with: as many whole local months or days where it is made
 * of such, so that a change of daylight saving shifts nothing, else as long in time.
 *
 * @param nowMs cuts it where a window that is not over yet has come to, so that a day so far is not
 * held against a whole one
 */
export function previousRange(
  range: Range,
  timeZone: string,
  nowMs = Number.POSITIVE_INFINITY,
): Range {
  const back = stepBack(range, timeZone);
  const endMs = range.endMs <= nowMs ? range.startMs : Math.min(back(nowMs), range.startMs);
  return { startMs: back(range.startMs), endMs: Math.floor(endMs / minuteMs) * minuteMs };
}

const minuteMs = 60_000;

/** Moves a moment back by the length of a window. */
function stepBack(range: Range, timeZone: string): (atMs: number) => number {
  const start = zoned(range.startMs, timeZone);
  const end = zoned(range.endMs, timeZone);
  const by = (duration: { months: number } | { days: number }) => (atMs: number) =>
    ms(zoned(atMs, timeZone).subtract(duration));
  if (isMidnight(start) && isMidnight(end)) {
    const from = start.toPlainDate();
    const to = end.toPlainDate();
    if (from.day === 1 && to.day === 1) {
      return by({ months: from.until(to, { largestUnit: 'months' }).months });
    }
    return by({ days: from.until(to, { largestUnit: 'days' }).days });
  }
  return (atMs) => atMs - (range.endMs - range.startMs);
}

/** Hours up to two days, months where days would be more than 400, days between. */
export function autoGranularity({ startMs, endMs }: Range): Granularity {
  if (endMs - startMs <= 2 * dayMs + hourMs) return 'hour';
  return endMs - startMs > 400 * dayMs ? 'month' : 'day';
}

/** A moment as `<input type="datetime-local">` has it, in a zone. */
export function toLocalInput(atMs: number, timeZone: string): string {
  return zoned(atMs, timeZone).toPlainDateTime().toString({ smallestUnit: 'minute' });
}

/** The moment that such an input means in a zone; undefined while it is not filled in. */
export function fromLocalInput(text: string, timeZone: string): number | undefined {
  try {
    return ms(Temporal.PlainDateTime.from(text).toZonedDateTime(timeZone));
  } catch {
    return undefined;
  }
}

function isMidnight(time: Temporal.ZonedDateTime): boolean {
  return time.startOfDay().epochMilliseconds === time.epochMilliseconds;
}

function midnight(date: Temporal.PlainDate, timeZone: string): Temporal.ZonedDateTime {
  return date.toZonedDateTime(timeZone);
}

function ms(time: Temporal.ZonedDateTime): number {
  return time.epochMilliseconds;
}

function zoned(atMs: number, timeZone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timeZone);
}

/** `16 Nov 2026 – 22 Nov 2026` where it is whole days, else with its times. */
export function rangeText({ startMs, endMs }: Range, timeZone: string): string {
  const isDays = [startMs, endMs].every((atMs) => isMidnight(zoned(atMs, timeZone)));
  if (!isDays) return `${minuteText(startMs, timeZone)} – ${minuteText(endMs, timeZone)}`;
  const first = dateText(startMs, timeZone);
  const last = dateText(endMs - 1, timeZone);
  return first === last ? first : `${first} – ${last}`;
}
