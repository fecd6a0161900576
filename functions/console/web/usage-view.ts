import { type UsageSums, usageAnswer } from './answers.ts';
import { ask, pathTo } from './api.ts';
import type { ChartSeries } from './chart.ts';
import { button, el, segmented } from './dom.ts';
import {
  bucketText,
  changeOf,
  changeText,
  countText,
  percentText,
  shortCountText,
} from './format.ts';
import { groupColumn } from './group-column.ts';
import {
  asNumber,
  centsText,
  exactMoneyText,
  moneyText,
  shareOfMoney,
  shortMoneyText,
} from './money.ts';
import { panel, type Tile, tiles } from './panel.ts';
import { instantText } from './range.ts';
import { bucketsOf, groupLabel, ifPossible, inSlices, type Scene, windowQuery } from './scene.ts';
import { type Group, groupPoints, topGroups } from './series.ts';
import type { Metric } from './state.ts';
import { comparisonNote, freshnessBadge, messageBox } from './status-view.ts';

/** Usage and spend of an org over time, by model or client. */

const shownMax = 7;

const metricNames: Readonly<Record<Metric, string>> = {
  cost: 'Spend',
  invocations: 'Requests',
  tokens: 'Tokens',
};

interface Measure {
  /** For heights, orders and shares. */
  number(sums: UsageSums): number;
  text(sums: UsageSums): string;
  exact(sums: UsageSums): string;
  axis(value: number): string;
}

export async function usageView(scene: Scene, signal: AbortSignal): Promise<Node> {
  const { state, config, org, before, bucketStarts, modelIds } = scene;
  const path = pathTo`/orgs/${org}/usage`;
  const request = { path, query: windowQuery(scene, state.by) };
  const get = (query: typeof request.query) => ask({ path, query }, usageAnswer, signal);
  const groupsExpected = state.by === 'model' ? state.models.length || modelIds.length : 1;
  const [whole, points, sumsBefore, groupsBefore, lineBefore] = await Promise.all([
    get(windowQuery(scene, 'none')),
    state.by === 'none'
      ? []
      : inSlices(scene, groupsExpected, async (range) => {
          const { series } = await get(windowQuery(scene, state.by, { range }));
          return series;
        }),
    ifPossible(before && get(windowQuery(scene, 'none', { range: before.soFar }))),
    ifPossible(
      before === null || state.by === 'none'
        ? null
        : get(windowQuery(scene, state.by, { range: before.soFar, granularity: 'month' })),
    ),
    ifPossible(before && get(windowQuery(scene, 'none', { range: before.whole }))),
  ]);
  const fresh = freshnessBadge(whole.freshness, state.timeZone);
  if (whole.totals.invocations === 0) {
    const widen = button('Show the last 30 days', () => scene.go({ range: { preset: '30d' } }));
    const unfilter = button('Remove the filters', () => scene.go({ models: [], clients: [] }));
    const isFiltered = state.models.length + state.clients.length > 0;
    const isNew = whole.freshness.status === 'empty';
    const advice = isNew
      ? 'No event of this organisation has arrived yet. Events are posted to /analytics/v1/events or published to the stream; they show here within seconds.'
      : 'Nothing happened in this window with these filters.';
    const ways = isNew ? [] : isFiltered ? [unfilter, widen] : [widen];
    return el('div', {}, fresh, messageBox('empty', 'No usage here', [advice], ...ways));
  }

  const measure = measureOf(state.metric, config.currency);
  const total = groupPoints(
    whole.series.map(({ bucketStart: atMs, ...sums }) => ({ atMs, key: '', sums })),
    bucketStarts,
    addUsage,
  );
  const groups =
    state.by === 'none'
      ? total
      : groupPoints(
          points.map(({ bucketStart: atMs, modelId, clientId, ...sums }) => ({
            atMs,
            key: (state.by === 'client' ? clientId : modelId) ?? '',
            sums,
          })),
          bucketStarts,
          addUsage,
        );
  const shown = topGroups(groups, measure.number, shownMax, addUsage);
  const label = (key: string | null) =>
    key === null
      ? `${groups.length - shown.length + 1} others`
      : state.by === 'none'
        ? 'All'
        : groupLabel(scene, key);
  const series = shown.map((group, index) => chartSeries(group, label(group.key), index, measure));
  const [all] = total;
  const overlay =
    lineBefore === null || before === null || lineBefore.totals.invocations === 0
      ? null
      : beforeSeries(scene, before.whole, lineBefore.series, measure);

  return el(
    'div',
    {},
    fresh,
    tiles(totalTiles(scene, whole.totals, sumsBefore?.totals ?? null)),
    comparisonNote(before, sumsBefore),
    panel({
      title: `${metricNames[state.metric]} over time`,
      controls: [
        segmented(
          'Break down by',
          [
            { value: 'model', label: 'By model' },
            { value: 'client', label: 'By client' },
            { value: 'none', label: 'Total' },
          ],
          state.by,
          (by) => scene.go({ by }),
        ),
      ],
      request,
      chart: {
        label: `${metricNames[state.metric]} over time, ${measure.text(whole.totals)} in total`,
        bucketStarts,
        range: scene.range,
        granularity: scene.granularity,
        timeZone: state.timeZone,
        series,
        isStacked: true,
        totals: bucketStarts.map((_, index) => textAt(all, index, measure)),
        axisText: measure.axis,
        onZoom: (range) => scene.go({ range }),
        ...(overlay === null ? {} : { over: overlay }),
      },
      table: {
        caption: `${metricNames[state.metric]} by time`,
        rows: bucketStarts.map((ms, index) => ({ ms, index })),
        columns: [
          {
            label: 'Time',
            cell: ({ ms }) => bucketText(ms, scene.granularity, state.timeZone),
            order: ({ ms }) => ms,
          },
          ...(state.by === 'none' ? [] : shown).map((group) => ({
            label: label(group.key),
            isNumber: true,
            cell: ({ index }: { index: number }) => cellAt(group, index, measure),
            order: ({ index }: { index: number }) => numberAt(group, index, measure),
          })),
          {
            label: 'Total',
            isNumber: true,
            cell: ({ index }) => cellAt(all, index, measure),
            order: ({ index }) => numberAt(all, index, measure),
          },
        ],
      },
      csv: () => ({ headings: csvHeadings, rows: csvRows(scene, groups) }),
    }),
    state.by !== 'none' &&
      rankingPanel(
        scene,
        groups,
        whole.totals,
        groupsBefore !== null && groupsBefore.totals.invocations > 0 ? groupsBefore.series : null,
        measure,
        request,
      ),
  );
}

function measureOf(metric: Metric, currency: string): Measure {
  if (metric === 'cost') {
    return {
      number: ({ costEstimateCents }) => asNumber(costEstimateCents),
      text: ({ costEstimateCents }) => moneyText(costEstimateCents, currency),
      exact: ({ costEstimateCents }) => exactMoneyText(costEstimateCents, currency),
      axis: (value) => shortMoneyText(value, currency),
    };
  }
  const number =
    metric === 'tokens'
      ? ({ inputTokens, outputTokens }: UsageSums) => inputTokens + outputTokens
      : ({ invocations }: UsageSums) => invocations;
  const text = (sums: UsageSums) => countText(number(sums));
  return { number, text, exact: text, axis: shortCountText };
}

function addUsage(one: UsageSums, other: UsageSums): UsageSums {
  return {
    invocations: one.invocations + other.invocations,
    errors: one.errors + other.errors,
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    costEstimateCents: one.costEstimateCents + other.costEstimateCents,
  };
}

function chartSeries(
  group: Group<UsageSums>,
  label: string,
  index: number,
  measure: Measure,
): ChartSeries {
  return {
    label,
    color: group.key === null ? 'other' : `series-${index + 1}`,
    values: group.points.map((sums) => (sums === null ? null : measure.number(sums))),
    texts: group.points.map((sums) => (sums === null ? '–' : measure.text(sums))),
  };
}

/** The period before, bucket for bucket from its beginning. */
function beforeSeries(
  { granularity, bucketStarts, state }: Scene,
  before: { startMs: number; endMs: number },
  series: readonly ({ bucketStart: number } & UsageSums)[],
  measure: Measure,
): ChartSeries {
  const starts =
    before.startMs < before.endMs ? bucketsOf(before, granularity, state.timeZone) : [];
  const byStart = new Map(series.map((point) => [point.bucketStart, point]));
  const at = (index: number) => byStart.get(starts[index] ?? Number.NaN);
  return {
    label: 'Previous period',
    color: 'before',
    isDashed: true,
    values: bucketStarts.map((_, index) => {
      const sums = at(index);
      return sums === undefined ? (index < starts.length ? 0 : null) : measure.number(sums);
    }),
    texts: bucketStarts.map((_, index) => {
      const sums = at(index);
      return sums === undefined ? '–' : measure.text(sums);
    }),
  };
}

function textAt(group: Group<UsageSums> | undefined, index: number, measure: Measure): string {
  const sums = group?.points[index] ?? null;
  return sums === null ? '–' : measure.text(sums);
}

function cellAt(group: Group<UsageSums> | undefined, index: number, measure: Measure) {
  const sums = group?.points[index] ?? null;
  return sums === null ? '–' : valueCell(sums, measure);
}

/** Rounded to be read, with every digit to be looked at. */
function valueCell(sums: UsageSums, measure: Measure): HTMLElement {
  return el('span', { title: measure.exact(sums) }, measure.text(sums));
}

function numberAt(group: Group<UsageSums> | undefined, index: number, measure: Measure): number {
  const sums = group?.points[index] ?? null;
  return sums === null ? 0 : measure.number(sums);
}

function totalTiles(scene: Scene, totals: UsageSums, before: UsageSums | null): Tile[] {
  const { state, config } = scene;
  const metricTile = (metric: Metric): Tile => {
    const measure = measureOf(metric, config.currency);
    const value =
      metric === 'tokens' ? shortCountText(measure.number(totals)) : measure.text(totals);
    return {
      label: metricNames[metric],
      value,
      exact: measure.exact(totals),
      choose: { isChosen: state.metric === metric, onChoose: () => scene.go({ metric }) },
      ...changeTile(measure.number(totals), before && measure.number(before)),
    };
  };
  const perThousand = ({ costEstimateCents, invocations }: UsageSums) =>
    shareOfMoney(costEstimateCents, invocations, 1_000);
  return [
    metricTile('cost'),
    metricTile('invocations'),
    metricTile('tokens'),
    {
      label: 'Spend per 1,000 requests',
      value: moneyText(perThousand(totals), config.currency),
      ...changeTile(asNumber(perThousand(totals)), before && asNumber(perThousand(before))),
    },
  ];
}

function changeTile(now: number, before: number | null): Pick<Tile, 'change'> {
  if (before === null) return {};
  const change = changeOf(now, before);
  // More usage is neither good nor bad.
  return { change: change === null ? null : { text: changeText(change), isBad: null } };
}

function rankingPanel(
  scene: Scene,
  groups: readonly Group<UsageSums>[],
  totals: UsageSums,
  seriesBefore:
    | readonly ({
        modelId?: string | undefined;
        clientId?: string | null | undefined;
      } & UsageSums)[]
    | null,
  measure: Measure,
  request: Parameters<typeof panel>[0]['request'],
): HTMLElement {
  const { state, config } = scene;
  const isByClient = state.by === 'client';
  const rows = groups.toSorted((a, b) => measure.number(b.total) - measure.number(a.total));
  const before = new Map<string, number>();
  for (const point of seriesBefore ?? []) {
    const key = (isByClient ? point.clientId : point.modelId) ?? '';
    before.set(key, (before.get(key) ?? 0) + measure.number(point));
  }
  const all = measure.number(totals);
  const shareOf = ({ total }: Group<UsageSums>) => (all === 0 ? 0 : measure.number(total) / all);
  const changeAt = ({ key, total }: Group<UsageSums>) =>
    changeOf(measure.number(total), before.get(key ?? '') ?? 0);
  const name = isByClient ? 'Client' : 'Model';
  return panel<Group<UsageSums>>({
    title: isByClient ? 'Clients' : 'Models',
    request,
    table: {
      caption: `Totals by ${name.toLowerCase()}`,
      rows,
      columns: [
        groupColumn(scene),
        {
          label: 'Spend',
          isNumber: true,
          cell: ({ total }) => valueCell(total, measureOf('cost', config.currency)),
          order: ({ total }) => asNumber(total.costEstimateCents),
        },
        {
          label: `Share of ${metricNames[state.metric].toLowerCase()}`,
          cell: (group) => {
            const filled = el('i', { class: 'fill' });
            filled.style.width = `${shareOf(group) * 100}%`;
            const bar = el('span', { class: 'bar', 'aria-hidden': 'true' }, filled);
            return el('span', { class: 'share' }, bar, el('span', {}, percentText(shareOf(group))));
          },
          order: shareOf,
        },
        ...(seriesBefore === null
          ? []
          : [
              {
                label: 'Change',
                isNumber: true,
                cell: (group: Group<UsageSums>) => {
                  const change = changeAt(group);
                  return change === null ? 'new' : changeText(change);
                },
                order: changeAt,
              },
            ]),
        {
          label: 'Requests',
          isNumber: true,
          cell: ({ total }) => countText(total.invocations),
          order: ({ total }) => total.invocations,
        },
        {
          label: 'Input tokens',
          isNumber: true,
          cell: ({ total }) => countText(total.inputTokens),
          order: ({ total }) => total.inputTokens,
        },
        {
          label: 'Output tokens',
          isNumber: true,
          cell: ({ total }) => countText(total.outputTokens),
          order: ({ total }) => total.outputTokens,
        },
      ],
    },
    csv: () => ({
      headings: [`${name.toLowerCase()}_id`, `${name.toLowerCase()}_name`, ...sumHeadings],
      rows: rows.map(({ key, total }) => [key, groupLabel(scene, key ?? ''), ...sumCells(total)]),
    }),
  });
}

const sumHeadings = [
  'invocations',
  'errors',
  'input_tokens',
  'output_tokens',
  'cost_estimate_cents',
];
const csvHeadings = ['bucket_start', 'id', 'name', ...sumHeadings];

function sumCells(sums: UsageSums): (string | number)[] {
  const { invocations, errors, inputTokens, outputTokens, costEstimateCents } = sums;
  return [invocations, errors, inputTokens, outputTokens, centsText(costEstimateCents)];
}

/** Every group, not only those that have a colour. */
function csvRows(scene: Scene, groups: readonly Group<UsageSums>[]): (string | number | null)[][] {
  const { bucketStarts, state } = scene;
  return groups.flatMap(({ key, points }) =>
    points.flatMap((sums, index) => {
      if (sums === null) return [];
      const name = state.by === 'none' ? 'all' : groupLabel(scene, key ?? '');
      return [[instantText(bucketStarts[index] ?? 0), key, name, ...sumCells(sums)]];
    }),
  );
}
