import { isMet } from './figure.ts';
import { type Report, short, table } from './report.ts';

/** docs/performance.md: what the bench printed, and what each figure means. */
export function performanceDocument(reports: readonly Report[]): string {
  return `${[intro, ...reports.map(section)].join('\n\n')}\n`;
}

const intro = `# Performance

Written by \`npm run bench -- --write\` from what it measured (\`docs/performance.json\`); do not edit.

Each figure is measured beside its ceiling in the same run, in turns, after a turn that only warms
up; values are medians of the rounds. The ratio is the median of the rounds' ratios, and *least to
greatest* their range (of the values, where there is no ceiling). The goal is for the ratio, or for
the value where there is none. *Peak* is the greatest resident memory of the process of ours that
did the work. Stream, database and everything measured share the machine's cores.`;

function section({ scale, rounds, date, machine, versions, figures }: Report): string {
  const judged = figures.filter((figure) => isMet(figure) !== null);
  const met = judged.filter((figure) => isMet(figure) === true);
  const missed = judged
    .filter((figure) => isMet(figure) === false)
    .map(
      ({ name, ratio, value, unit, goal }) =>
        `\`${name}\` (${ratio === null ? `${short(value)} ${unit}` : short(ratio)}, goal ${goal})`,
    );
  const words = missed.length === 0 ? '' : ` Missed: ${missed.join(', ')}.`;
  return `## Scale ${scale}

${date}, ${rounds} rounds. ${machine}. ${versions.join('; ')}.

${met.length} of ${judged.length} goals met.${words}

${table(figures)}

${figures.map(({ name, what }) => `- \`${name}\`: ${what}.`).join('\n')}`;
}
