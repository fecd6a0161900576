import { sum } from '../publish/counters.ts';
import type { ReplayReport } from './run.ts';

const count = (value: number) => value.toLocaleString('en-US').padStart(12);

/** What happened, for a person. */
export function summaryOf(report: ReplayReport): string {
  const { rows, sent, skipped, passedOver, refused, repeated, counted } = report;
  const lines = [
    `to ${report.target}`,
    `events from ${report.from} through ${report.through}`,
    `rows read ${count(rows)}`,
    `sent      ${count(sent)}`,
    `skipped   ${count(skipped)}${skipped > 0 ? '  (named above)' : ''}`,
  ];
  for (const [kind, rowsOfIt] of Object.entries(passedOver)) {
    lines.push(`passed by ${count(rowsOfIt)}  (${kind}, which are no inferences)`);
  }
  if (refused > 0) lines.push(`refused   ${count(refused)}  (in the API's answer, reasons above)`);
  if (repeated > 0) {
    lines.push(`repeated  ${count(repeated)}  (sent twice after a fault; duplicates include them)`);
  }
  lines.push(...madeLines(report), ...modelLines(report));
  if (counted.counts === null) {
    lines.push(`not known how many were stored: ${counted.reason}`);
    return lines.join('\n');
  }
  const { stored, duplicate, rejected } = counted.counts;
  lines.push(
    `stored    ${count(stored)}`,
    `duplicate ${count(duplicate)}`,
    `rejected  ${count(rejected)}`,
    `counted by ${counted.from}`,
  );
  const all = sum(counted.counts);
  if (!counted.isComplete) {
    lines.push(
      `only ${all} of ${sent} were counted before it stood still: is the consumer running, on ` +
        'the same stream?',
    );
  } else if (all > sent + repeated) {
    lines.push(`${all - sent} more were counted than sent: others are sending too`);
  }
  return lines.join('\n');
}

/** What is not the file's own must not pass for it. */
function madeLines({ made, metadataCut, sent }: ReplayReport): string[] {
  const of = (events: number) =>
    events === sent ? 'all events' : `${events.toLocaleString('en-US')} events`;
  return [
    ...(made.cost > 0 ? [`costs of ${of(made.cost)} made from --input-price, --output-price`] : []),
    ...(made.model > 0 ? [`model of ${of(made.model)} taken from --model`] : []),
    ...(made.latency > 0 ? [`latency of ${of(made.latency)} made from --ms-per-… and tokens`] : []),
    ...(made.status > 0 ? [`status of ${of(made.status)} taken for success`] : []),
    ...(metadataCut > 0 ? [`metadata of ${of(metadataCut)} cut to what an event may hold`] : []),
  ];
}

const modelsShown = 20;

function modelLines({ models }: ReplayReport): string[] {
  const shown = models.slice(0, modelsShown).map(({ modelId, name }) => `model ${modelId} ${name}`);
  const more = models.length - shown.length;
  return more > 0 ? [...shown, `and ${more} models more`] : shown;
}

/** Whether every row of the file is known, or may be taken, to be stored. */
export function isWhole({ skipped, refused, counted }: ReplayReport): boolean {
  const isCounted =
    counted.counts === null || (counted.isComplete && counted.counts.rejected === 0);
  return skipped === 0 && refused === 0 && isCounted;
}
