import type * as z from 'zod';
import type { freshness } from '../../../shared/openapi/answer-parts.ts';
import { type ModelNames, readModelNames } from '../models.ts';
import { type OrgOptions, orgApiOf } from '../org-api.ts';
import type { Column } from '../table.ts';
import { rangeOf, type SeriesOptions } from '../window-options.ts';

export type QueryOptions = SeriesOptions & OrgOptions;

/** Asks for a series, and for the names of its models. */
export async function askSeries<Form extends z.ZodType>(
  route: 'usage' | 'reliability',
  form: Form,
  options: QueryOptions,
) {
  const { api, orgId } = orgApiOf(options);
  const { granularity, timezone, groupBy } = options;
  const query = new URLSearchParams({
    ...rangeOf(options, Date.now()),
    granularity,
    timezone,
    groupBy,
  });
  for (const client of options.client) query.append('clientId', client);
  const ask = (): Promise<{ value: z.output<Form>; json: string }> =>
    api.ask(`/orgs/${orgId}/${route}`, form, { query });
  // A model by its name has to be known before; else both are asked for at once.
  const names = readModelNames(api, orgId);
  if (options.model.length === 0) {
    const [told, known] = await Promise.all([ask(), names]);
    return { ...told, names: known };
  }
  const known = await names;
  for (const modelId of known.idsOf(options.model)) query.append('modelId', modelId);
  return { ...(await ask()), names: known };
}

interface Point {
  bucketStart: string;
  modelId?: string | undefined;
  clientId?: string | null | undefined;
}

/** What rows of a series are about; a row without a bucket sums them up. */
export function groupColumns<Row extends Point>(
  { granularity, groupBy }: Pick<SeriesOptions, 'granularity' | 'groupBy'>,
  { nameOf }: ModelNames,
): Column<Row>[] {
  return [
    { title: granularity, cell: ({ bucketStart }) => bucketText(bucketStart, granularity) },
    ...(groupBy.includes('model')
      ? [{ title: 'model', cell: ({ modelId }: Row) => (modelId ? nameOf(modelId) : '') }]
      : []),
    ...(groupBy.includes('client')
      ? [
          {
            title: 'client',
            cell: ({ clientId }: Row) => (clientId === null ? '(none)' : (clientId ?? '')),
          },
        ]
      : []),
  ];
}

/** Days and months by their date; hours with the zone's offset, which a change of clocks changes. */
function bucketText(bucketStart: string, granularity: SeriesOptions['granularity']): string {
  const [, month, day, time, offset] =
    /^(\d{4}-\d\d)(-\d\d)T(\d\d:\d\d):\d\d(Z|[+-]\d\d:\d\d)$/.exec(bucketStart) ?? [];
  if (month === undefined) return bucketStart;
  if (granularity === 'month') return month;
  return granularity === 'day' ? `${month}${day}` : `${month}${day} ${time}${offset}`;
}

/** How complete an answer is, for its last line. */
export function freshnessText({
  status,
  lagSeconds,
  completeThrough,
}: Pick<z.output<typeof freshness>, 'status' | 'lagSeconds' | 'completeThrough'>): string {
  if (completeThrough === null) return `${status}: nothing is known to be complete yet`;
  return `${status}: complete through ${completeThrough}, ${lagSeconds ?? 0} s ago`;
}
