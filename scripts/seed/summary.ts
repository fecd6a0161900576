import type { SeedReport } from './run.ts';

type Cell = [label: string, value: number] | null;

/** What was sent beside what the service says became of it. */
export function summaryOf(report: SeedReport): string {
  const { plan, refused, resent, counted } = report;
  const sent: Cell[] = [
    ['different events', plan.distinct],
    ['  errors among them', plan.errors],
    ['  late among them', plan.late],
    ['sent twice', plan.repeated],
    ['invalid', plan.invalid],
  ];
  const counts = counted.counts;
  const became: Cell[] =
    counts === null
      ? []
      : [
          ['stored', counts.stored],
          ['duplicate', counts.duplicate],
          ['rejected', counts.rejected],
          refused > 0 ? ['of them in the answer', refused] : null,
        ];
  const lines = [`to ${report.target}`, row('sent', 'counted')];
  for (let index = 0; index < Math.max(sent.length, became.length); index += 1) {
    lines.push(row(cell(sent[index]), cell(became[index])).trimEnd());
  }
  lines.push(
    counts === null ? `not counted: ${counted.reason}` : `counted by ${counted.from}`,
    `refreshed ${report.refreshed}`,
  );
  if (resent > 0) lines.push(`${resent} events were sent twice after a fault`);
  const faults = mismatches(report);
  if (faults.length > 0) lines.push(...faults.map((fault) => `MISMATCH: ${fault}`));
  else if (counts?.stored === 0) lines.push('match: all of them were stored before, nothing added');
  else lines.push('match: the service counted what was sent');
  return lines.join('\n');
}

/**
 * Where the counts do not say what was sent; empty when they do. Every valid event must be either
 * stored or a duplicate (of an earlier seed in this hour), and each repeat a duplicate.
 */
export function mismatches({ plan, resent, counted }: SeedReport): string[] {
  if (counted.counts === null) return [`the counters cannot be read: ${counted.reason}`];
  const { stored, duplicate, rejected } = counted.counts;
  const valid = plan.distinct + plan.repeated;
  const faults: string[] = [];
  const isBetween = (value: number, least: number) => value >= least && value <= least + resent;
  if (!isBetween(stored + duplicate, valid)) {
    faults.push(`${valid} valid events were sent, ${stored + duplicate} stored or duplicate`);
  }
  if (stored > plan.distinct) {
    faults.push(`${plan.distinct} different events were sent, ${stored} stored`);
  }
  if (!isBetween(rejected, plan.invalid)) {
    faults.push(`${plan.invalid} invalid events were sent, ${rejected} rejected`);
  }
  if (faults.length > 0 && !counted.isComplete) {
    faults.push('the counters stood still: is the consumer running, on the same stream?');
  }
  return faults;
}

function cell(given: Cell | undefined): string {
  if (given === null || given === undefined) return '';
  const [label, value] = given;
  return `${label.padEnd(22)}${value.toLocaleString('en-US').padStart(9)}`;
}

function row(left: string, right: string): string {
  return `  ${left.padEnd(31)}   ${right}`;
}
