import type { RuleTest } from './promtool.ts';
import type { Scrape } from './scrape.ts';

/** A time in which every scrape finds the same. */
export interface Stage {
  minutes: number;
  scrape: Scrape;
}

/**
 * Real scrapes, one stage after the other, in promtool's notation. Its clock begins at 0: a metric
 * that is a time keeps its distance from now, as of a system that stays as it is.
 */
export function seriesOf(stages: readonly Stage[], everyMinutes: number): RuleTest['input_series'] {
  const names = new Set(stages.flatMap(({ scrape }) => [...scrape.samples.keys()]));
  return [...names].map((series) => ({ series, values: valuesOf(series, stages, everyMinutes) }));
}

function valuesOf(series: string, stages: readonly Stage[], everyMinutes: number): string {
  const parts: string[] = [];
  let minutesBefore = 0;
  let isThere = false;
  for (const { minutes, scrape } of stages) {
    const more = minutes / everyMinutes - 1;
    const value = scrape.samples.get(series);
    if (value === undefined) {
      // What a scrape no longer finds ends at once.
      parts.push(isThere ? 'stale' : '_', ...(more > 0 ? [`_x${more}`] : []));
    } else if (/_timestamp_seconds\b/.test(series)) {
      const shifted = value - scrape.atSeconds + minutesBefore * 60;
      parts.push(`${shifted}+${everyMinutes * 60}x${more}`);
    } else parts.push(`${value}x${more}`);
    isThere = value !== undefined;
    minutesBefore += minutes;
  }
  return parts.join(' ');
}
