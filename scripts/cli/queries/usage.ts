import { type UsagePoint, type UsageSums, usageForm } from '../answers.ts';
import { say, sayJsonText } from '../output.ts';
import { printable } from '../printable.ts';
import { type Column, tableText } from '../table.ts';
import { askSeries, freshnessText, groupColumns, type QueryOptions } from './series.ts';

export const sumColumns: readonly Column<UsageSums>[] = [
  { title: 'invocations', align: 'right', cell: ({ invocations }) => invocations },
  { title: 'errors', align: 'right', cell: ({ errors }) => errors },
  { title: 'input tokens', align: 'right', cell: ({ inputTokens }) => inputTokens },
  { title: 'output tokens', align: 'right', cell: ({ outputTokens }) => outputTokens },
  { title: 'cost (cents)', align: 'right', cell: ({ costEstimateCents }) => costEstimateCents },
];

export async function showUsage(options: QueryOptions): Promise<undefined> {
  const { value, json, names } = await askSeries('usage', usageForm, options);
  if (options.json) {
    sayJsonText(json);
    return;
  }
  const { series, totals, freshness } = value;
  const rows = [...series, { bucketStart: 'total', ...totals }];
  say(tableText(rows, [...groupColumns<UsagePoint>(options, names), ...sumColumns]));
  say(`\n${printable(freshnessText(freshness))}`);
}
