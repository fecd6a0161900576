import type { Memory, SoakResult } from './run.ts';

export interface SoakReport extends SoakResult {
  rate: number;
  seconds: number;
  batchSize: number;
  date: string;
  machine: string;
  versions: string[];
}

/** A server may take what it is set to, but must not go on growing, in MB per minute. */
const growthMaxMbPerMinute = 20;
/** In less time than this a server that only warms up cannot be told from one that grows. */
const growthSecondsMin = 600;

/** Of what was due, less is another soak than was asked for. */
const sentShareMin = 0.99;

/** What did not hold; empty when all did. */
export function verdicts(report: SoakReport): string[] {
  const { due, sent } = report.offered;
  const share = `${Math.floor((100 * sent) / due)}%`;
  return [
    ...(sent >= due * sentShareMin
      ? []
      : [`only ${share} of what was due could be sent: this machine is too slow for the rate`]),
    ...report.faults,
    ...report.memory.flatMap((one) => memoryFault(one, report.seconds) ?? []),
  ];
}

function memoryFault(
  { name, peakMb, limitMb, slopeMbPerMinute }: Memory,
  seconds: number,
): string | undefined {
  if (limitMb !== null && peakMb > limitMb) {
    return `${name} took ${Math.round(peakMb)} MB, more than its limit of ${Math.round(limitMb)} MB`;
  }
  if (seconds >= growthSecondsMin && slopeMbPerMinute > growthMaxMbPerMinute) {
    return `${name} grew by ${slopeMbPerMinute.toFixed(1)} MB each minute`;
  }
  return undefined;
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US');

/** The report as Markdown, which reads well in a terminal too. */
export function reportText(report: SoakReport): string {
  const { offered, rate, seconds, tookSeconds, stored } = report;
  const unoffered = offered.due - offered.sent;
  const wrong = verdicts(report);
  return `${report.date}. ${report.machine}. ${report.versions.join('; ')}. Batches of ${whole(report.batchSize)}.

| figure | value |
|---|---|
| offered | ${whole(rate)} events/s for ${minutes(seconds)}: ${whole(offered.sent)} of ${whole(offered.due)} that were due${unoffered === 0 ? '' : `, ${whole(unoffered)} never sent`} |
| confirmed by the broker | ${whole(offered.confirmed)} |
| stored, each exactly once | ${whole(stored)} |
| rate of storing, over the whole run | ${whole(stored / tookSeconds)} events/s |
| highest lag | ${whole(report.lagMax)} events |
| drained after the end of the offering | ${report.drainedAfterSeconds.toFixed(1)} s |

| process | peak | limit | slope over the second half |
|---|---|---|---|
${report.memory.map(memoryRow).join('\n')}

${wrong.length === 0 ? 'Everything held.' : `What did not hold: ${wrong.join('; ')}.`}`;
}

function memoryRow({ name, peakMb, limitMb, slopeMbPerMinute }: Memory): string {
  const limit = limitMb === null ? 'must not grow' : `${whole(limitMb)} MB`;
  return `| ${name} | ${whole(peakMb)} MB | ${limit} | ${slopeMbPerMinute.toFixed(1)} MB/min |`;
}

function minutes(seconds: number): string {
  return seconds < 60 ? `${seconds} s` : `${Number((seconds / 60).toFixed(1))} min`;
}

/** docs/soak.md: what the soak printed, and what it means. */
export function soakDocument(report: SoakReport): string {
  return `# Soak

Written by \`npm run soak -- --write\` from what it measured; do not edit.

Events are offered at five times the rate that the service is made for, by a publisher whose rate is
kept by the clock: a broker that is slow to confirm holds events back, and those that could never be
sent are told. The consumer drains them as it is deployed, from its bundle, with refresh and status
beside it; stream, database and all of them share the machine's cores. Then every event must be
stored exactly once, and hourly and daily rollups must equal the raw rows.

Memory is resident memory, of the servers that of all their processes together. The consumer's limit
comes from \`INGESTION_BATCH_SIZE\` and not from what waits in the stream: the broker sends two
batches ahead, and one is being stored.

${reportText(report)}
`;
}
