import { expect, test } from 'vitest';
import { goDurationMs, isoDurationMs } from './duration.ts';

test.each([
  ['PT0S', 0],
  ['PT0.5S', 500],
  ['PT2S', 2_000],
  ['PT10M', 600_000],
  ['PT1H30M', 5_400_000],
])('%s is %d ms', (text, ms) => {
  expect(isoDurationMs.parse(text)).toBe(ms);
});

test.each([
  ['0s', 0],
  ['250ms', 250],
  ['60s', 60_000],
  ['5m', 300_000],
  ['1m30s', 90_000],
  ['1.5h', 5_400_000],
])('%s is %d ms', (text, ms) => {
  expect(goDurationMs.parse(text)).toBe(ms);
});

test('what is no duration is refused with its text', () => {
  for (const [form, text] of [
    [isoDurationMs, '2s'],
    [goDurationMs, 'PT2S'],
    [goDurationMs, '60'],
    [goDurationMs, ''],
  ] as const) {
    expect(form.safeParse(text).error?.message).toContain(`not ${text}`);
  }
});
