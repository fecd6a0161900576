import type { Form } from '../../../scripts/faults/record.ts';

/** How much of a fault is provoked. */
export interface Extent {
  form: Form;
  /** How often the fault comes. */
  rounds: number;
  /** It comes at a random moment of so long a time. */
  momentMaxMs: number;
  /** How long a state lasts, such as a cut network. */
  holdMs: number;
  /** Publishing goes on so long after the last fault. */
  tailMs: number;
  /** Of the consumer's lease; the service's own in the long form. */
  leaseMs: number;
  /** Within which everything must be well again, by itself. */
  settleMaxMs: number;
  /**
   * Events that the publisher may be ahead of storage. In the short form some seconds' worth, or a
   * machine that is too busy to store at the publisher's pace would only fall behind.
   */
  aheadMax: number;
}

const extents: Record<Form, Extent> = {
  short: {
    form: 'short',
    rounds: 1,
    momentMaxMs: 600,
    holdMs: 1_200,
    tailMs: 500,
    leaseMs: 1_500,
    settleMaxMs: 60_000,
    aheadMax: 20_000,
  },
  long: {
    form: 'long',
    rounds: 3,
    momentMaxMs: 4_000,
    holdMs: 8_000,
    tailMs: 5_000,
    leaseMs: 9_000,
    settleMaxMs: 180_000,
    aheadMax: Number.POSITIVE_INFINITY,
  },
};

/** The long form where FAULTS_FORM says so; else the one that `npm test` has time for. */
export function extent(): Extent {
  return extents[process.env.FAULTS_FORM === 'long' ? 'long' : 'short'];
}

/** FAULTS_SEED repeats an earlier run's moments. */
export function seed(): number {
  const given = Number(process.env.FAULTS_SEED ?? '');
  return given > 0 ? given : Date.now() % 1_000_000;
}
