import type { Exact } from './exact.ts';
import { centUnit } from './price.ts';

/** More sums than these are kept as one: a file of so many clients is summed up by org only. */
const sumsMax = 100_000;

interface Sum {
  /** What the costs so far come to. */
  exact: Exact;
  /** What of it was given out, in ten-thousandths of a cent. */
  given: bigint;
}

/**
 * Rounds costs to the ten-thousandth of a cent that is stored, and carries what is left over to the
 * costs that follow: a thousand costs of 0.00004 come to 0.04, not to 0. Of each `part` never more
 * than one unit is missing or too much; within that the sum of the `whole` stays the nearest there
 * is. Only what came before counts, so that a file that grows changes none of its earlier costs.
 */
export function costCarry(): (whole: string, part: string, cost: Exact) => bigint {
  const sums = new Map<string, Sum>();

  function sumOf(kind: 'whole' | 'part', key: string): Sum {
    const own = `${kind} ${key}`;
    // Those beyond the bound share one, whose key no other has.
    const kept = sums.has(own) || sums.size < sumsMax ? own : kind;
    const known = sums.get(kept);
    if (known !== undefined) return known;
    const sum = { exact: 0n, given: 0n };
    sums.set(kept, sum);
    return sum;
  }

  return (whole, part, cost) => {
    const all = sumOf('whole', whole);
    const own = sumOf('part', `${whole} ${part}`);
    all.exact += cost;
    own.exact += cost;
    const floor = own.exact / centUnit;
    const ceiling = (own.exact + centUnit - 1n) / centUnit;
    const nearest = (all.exact + centUnit / 2n) / centUnit;
    const wanted = own.given + nearest - all.given;
    const given = max(max(floor, own.given), min(wanted, ceiling)) - own.given;
    own.given += given;
    all.given += given;
    return given;
  };
}

const max = (left: bigint, right: bigint) => (left > right ? left : right);
const min = (left: bigint, right: bigint) => (left < right ? left : right);
