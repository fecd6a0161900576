import { setTimeout as sleep } from 'node:timers/promises';

/** Measurements of one thing, each at its time in seconds since the start. */
export interface Series {
  name: string;
  points: { atSeconds: number; value: number }[];
}

/** Asks every second until it is stopped. What cannot be asked is left out. */
export function sampleEverySecond(
  startedMs: number,
  probes: Readonly<Record<string, () => Promise<number>>>,
): { stop(): Promise<Series[]> } {
  const series = Object.keys(probes).map((name): Series => ({ name, points: [] }));
  const stopping = new AbortController();
  const { signal } = stopping;
  const work = (async () => {
    while (!signal.aborted) {
      await Promise.all(
        series.map(async ({ name, points }) => {
          const value = await probes[name]?.().catch(() => Number.NaN);
          const atSeconds = (performance.now() - startedMs) / 1_000;
          if (value !== undefined && !Number.isNaN(value)) points.push({ atSeconds, value });
        }),
      );
      await sleep(1_000, undefined, { signal }).catch(() => {});
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await work;
      return series;
    },
  };
}

export function peakOf({ points }: Series): number {
  return points.reduce((peak, { value }) => Math.max(peak, value), 0);
}

/** By least squares over what was measured between two times, in units per minute. */
export function slopeOf({ points }: Series, fromSeconds: number, toSeconds: number): number {
  const within = points.filter(
    ({ atSeconds }) => atSeconds >= fromSeconds && atSeconds <= toSeconds,
  );
  const mean = (values: number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;
  const [atMean, valueMean] = [
    mean(within.map(({ atSeconds }) => atSeconds)),
    mean(within.map(({ value }) => value)),
  ];
  let [covariance, variance] = [0, 0];
  for (const { atSeconds, value } of within) {
    covariance += (atSeconds - atMean) * (value - valueMean);
    variance += (atSeconds - atMean) ** 2;
  }
  return variance === 0 ? 0 : (covariance / variance) * 60;
}
