import type { OffsetGap } from '../../shared/data-quality/gaps.ts';
import type { ChangedExport, DataQualityRun } from '../../shared/data-quality/runs.ts';
import { exportDaysMax } from '../../shared/exports/reconcile.ts';
import { type Drift, warningsOf } from '../../shared/rollups/reconcile.ts';
import { printable } from '../cli/printable.ts';
import { type Column, tableText } from '../cli/table.ts';

/** What a run found, for people. */
export function reportText(run: DataQualityRun): string {
  const { driftRatio, exports, details, freshnessLagSeconds: lag } = run;
  const facts = {
    rollups:
      `${run.buckets} buckets, ${day(run.windowStart)} to ${day(run.windowEnd)} (UTC); greatest ` +
      `drift hourly ${percent(driftRatio.hourly)}, daily ${percent(driftRatio.daily)}`,
    dedupe: `${run.doubledEventIds} of ${run.events24h} events of the last 24 hours stored under two identities`,
    conflict: `${run.conflicts24h} events of the last 24 hours came again with other content or another time`,
    offsets: `${run.offsetGaps} unexplained gaps between stored batches`,
    days:
      run.missingPartitions.length === 0
        ? 'today and tomorrow have their place'
        : `no partition for ${run.missingPartitions.join(', ')}`,
    fresh: lag === null ? 'no stream was ever probed' : `lag ${Math.round(lag)} s`,
    exports:
      `${exports.checked} of the last ${exportDaysMax} days: ` +
      `${exports.restated} restated by late events, ${exports.wrong} wrong`,
  };
  const lines = Object.entries(facts).map(([name, text]) => `  ${name.padEnd(8)} ${text}`);
  const tables = [
    ...(details.drifts.length > 0 ? [tableText(details.drifts, driftColumns)] : []),
    ...(run.offsetGaps > 0 ? [tableText(details.gaps, gapColumns)] : []),
    ...(details.exports.length > 0 ? [tableText(details.exports, exportColumns)] : []),
  ];
  return [
    'what is stored, compared with itself',
    ...lines,
    ...tables,
    ...warningsOf(run).map((warning) => `WARNING: ${warning}`),
    run.passed ? 'OK' : run.failures.map((failure) => `FAILED: ${printable(failure)}`).join('\n'),
  ].join('\n');
}

export function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(3)}%`;
}

const driftColumns: readonly Column<Drift>[] = [
  { title: 'grain', cell: ({ grain }) => grain },
  { title: 'org', cell: ({ orgId }) => orgId },
  { title: 'bucket', cell: ({ bucketStart }) => bucketStart.toISOString() },
  { title: 'measure', cell: ({ measure }) => measure },
  { title: 'raw', align: 'right', cell: ({ raw }) => String(raw) },
  { title: 'rollup', align: 'right', cell: ({ rollup }) => String(rollup) },
  { title: 'drift', align: 'right', cell: ({ ratio }) => `${(ratio * 100).toFixed(2)}%` },
];

const gapColumns: readonly Column<OffsetGap>[] = [
  { title: 'stream', cell: ({ stream }) => stream },
  { title: 'first offset', align: 'right', cell: ({ first }) => String(first) },
  { title: 'last offset', align: 'right', cell: ({ last }) => String(last) },
  { title: 'kind', cell: ({ kind }) => kind },
];

const exportColumns: readonly Column<ChangedExport>[] = [
  { title: 'export', cell: ({ jobId }) => jobId },
  { title: 'org', cell: ({ orgId }) => orgId ?? 'all' },
  { title: 'from', cell: ({ from }) => from.toISOString() },
  { title: 'to', cell: ({ to }) => to.toISOString() },
  { title: 'cost exported', align: 'right', cell: ({ costExported }) => costExported },
  { title: 'cost now', align: 'right', cell: ({ costNow }) => costNow },
  {
    title: 'change',
    cell: ({ change }) => `${change.costEstimateCents} cents, ${change.invocations} invocations`,
  },
  { title: 'reason', cell: ({ kind }) => (kind === 'wrong' ? 'unknown' : 'late events') },
];
