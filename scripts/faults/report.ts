import { fileURLToPath } from 'node:url';
import { type FaultEntry, faults } from './catalog.ts';
import type { FaultRecord, Form } from './record.ts';

export const reportFile = fileURLToPath(new URL('../../docs/reliability.md', import.meta.url));

const intro = `# Reliability: what happens when something breaks

Written by \`npm run faults:report\` from \`docs/reliability.jsonl\`, which \`npm run test:faults\`
writes: do not edit.

Each fault comes upon a system at work: producers with confirms send 3,300 events/s, send 2% of them
twice, and send again what was not confirmed; the consumer is a process of its own, started again
when it ends, as a platform does; refreshes and readers run beside it. Afterwards, within a bounded
time and with nobody's help, must hold:

- every event sent is stored once, with its payload, and nothing that nobody sent;
- no message was rejected or lost, unless the fault says so, and then it is counted;
- all four rollup tables are a recount of the raw rows, histograms and error codes too;
- each stream is read to its head and held by a lease, and completeness has reached the end;
- no consumer ended by itself, and readers were told the truth or 503: never an event twice, none
  that was not sent, none less than before.

\`npm run test:faults\` runs the long form: several rounds at random moments (the seed is printed;
\`-- --seed N\` repeats them), each state for longer, the lease of production; there the pace must
have been 3,000 events/s at least. \`npm test\` runs each once, for seconds; there producers wait
while storage is 20,000 events behind them, as it is on a machine that is busy with more. Names run
some: \`npm run test:faults -- postgres-killed disk-full\`.
`;

/** The document, from the last record of each fault and form. */
export function report(records: readonly FaultRecord[]): string {
  const entries: [string, FaultEntry][] = Object.entries(faults);
  const found = (['long', 'short'] as const).map((form) => results(form, records));
  return [
    intro,
    '## The faults\n',
    catalogue(entries),
    ...found.filter((text) => text !== ''),
  ].join('\n');
}

function catalogue(entries: readonly [string, FaultEntry][]): string {
  const rows = entries.map(([name, { what, file }]) => [
    `\`${name}\``,
    what,
    `[${file.replace(/^test\//, '')}](../${file})`,
  ]);
  return table(['fault', 'what is done', 'test'], rows);
}

function results(form: Form, records: readonly FaultRecord[]): string {
  const ofForm = records.filter((record) => record.form === form);
  if (ofForm.length === 0) return '';
  const rows = ofForm.map((record) => [
    `\`${record.fault}\``,
    count(record.sent),
    count(record.sentPerSecond),
    count(record.stored),
    count(record.duplicates),
    count(record.rejected),
    count(record.lost),
    record.caughtUpSeconds === null ? 'never' : String(record.caughtUpSeconds),
    ...(form === 'short' ? [String(record.wholeSeconds ?? '')] : []),
    record.consumerPeakMb === null ? '' : String(record.consumerPeakMb),
    `${count(record.answers.complete)} + ${count(record.answers.unavailable)}`,
    [record.problems.length === 0 ? 'held' : `**${record.problems.join('; ')}**`, ...record.notes]
      .join('; ')
      .replaceAll('|', '\\|'),
  ]);
  const places = new Map<string, string[]>();
  for (const { machine, servers, at } of ofForm) {
    const place = `${machine}; ${servers}`;
    places.set(place, [...(places.get(place) ?? []), at.slice(0, 10)]);
  }
  const where = [...places].map(([place, days]) => {
    const [first, last] = [days.toSorted().at(0), days.toSorted().at(-1)];
    return `- ${place}; ${first === last ? first : `${first} to ${last}`}`;
  });
  return [
    `\n## The ${form} form, as it was last run\n`,
    'Broker, database, consumer, producers and readers share the machine:\n',
    ...where,
    '',
    table(
      [
        'fault',
        'sent',
        'sent/s',
        'stored',
        'duplicates',
        'rejected',
        'lost',
        'caught up, s',
        ...(form === 'short' ? ['whole, s'] : []),
        'consumer peak, MB',
        'answers + 503',
        'verdict',
      ],
      rows,
    ),
    '\n*Caught up*: from the end of the fault until everything sent by then was stored. *Peak*: resident,',
    `of the consumer’s process.${form === 'short' ? ' *Whole*: from the system at work, through the fault, to the verdict.' : ''}\n`,
  ].join('\n');
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
