import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';

/** ISO 8601, as Eventing writes durations: `PT0.5S` → 500. */
export const isoDurationMs = z.string().transform((text, context) => {
  try {
    return Temporal.Duration.from(text).total('milliseconds');
  } catch {
    context.addIssue(`must be an ISO 8601 duration such as PT2S, not ${text}`);
    return z.NEVER;
  }
});

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Go's, as the annotations of Serving write durations: `1m30s` → 90000. */
export const goDurationMs = z.string().transform((text, context) => {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    context.addIssue(`must be a duration such as 90s, not ${text}`);
    return z.NEVER;
  }
  const parts = [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)];
  return parts.reduce(
    (sum, [, amount, unit = '']) => sum + Number(amount) * (unitMs[unit] ?? 0),
    0,
  );
});
