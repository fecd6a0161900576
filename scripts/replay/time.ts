import { Temporal } from 'temporal-polyfill';
import { parseInstant } from '../../shared/queries/instant.ts';
import { one, parseExact } from './exact.ts';

export const dayMs = 86_400_000;

/** How times of the file become times of the events. */
export interface Placement {
  /** The file's first readable time, which stretching leaves where it is. */
  firstMs: number;
  shiftDays: number;
  stretch: number;
}

/** Days to move by, or the day (its first moment, UTC) that the first event's day becomes. */
export type Shift = { days: number } | { toDayMs: number };

/** A time of the file. */
export interface RowTime {
  /** Milliseconds since 1970, finer digits cut off. */
  ms: number;
  /** The finer digits, which tell apart what is one moment to an event. */
  finer: string;
  /** False where the zone was taken from the options. */
  hasZone: boolean;
}

const dateTime =
  /^(\d{4}-\d\d-\d\d)(?:[Tt]|\s+)(\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(?:([Zz]|UTC|GMT)|([+-]\d\d)(?::?(\d\d))?(?:\s*UTC)?)?$/;

/** Since 1970 in seconds, milli-, micro- or nanoseconds: how many digits it has tells which. */
const sinceEpoch = /^(\d{9,10}|\d{12,13}|\d{15,16}|\d{18,19})(?:\.(\d+))?$/;

/**
 * A date and time as PostgreSQL, pandas, Python and traces write it (`2023-11-16 18:17:03.9799600`,
 * `2026-11-20 12:47:35+00`, `2026-11-21T12:00Z`), or a time since 1970.
 *
 * @param timeZone of a time that has none
 */
export function parseRowTime(text: string, timeZone: string): RowTime | { fault: string } {
  const match = dateTime.exec(text);
  if (match !== null) {
    const [, date, minutes, seconds = '00', fraction = '', utc, hours, offsetMinutes] = match;
    const moment = `${date}T${minutes}:${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}`;
    const offset = hours === undefined ? utc && 'Z' : `${hours}:${offsetMinutes ?? '00'}`;
    const ms = offset === undefined ? localMs(moment, timeZone) : parseInstant(moment + offset);
    if (ms === undefined) return { fault: noTime(text) };
    if (typeof ms === 'string') return { fault: ms };
    return { ms, finer: finerOf(fraction.slice(3)), hasZone: offset !== undefined };
  }
  const [, digits, fraction = ''] = sinceEpoch.exec(text) ?? [];
  if (digits === undefined) return { fault: noTime(text) };
  // To the whole number of units belong 9 or 10 digits of seconds; of the rest 3 are milliseconds.
  const secondsLength = digits.length - Math.floor((digits.length - 9) / 3) * 3;
  const rest = digits.slice(secondsLength) + fraction;
  const ms = Number(digits.slice(0, secondsLength) + rest.slice(0, 3).padEnd(3, '0'));
  return { ms, finer: finerOf(rest.slice(3)), hasZone: true };
}

const finerOf = (digits: string) => digits.replace(/0+$/, '');

/** A time since the start of the trace, in such units; the trace starts with 1970. */
export function parseRelativeTime(text: string, unitMs: number): RowTime | { fault: string } {
  const amount = parseExact(text);
  if (amount === undefined || amount < 0n) {
    return { fault: `must be a number since the start of the trace, not ${JSON.stringify(text)}` };
  }
  const exactMs = amount * BigInt(unitMs);
  return {
    ms: Number(exactMs / one),
    finer: finerOf(String(exactMs % one).padStart(30, '0')),
    hasZone: true,
  };
}

/** The moment in UTC, or why there is none or more than one. */
function localMs(moment: string, timeZone: string): number | string | undefined {
  const utcMs = parseInstant(`${moment}Z`);
  if (timeZone === 'UTC' || utcMs === undefined) return utcMs;
  try {
    return Temporal.PlainDateTime.from(moment).toZonedDateTime(timeZone, {
      disambiguation: 'reject',
    }).epochMilliseconds;
  } catch {
    return `the clocks of ${timeZone} show ${moment} twice or never: give the time with its offset`;
  }
}

function noTime(text: string): string {
  const shown = JSON.stringify(text.slice(0, 60));
  if (/^\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b/.test(text)) {
    return `may be month or day first, ${shown}: write it as 2026-01-31T12:00:00Z`;
  }
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return `must have a time of day, not ${shown} alone`;
  return `must be a date and time, not ${shown}`;
}

/** `yesterday` or `2026-01-31` → that day's first moment in UTC, undefined for any other text. */
export function parseDay(text: string, nowMs: number): number | undefined {
  if (text === 'yesterday') return (Math.floor(nowMs / dayMs) - 1) * dayMs;
  return parseInstant(`${text}T00:00:00Z`);
}

/** Whole days, so that every hour of the day keeps its place. */
export function shiftDaysOf(shift: Shift, firstMs: number): number {
  if ('days' in shift) return shift.days;
  return shift.toDayMs / dayMs - Math.floor(firstMs / dayMs);
}

/** Where an event comes to lie. The order of events stays, and so do their milliseconds. */
export function placed(ms: number, { firstMs, shiftDays, stretch }: Placement): number {
  return firstMs + shiftDays * dayMs + Math.round((ms - firstMs) * stretch);
}
