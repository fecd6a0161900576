import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { parseInstant } from '../../shared/queries/instant.ts';

/** What may be given for a time, for the end of a sentence that says that something else was. */
export const timeForms =
  'an RFC 3339 date-time, a date such as 2026-01-31, today, yesterday, this-month, last-month, ' +
  'now, or how long ago such as 90m, 24h, 7d or 2w';

const ago = /^(\d{1,5})(m|h|d|w)$/;
const minutes = { m: 1, h: 60 } as const;
const localDateTime = /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?)?$/;

/**
 * A time as people give it → milliseconds since 1970, undefined for any other text. Minutes and
 * hours count back from now; days, weeks and months are whole ones of the zone: `7d` is the local
 * midnight seven days ago. A date, or a date-time without a zone, is one of the zone too.
 */
export function parseTime(text: string, nowMs: number, timeZone = 'UTC'): number | undefined {
  const instantMs = parseInstant(text);
  if (instantMs !== undefined) return instantMs;
  const startOf = (date: Temporal.PlainDate) => date.toZonedDateTime(timeZone).epochMilliseconds;
  const today = Temporal.Instant.fromEpochMilliseconds(nowMs)
    .toZonedDateTimeISO(timeZone)
    .toPlainDate();
  switch (text) {
    case 'now':
      return nowMs;
    case 'today':
      return startOf(today);
    case 'yesterday':
      return startOf(today.subtract({ days: 1 }));
    case 'tomorrow':
      return startOf(today.add({ days: 1 }));
    case 'this-month':
      return startOf(today.with({ day: 1 }));
    case 'last-month':
      return startOf(today.with({ day: 1 }).subtract({ months: 1 }));
  }
  const [, amount, unit] = ago.exec(text) ?? [];
  if (unit === 'm' || unit === 'h') return nowMs - Number(amount) * minutes[unit] * 60_000;
  if (unit === 'd') return startOf(today.subtract({ days: Number(amount) }));
  if (unit === 'w') return startOf(today.subtract({ weeks: Number(amount) }));
  return localDateTime.test(text) ? zonedTime(text, timeZone) : undefined;
}

/** Of a time that the clocks skip, as much later as they skip; of one that comes twice, the first. */
function zonedTime(text: string, timeZone: string): number | undefined {
  try {
    const isDate = text.length === 'yyyy-mm-dd'.length;
    return isDate
      ? Temporal.PlainDate.from(text).toZonedDateTime(timeZone).epochMilliseconds
      : Temporal.PlainDateTime.from(text).toZonedDateTime(timeZone).epochMilliseconds;
  } catch {
    return undefined;
  }
}

/** A time of the command line, in UTC, as milliseconds since 1970. */
export const timeOption = z.string().transform((text, context) => {
  const ms = parseTime(text, Date.now());
  if (ms !== undefined) return ms;
  context.addIssue({ code: 'custom', message: `must be ${timeForms}` });
  return z.NEVER;
});
