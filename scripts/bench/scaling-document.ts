import { citusCalls, coordinatorTables } from './citus-plan.ts';
import { type Report, short } from './report.ts';

const rates = [3_000, 30_000, 300_000];
const daySeconds = 86_400;
const streamDays = 7;
const retentionDays = 400;
/** Of what was measured a plan counts on half: for peaks, catching up, and a replica that is gone. */
const headroom = 0.5;
const foldedEvents = 60_000;
const partitionBytes = 20e9;

/** What the plan counts with, each a figure of the bench. */
interface Costs {
  ingest: number;
  ingestPeakMb: number;
  copy: number;
  foldPerSecond: number;
  messageBytes: number;
  eventBytes: number;
  compressedBytes: number;
  rollupBytes: number;
  freshnessMs: number;
  usageMs: number;
}

function costsOf({ figures }: Report): Costs {
  const figure = (name: string) => {
    const found = figures.find((each) => each.name === name);
    if (found === undefined) throw new Error(`the kept run has no figure ${name}`);
    return found;
  };
  const value = (name: string) => figure(name).value;
  return {
    ingest: value('ingest'),
    ingestPeakMb: figure('ingest').peakMb ?? Number.NaN,
    copy: figure('ingest').ceiling ?? Number.NaN,
    foldPerSecond: (foldedEvents * 1_000) / value('fold-flat'),
    messageBytes: value('storage-message'),
    eventBytes: value('storage-event'),
    compressedBytes: value('storage-event-compressed'),
    rollupBytes: value('storage-rollups') / 1_000_000,
    freshnessMs: value('freshness'),
    usageMs: value('usage-query'),
  };
}

/** docs/scaling.md: where each part ends, by arithmetic from what the bench printed. */
export function scalingDocument(reports: readonly Report[]): string {
  const [report] = reports;
  if (report === undefined)
    return '# Scaling\n\nNothing is measured yet: `npm run bench -- --write`.\n';
  const costs = costsOf(report);
  return `# Past one machine

Written by \`npm run bench -- --write\`: the figures are those of [performance.md](performance.md)
(scale ${report.scale}, ${report.machine}), the rest is arithmetic with them; do not edit.
A plan counts on half of what was measured (× ${headroom}): for peaks, for catching up, and for a
replica that is gone. Broker, database and consumer shared the cores when they were measured, so a
part with a machine of its own does better than what stands here.

## What an event costs

| | |
|---|---|
| in the stream | ${short(costs.messageBytes)} bytes a copy |
| stored, with its indexes | ${short(costs.eventBytes)} bytes; ${short(costs.compressedBytes)} once TimescaleDB has compressed its day |
| in the rollups | ${short(costs.rollupBytes)} bytes, and less the more events share an hour, model and client |
| a consumer | ${count(costs.ingest)} events/s, ${short(costs.ingestPeakMb)} MB |
| the database, were it to COPY alone | ${count(costs.copy)} rows/s |
| folding | ${count(costs.foldPerSecond)} events/s, by one folder |
| until it is seen | ${short(costs.freshnessMs)} ms (p99 at 3,000 events/s) |

## Three sizes

${sizes(costs)}

- **Partitions** are events/s ÷ (${count(costs.ingest)} × ${headroom}), rounded up: a partition has one consumer, and
  KEDA's \`maxReplicaCount\` equals the partitions. An org lies in one partition, so one org alone can
  send at most what one consumer takes.
- **Stream** is ${short(costs.messageBytes)} bytes × events/s × ${daySeconds.toLocaleString('en-US')} s × ${streamDays} days, one copy. \`RABBITMQ_STREAM_MAX_BYTES\`
  (${partitionBytes / 1e9} GB a partition) ends before that where the row *kept* says less than ${streamDays} days.
- **Raw** is ${short(costs.eventBytes)} (compressed ${short(costs.compressedBytes)}) bytes × events; rollups come on top.
- **Folding** is the share of its time that the folder works: events/s ÷ ${count(costs.foldPerSecond)}. One folds
  at a time, by an advisory lock.

## Where each part ends

- **The consumer** ends first, at ${count(costs.ingest)} events/s, and is the cheapest to add: one more
  partition. It is one process with one thread: a faster core helps, more memory does not.
- **The stream** took what the bench published, and was not brought to its end. Disk is what ends: see
  *kept*. A consumer that stands still for longer than that loses events, so raise
  \`RABBITMQ_STREAM_MAX_BYTES\` with the rate, or add partitions.
- **PostgreSQL** takes every row of every consumer: at most the ${count(costs.copy)} rows/s that it COPYs
  without index or constraint. How much of that is left for several consumers at once the bench does
  not measure: the plan counts one database machine for what one consumer stores. Past that comes
  Citus.
- **The rollups** end at ${count(costs.foldPerSecond)} events/s with one folder. They do not end with the size of the
  table: a fold reads the new rows alone (\`fold-flat\`). Past that each Citus node folds its own shards,
  with a lock for each.
- **Reading** is ${short(costs.usageMs)} ms (HTTP p50) for 7 days by day and model. It grows with the models and
  clients of an org, not with its events. More readers are more replicas of the functions, then read
  replicas.

## TimescaleDB's compression

Days older than \`RAW_COMPRESS_AFTER_DAYS\` (7) go from ${short(costs.eventBytes)} to ${short(costs.compressedBytes)} bytes an event. Deduplication into a
compressed day stays exact. Where the licence or the provider has no compression, shorten
\`RAW_RETENTION_DAYS\`: the rollups stay for \`ROLLUP_RETENTION_DAYS\`, and whole UTC hours and days are
answered from them alone.

## Read replicas

Everything that only reads (usage, reliability, status, the file of an export) can be given the
address of a streaming replica: each answer comes from one repeatable-read snapshot, and says how
complete that is (\`completeThrough\`), which on a replica is older by its lag. The consumer, refresh,
verify, exports (which write jobs) and events without a stream need the primary.

## Citus

Every table that grows with events is keyed by org, so that an org's rows of all of them lie on one
node, and every request of a tenant runs there alone:

\`\`\`sql
${citusCalls.join('\n')}
\`\`\`

On the coordinator stay:

${Object.entries(coordinatorTables)
  .map(([table, why]) => `- \`${table}\`: ${why}`)
  .join('\n')}

\`test/citus.test.ts\` holds the schema and every statement that the functions send to the rules of
Citus, and names the four statements of background work that would be sent otherwise there: the
insert of a batch and the hourly fold without the count around them, rollup retention shard by shard,
and verify's comparison, which is collected on the coordinator as it is. The test knows the rules; a
Citus server has not been tried. An org is not split: the largest org must fit a node.

With n nodes ingest and folding are n times those of one, less what the coordinator costs; for
${rates.map(count).join(', ')} events/s that is ${rates.map((rate) => nodes(rate, costs)).join(', ')} of the machine measured.

## At rest

- **Neon** suspends its compute after 5 minutes without a question. The refresh asks each minute, so it
  does not suspend: at rest it costs its smallest compute for every hour of the month, and its
  storage (raw and rollups as above, × events kept). Where that is too much, let the PingSource of the
  refresh run every 10 minutes: folding waits, answers stay exact (rows not folded are read raw), and
  \`lagSeconds\` is up to 10 minutes.
- **Upstash** is paid by command. At rest the service sends none: the freshness cache is asked by
  requests, and dropped by folds that had news.
- **Functions** scale to zero; the consumer too, by KEDA. What does not is RabbitMQ, and PostgreSQL
  where it is not Neon.
`;
}

function sizes(costs: Costs): string {
  const row = (name: string, of: (rate: number) => string) =>
    `| ${[name, ...rates.map(of)].join(' | ')} |`;
  const perDay = (rate: number) => rate * daySeconds;
  return [
    row('events/s', count),
    `|${'---|'.repeat(rates.length + 1)}`,
    row('events a day', (rate) => `${count(perDay(rate) / 1e6)} million`),
    row('partitions = consumers at most', (rate) => String(partitions(rate, costs))),
    row('stream, 7 days', (rate) => bytes(perDay(rate) * streamDays * costs.messageBytes)),
    row('kept by 20 GB a partition', (rate) => {
      const days = (partitions(rate, costs) * partitionBytes) / (perDay(rate) * costs.messageBytes);
      return `${short(days)} days`;
    }),
    row('raw a day', (rate) => bytes(perDay(rate) * costs.eventBytes)),
    row('raw a day, compressed', (rate) => bytes(perDay(rate) * costs.compressedBytes)),
    row(`raw of ${retentionDays} days, compressed`, (rate) =>
      bytes(perDay(rate) * retentionDays * costs.compressedBytes),
    ),
    row('rollups a day at most', (rate) => bytes(perDay(rate) * costs.rollupBytes)),
    row('folding', (rate) => share(rate / costs.foldPerSecond)),
    row('database machines', (rate) => String(nodes(rate, costs))),
  ].join('\n');
}

function partitions(rate: number, { ingest }: Costs): number {
  return Math.ceil(rate / (ingest * headroom));
}

/** By what ends first, storing or folding. */
function nodes(rate: number, { ingest, foldPerSecond }: Costs): number {
  return Math.ceil(rate / (Math.min(ingest, foldPerSecond) * headroom));
}

function share(of: number): string {
  return of <= 1 ? `${short(of * 100)}% of one folder` : `${short(of)} folders`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${short(value / 1_000 ** power)} ${units[power]}`;
}
