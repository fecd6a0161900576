import { parseInstant } from '../../shared/queries/instant.ts';

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

const timestamp = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)\s*([Zz]|UTC|[+-]\d\d:\d\d)?$/;

/**
 * An RFC 3339 date-time, or one as traces have it (`2023-11-16 18:17:03.9799600`, which without a
 * zone is UTC) → milliseconds since 1970, finer digits cut off; undefined for any other text.
 */
export function parseTimestamp(text: string): number | undefined {
  const match = timestamp.exec(text.trim());
  if (match === null) return undefined;
  const [, date, time, zone = 'Z'] = match;
  return parseInstant(`${date}T${time}${zone === 'UTC' ? 'Z' : zone}`);
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
