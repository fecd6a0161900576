import { usageQuery } from '../../shared/queries/usage-query.ts';
import { type ApiClient, openApi } from './api.ts';
import { alone, type Bench, compare, type Figure, quantile } from './figure.ts';
import { type Program, scriptOf, startProgram } from './program.ts';
import { besideRawRows } from './query-sides.ts';
import { type UsageData, usageData } from './usage-data.ts';
import { busyOrg, clientCount, modelCount } from './usage-rows.ts';

const dayMs = 86_400_000;
const minuteMs = 60_000;
const readers = 32;
const select1 = '/analytics/v1/bench/select-1';

/** Usage over HTTP beside `select 1` over the same stack, beside raw rows, and by many readers. */
export const usageQueryBench: Bench = {
  name: 'usage-query',
  needs: ['postgres'],
  run: async (context) => {
    const { rounds, scale, say } = context;
    const data = await usageData(context);
    say('usage-query: asking');
    const api = await startProgram(scriptOf('api-process.ts'), { DATABASE_URL: data.url });
    try {
      const figures = [await besideSelect1(api, data, rounds, scale === 'tiny' ? 10 : 150)];
      figures.push(
        ...(await besideRawRows(data, {
          name: 'usage-query-31-days',
          rounds,
          repeats: 5,
          goals: { utc: 100, local: 8 },
          what: '31 days by day',
          ours: async (snapshot, plan, pending) => {
            const filter = { orgId: busyOrg, modelIds: [], clientIds: [] };
            return (await usageQuery(snapshot, plan, pending, filter, 'none')).series;
          },
          raw: `
            select date_trunc('day', occurred_at, $4) as bucket, count(*) as invocations,
                   count(*) filter (where status <> 'success') as errors,
                   sum(input_tokens)::text as input_tokens,
                   sum(output_tokens)::text as output_tokens,
                   sum(cost_estimate_cents)::text as cost_estimate_cents
            from analytics.usage_events
            where org_id = $1 and occurred_at >= $2 and occurred_at < $3
            group by grouping sets ((1), ())
            order by 1`,
        })),
      );
      figures.push(...(await byManyReaders(api, data, rounds, scale === 'tiny' ? 2 : 20)));
      return figures;
    } finally {
      await api.stop();
    }
  },
};

async function besideSelect1(
  { url, peakMb }: Program,
  { endMs, events, partitions }: UsageData,
  rounds: number,
  asks: number,
): Promise<Figure> {
  const api = openApi(url);
  const usage = usagePath(endMs - 7 * dayMs, endMs);
  const ours: number[] = [];
  const ceiling: number[] = [];
  // One turn only warms up.
  for (let round = 0; round <= rounds; round += 1) {
    const [usageMs, selectMs]: [number[], number[]] = [[], []];
    for (let ask = 0; ask < asks; ask += 1) {
      usageMs.push(await timed(api, usage));
      selectMs.push(await timed(api, select1));
    }
    if (round === 0) continue;
    ours.push(quantile(usageMs, 0.5));
    ceiling.push(quantile(selectMs, 0.5));
  }
  api.close();
  return {
    name: 'usage-query',
    ...compare(ours, ceiling),
    unit: 'ms',
    goal: 5,
    higherIsBetter: false,
    peakMb: await peakMb(),
    what:
      `HTTP p50 of 7 UTC days by day and model; ${events.toLocaleString('en-US')} events in ` +
      `${partitions} partitions, half of them the org’s, ${modelCount} models, ${clientCount} ` +
      'clients; ceiling: p50 of a route of the same stack that runs select 1',
  };
}

/** Ragged windows, so that raw rows and their partitions are read too. */
async function byManyReaders(
  { url, peakMb }: Program,
  { endMs, partitions }: UsageData,
  rounds: number,
  asks: number,
): Promise<Figure[]> {
  const api = openApi(url, readers);
  let failed = 0;
  const p95: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const ms: number[] = [];
    await Promise.all(
      Array.from({ length: readers }, async (_, reader) => {
        const shiftMs = (reader * 7 + 3) * minuteMs;
        for (let ask = 0; ask < asks; ask += 1) {
          const path = usagePath(endMs - 31 * dayMs + shiftMs, endMs - shiftMs);
          await timed(api, path).then(
            (tookMs) => ms.push(tookMs),
            () => {
              failed += 1;
            },
          );
        }
      }),
    );
    if (round > 0) p95.push(quantile(ms, 0.95));
  }
  api.close();
  const common = { higherIsBetter: false, peakMb: await peakMb() };
  const readersFailed: Figure = {
    name: 'usage-query-32-readers-failed',
    ...common,
    ...alone([failed]),
    unit: 'requests',
    goal: 0,
    what: `of those ${readers * asks * (rounds + 1)} requests`,
  };
  const latency: Figure = {
    name: 'usage-query-32-readers',
    ...common,
    ...alone(p95),
    unit: 'ms',
    goal: null,
    what: `HTTP p95 of 31 days from minute to minute by ${readers} readers at once, ${partitions} partitions`,
  };
  return [latency, readersFailed];
}

function usagePath(startMs: number, endMs: number): string {
  const [start, end] = [startMs, endMs].map((ms) => new Date(ms).toISOString());
  return `/analytics/v1/orgs/${busyOrg}/usage?start=${start}&end=${end}`;
}

async function timed(api: ApiClient, path: string): Promise<number> {
  const startedMs = performance.now();
  await api.send(path);
  return performance.now() - startedMs;
}
