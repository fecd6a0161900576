import type { ServiceEnv, ServiceName } from '../services/service-env.ts';

export type Scale = 'small' | 'full';

export interface BenchContext {
  env: ServiceEnv;
  scale: Scale;
  /** How often each side is measured, in turns. */
  rounds: number;
  say(line: string): void;
}

/** One line of the bench: what was measured, beside its ceiling in the same run. */
export interface Figure {
  name: string;
  /** Median over the rounds. */
  value: number;
  unit: string;
  /** Median of the ceiling, null where the value stands alone. */
  ceiling: number | null;
  /** Median of the rounds' ratios of value to ceiling; null without a ceiling. */
  ratio: number | null;
  /** Least and greatest ratio of a round, or value where there is no ceiling. */
  spread: [number, number];
  /** What the ratio, or the value where there is no ceiling, is to reach; null: only reported. */
  goal: number | null;
  higherIsBetter: boolean;
  /** Peak resident memory of the process measured, in MB. */
  peakMb: number | null;
}

/** Something to measure: brings its own data, cleans up after itself. */
export interface Bench {
  name: string;
  needs: readonly ServiceName[];
  run(context: BenchContext): Promise<Figure[]>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = low] = [sorted[middle - 1 + (sorted.length % 2)], sorted[middle]];
  return (low + high) / 2;
}

/** Whether a figure reaches its goal; null where it has none. */
export function isMet({ value, ratio, goal, higherIsBetter }: Figure): boolean | null {
  if (goal === null) return null;
  const reached = ratio ?? value;
  return higherIsBetter ? reached >= goal : reached <= goal;
}

export interface Sides {
  ours: () => Promise<number>;
  ceiling: () => Promise<number>;
}

/**
 * Measures both sides in turns, so that a slow minute of the machine slows both, after one turn
 * that only warms up.
 */
export async function interleave(
  rounds: number,
  { ours, ceiling }: Sides,
): Promise<Pick<Figure, 'value' | 'ceiling' | 'ratio' | 'spread'>> {
  await ours();
  await ceiling();
  const pairs: [number, number][] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Who comes first changes: what one leaves in caches is not always the other's.
    const first = round % 2 === 0;
    const before = first ? await ours() : await ceiling();
    const after = first ? await ceiling() : await ours();
    pairs.push(first ? [before, after] : [after, before]);
  }
  const ratios = pairs.map(([a, b]) => a / b);
  return {
    value: median(pairs.map(([a]) => a)),
    ceiling: median(pairs.map(([, b]) => b)),
    ratio: median(ratios),
    spread: [Math.min(...ratios), Math.max(...ratios)],
  };
}
