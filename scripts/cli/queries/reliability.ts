import type * as z from 'zod';
import { reliabilityForm } from '../answers.ts';
import { say, sayJsonText } from '../output.ts';
import { printable } from '../printable.ts';
import { type Column, tableText } from '../table.ts';
import { askSeries, freshnessText, groupColumns, type QueryOptions } from './series.ts';

type Answer = z.output<typeof reliabilityForm>;
type Point = Answer['series'][number];

const columns: readonly Column<Omit<Point, 'bucketStart'>>[] = [
  { title: 'invocations', align: 'right', cell: ({ invocations }) => invocations },
  { title: 'error rate', align: 'right', cell: ({ errorRate }) => percent(errorRate) },
  { title: 'error', align: 'right', cell: ({ statusCounts }) => statusCounts.error },
  { title: 'timeout', align: 'right', cell: ({ statusCounts }) => statusCounts.timeout },
  { title: 'throttled', align: 'right', cell: ({ statusCounts }) => statusCounts.throttled },
  { title: 'p50 ms', align: 'right', cell: ({ latencyMs }) => latencyMs.p50 },
  { title: 'p95 ms', align: 'right', cell: ({ latencyMs }) => latencyMs.p95 },
  { title: 'p99 ms', align: 'right', cell: ({ latencyMs }) => latencyMs.p99 },
];

export async function showReliability(options: QueryOptions): Promise<undefined> {
  const { value, json, names } = await askSeries('reliability', reliabilityForm, options);
  if (options.json) {
    sayJsonText(json);
    return;
  }
  const { series, totals, topErrors, freshness } = value;
  const rows = [...series, { bucketStart: 'total', ...totals }];
  say(tableText(rows, [...groupColumns<Point>(options, names), ...columns]));
  if (topErrors.length > 0) {
    const errorColumns: Column<Answer['topErrors'][number]>[] = [
      { title: 'error code', cell: ({ errorCode }) => errorCode ?? '(none)' },
      { title: 'model', cell: ({ modelId }) => names.nameOf(modelId) },
      { title: 'client', cell: ({ clientId }) => clientId ?? '(none)' },
      { title: 'events', align: 'right', cell: ({ count }) => count },
    ];
    say(`\n${tableText(topErrors, errorColumns)}`);
  }
  say(`\n${printable(freshnessText(freshness))}`);
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(2)}%`;
}
