import type { Granularity } from '../../../shared/queries/time-window.ts';

/** How numbers and times are written. The page is in English; the time zone is the view's. */

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export function countText(count: number): string {
  return whole.format(count);
}

export function shortCountText(count: number): string {
  return short.format(count);
}

/** 0.038203 → `3.82%`; small ones with one more place, and `< 0.001%` for what that would hide. */
export function percentText(rate: number): string {
  if (rate > 0 && rate < 0.000_005) return '< 0.001%';
  return `${(rate * 100).toFixed(rate !== 0 && rate < 0.001 ? 3 : 2)}%`;
}

export function latencyText(ms: number | null): string {
  if (ms === null) return '–';
  // A decimal is there where a whole number would be further off than 2%.
  if (ms < 1_000) return `${whole.format(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${(ms / 60_000).toFixed(1)} min`;
}

export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `12 s`, `3 min`, `2 h`, `5 days` */
export function spanText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** How much more or less than before; null where there was nothing before. */
export function changeOf(now: number, before: number): number | null {
  return before === 0 ? null : (now - before) / before;
}

/** `+12.3%`, `−4.0%` */
export function changeText(change: number): string {
  const percent = Math.abs(change) * 100;
  const text = percent >= 1_000 ? short.format(percent) : percent.toFixed(1);
  const sign = text === '0.0' ? '±' : change > 0 ? '+' : '−';
  return `${sign}${text}%`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(timeZone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${timeZone} ${Object.entries(options).flat()}`;
  let found = formats.get(key);
  if (found === undefined) {
    found = new Intl.DateTimeFormat('en-GB', { timeZone, ...options });
    formats.set(key, found);
  }
  return found;
}

/** `16 Nov 2026, 14:03:12` */
export function timeText(ms: number, timeZone: string): string {
  return format(timeZone, { dateStyle: 'medium', timeStyle: 'medium' }).format(ms);
}

/** `16 Nov 2026, 14:03` */
export function minuteText(ms: number, timeZone: string): string {
  return format(timeZone, { dateStyle: 'medium', timeStyle: 'short' }).format(ms);
}

/** `16 Nov 2026` */
export function dateText(ms: number, timeZone: string): string {
  return format(timeZone, { dateStyle: 'medium' }).format(ms);
}

/** What a bucket is called in a table: `Mon, 16 Nov 2026`, `16 Nov 2026, 14:00`, `November 2026`. */
export function bucketText(ms: number, granularity: Granularity, timeZone: string): string {
  if (granularity === 'hour') return minuteText(ms, timeZone);
  const options: Intl.DateTimeFormatOptions =
    granularity === 'day'
      ? { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }
      : { month: 'long', year: 'numeric' };
  return format(timeZone, options).format(ms);
}

/** What a bucket is called beneath an axis: `14:00` with the day at its midnight, `16 Nov`, `Nov 26`. */
export function tickText(ms: number, granularity: Granularity, timeZone: string): string {
  if (granularity === 'month') {
    return format(timeZone, { month: 'short', year: '2-digit' }).format(ms);
  }
  const day = format(timeZone, { day: 'numeric', month: 'short' }).format(ms);
  if (granularity === 'day') return day;
  const hour = format(timeZone, { hour: '2-digit', minute: '2-digit' }).format(ms);
  return hour === '00:00' ? day : hour;
}
