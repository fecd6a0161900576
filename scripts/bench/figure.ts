import type { ServiceEnv, ServiceName } from '../services/service-env.ts';

/** `tiny` only shows that the bench works: its figures say nothing. */
export type Scale = 'tiny' | 'small' | 'full';

export interface BenchContext {
  env: ServiceEnv;
  scale: Scale;
  /** How often each side is measured, in turns. */
  rounds: number;
  say(line: string): void;
  /** Work for the end, after the last figure: what several figures share is removed then. */
  atEnd(work: () => Promise<void>): void;
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
  /** What was measured, and what its ceiling is. */
  what: string;
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

/** The least value that `share` of the values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Whether a figure reaches its goal; null where it has none. */
export function isMet({ value, ratio, goal, higherIsBetter }: Figure): boolean | null {
  if (goal === null) return null;
  const reached = ratio ?? value;
  return higherIsBetter ? reached >= goal : reached <= goal;
}

type Measured = Pick<Figure, 'value' | 'ceiling' | 'ratio' | 'spread'>;

/**
 * Measures several sides in turns, so that a slow minute of the machine slows all, after one turn
 * that only warms up.
 */
export async function measureInTurns<Side extends string>(
  rounds: number,
  sides: Readonly<Record<Side, () => Promise<number>>>,
  beforeEach: () => Promise<void> = async () => {},
): Promise<Record<Side, number[]>> {
  const names = Object.keys(sides) as Side[];
  const measured = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Side,
    number[]
  >;
  for (let round = -1; round < rounds; round += 1) {
    await beforeEach();
    // Who comes first changes: what one leaves in caches is not always the other's.
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const value = await sides[name]();
      if (round >= 0) measured[name].push(value);
    }
  }
  return measured;
}

/** What was measured in the same rounds, side by side. */
export function compare(ours: readonly number[], ceiling: readonly number[]): Measured {
  const ratios = ours.map((value, round) => value / (ceiling[round] ?? Number.NaN));
  return {
    value: median(ours),
    ceiling: median(ceiling),
    ratio: median(ratios),
    spread: [Math.min(...ratios), Math.max(...ratios)],
  };
}

/** What stands alone. */
export function alone(values: readonly number[]): Measured {
  return {
    value: median(values),
    ceiling: null,
    ratio: null,
    spread: [Math.min(...values), Math.max(...values)],
  };
}

export interface Sides {
  ours: () => Promise<number>;
  ceiling: () => Promise<number>;
}

/** Both sides in turns, compared. */
export async function interleave(
  rounds: number,
  { ours, ceiling }: Sides,
  beforeEach?: () => Promise<void>,
): Promise<Measured> {
  const measured = await measureInTurns(rounds, { ours, ceiling }, beforeEach);
  return compare(measured.ours, measured.ceiling);
}
