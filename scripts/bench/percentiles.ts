import { reliabilityQuery } from '../../shared/queries/reliability-query.ts';
import { pendingBatches } from '../../shared/rollups/pending-batches.ts';
import { alone, type Bench, type Figure } from './figure.ts';
import { besideRawRows } from './query-sides.ts';
import { localDays, type UsageData, usageData } from './usage-data.ts';
import { busyOrg } from './usage-rows.ts';

const filter = { orgId: busyOrg, modelIds: [], clientIds: [] };

const raw = `
  select date_trunc('day', occurred_at, $4) as bucket, model_id,
         percentile_disc(array[0.5, 0.95, 0.99]) within group (order by latency_ms) as latency
  from analytics.usage_events
  where org_id = $1 and occurred_at >= $2 and occurred_at < $3
  group by 1, 2
  order by 1, 2`;

/** p50, p95 and p99 by model and day beside `percentile_disc`, in time and in value. */
export const percentilesBench: Bench = {
  name: 'percentiles',
  needs: ['postgres'],
  run: async (context) => {
    const data = await usageData(context);
    context.say('percentiles: asking');
    const figures = await besideRawRows(data, {
      name: 'percentiles',
      rounds: context.rounds,
      repeats: 3,
      goals: { utc: 20, local: 5 },
      what: 'p50, p95, p99 by model and day over 31 days, with status counts and top errors',
      ours: async (snapshot, plan, pending) => {
        return (await reliabilityQuery(snapshot, plan, pending, filter, 'model')).series;
      },
      raw,
    });
    return [...figures, await greatestError(data)];
  },
};

/** How far the answers are from the exact ones. */
async function greatestError(data: UsageData): Promise<Figure> {
  const plan = localDays(data, 31, 'UTC');
  const { database } = data;
  const { series } = await database.transaction({ mode: 'snapshot' }, async (snapshot) => {
    const pending = await pendingBatches(snapshot);
    return reliabilityQuery(snapshot, plan, pending, filter, 'model');
  });
  const rows = await database.query<{ bucket: Date; model_id: string; latency: number[] }>(raw, [
    busyOrg,
    new Date(plan.window.startMs),
    new Date(plan.window.endMs),
    'UTC',
  ]);
  const answers = new Map(
    series.map((point) => [
      `${Date.parse(point.bucketStart)}/${point.modelId}`,
      Object.values(point.latencyMs),
    ]),
  );
  const errors = rows.flatMap(({ bucket, model_id, latency }) => {
    const found = answers.get(`${bucket.getTime()}/${model_id}`);
    return latency.map((exact, index) => {
      const away = Math.abs((found?.[index] ?? Number.NaN) - exact);
      return (100 * away) / exact;
    });
  });
  return {
    name: 'percentiles-error',
    ...alone([Math.max(...errors)]),
    unit: '%',
    goal: 2,
    higherIsBetter: false,
    peakMb: null,
    what:
      `greatest relative error of ${errors.length.toLocaleString('en-US')} answered percentiles ` +
      'to percentile_disc',
  };
}
