import { type ReliabilitySums, reliabilityAnswer } from './answers.ts';
import { ask, pathTo } from './api.ts';
import type { ChartOptions, ChartSeries } from './chart.ts';
import { button, el, segmented } from './dom.ts';
import {
  bucketText,
  changeOf,
  changeText,
  countText,
  latencyText,
  percentText,
  shortCountText,
} from './format.ts';
import { groupColumn } from './group-column.ts';
import { panel, type Tile, tiles } from './panel.ts';
import { instantText } from './range.ts';
import {
  clientLabel,
  groupLabel,
  ifPossible,
  inSlices,
  modelLabel,
  type Scene,
  windowQuery,
} from './scene.ts';
import { type Group, groupPoints, topGroups } from './series.ts';
import { comparisonNote, freshnessBadge, messageBox } from './status-view.ts';
import type { TableOptions } from './table.ts';

/** Error rate, status mix, latency and top errors of an org. */

const shownMax = 5;

const statuses = ['success', 'error', 'timeout', 'throttled'] as const;
const statusColors = {
  success: 'status-success',
  error: 'status-error',
  timeout: 'status-timeout',
  throttled: 'status-throttled',
} as const;

const latencies = ['p50', 'p95', 'p99'] as const;

export async function reliabilityView(scene: Scene, signal: AbortSignal): Promise<Node> {
  const { state, org, before, bucketStarts, modelIds } = scene;
  const path = pathTo`/orgs/${org}/reliability`;
  const request = { path, query: windowQuery(scene, 'none') };
  const get = (query: typeof request.query) => ask({ path, query }, reliabilityAnswer, signal);
  const groupsExpected = state.by === 'model' ? state.models.length || modelIds.length : 1;
  const [whole, points, wholeBefore] = await Promise.all([
    get(request.query),
    state.by === 'none'
      ? []
      : inSlices(scene, groupsExpected, async (range) => {
          const { series } = await get(windowQuery(scene, state.by, { range }));
          return series;
        }),
    ifPossible(before && get(windowQuery(scene, 'none', { range: before.soFar }))),
  ]);
  const fresh = freshnessBadge(whole.freshness, state.timeZone);
  if (whole.totals.invocations === 0) {
    const widen = button('Show the last 30 days', () => scene.go({ range: { preset: '30d' } }));
    const advice =
      whole.freshness.status === 'empty'
        ? 'No event of this organisation has arrived yet.'
        : 'Nothing was asked in this window with these filters.';
    return el('div', {}, fresh, messageBox('empty', 'No requests here', [advice], widen));
  }
  const [found] = groupPoints(
    whole.series.map(({ bucketStart: atMs, ...sums }) => ({ atMs, key: '', sums })),
    bucketStarts,
    addReliability,
  );
  if (found === undefined) throw new Error('the answer has totals and no series');
  // With its percentiles, which the buckets' do not add up to.
  const all = { ...found, total: whole.totals };
  const groups = groupPoints(
    points.map(({ bucketStart: atMs, modelId, clientId, ...sums }) => ({
      atMs,
      key: (state.by === 'client' ? clientId : modelId) ?? '',
      sums,
    })),
    bucketStarts,
    addReliability,
  );
  const base = {
    bucketStarts,
    range: scene.range,
    granularity: scene.granularity,
    timeZone: state.timeZone,
    onZoom: (range: Scene['range']) => scene.go({ range }),
  };
  const groupRequest = { path, query: windowQuery(scene, state.by) };

  return el(
    'div',
    {},
    fresh,
    tiles(totalTiles(whole.totals, wholeBefore?.totals ?? null)),
    comparisonNote(before, wholeBefore),
    el(
      'div',
      { class: 'columns' },
      errorRatePanel(scene, base, all, groups, groupRequest),
      statusPanel(scene, base, all, request),
      latencyPanel(scene, base, all, groups, state.percentile === 'all' ? request : groupRequest),
      topErrorsPanel(scene, whole.topErrors, whole.totals, request),
    ),
    state.by !== 'none' && groupsPanel(scene, groups, groupRequest),
  );
}

type Base = Pick<ChartOptions, 'bucketStarts' | 'range' | 'granularity' | 'timeZone' | 'onZoom'>;
type Request = Parameters<typeof panel>[0]['request'];
type Reliability = Group<ReliabilitySums>;

/** Counts add up; percentiles do not. */
function addReliability(one: ReliabilitySums, other: ReliabilitySums): ReliabilitySums {
  const statusCounts = {
    success: one.statusCounts.success + other.statusCounts.success,
    error: one.statusCounts.error + other.statusCounts.error,
    timeout: one.statusCounts.timeout + other.statusCounts.timeout,
    throttled: one.statusCounts.throttled + other.statusCounts.throttled,
  };
  const invocations = one.invocations + other.invocations;
  return {
    invocations,
    errorRate: invocations === 0 ? 0 : (invocations - statusCounts.success) / invocations,
    statusCounts,
    latencyMs: { p50: null, p95: null, p99: null },
  };
}

function totalTiles(totals: ReliabilitySums, before: ReliabilitySums | null): Tile[] {
  const change = (now: number | null, then: number | null | undefined): Pick<Tile, 'change'> => {
    if (before === null || now === null) return {};
    const found = changeOf(now, then ?? 0);
    return {
      change:
        found === null
          ? null
          : { text: changeText(found), isBad: Math.abs(found) < 0.005 ? null : found > 0 },
    };
  };
  const requests = changeOf(totals.invocations, before?.invocations ?? 0);
  return [
    {
      label: 'Error rate',
      value: percentText(totals.errorRate),
      ...(before === null ? {} : { change: rateChange(totals.errorRate - before.errorRate) }),
    },
    {
      label: 'Requests',
      value: countText(totals.invocations),
      ...(before === null
        ? {}
        : { change: requests === null ? null : { text: changeText(requests), isBad: null } }),
    },
    ...latencies.map((name) => ({
      label: `Latency ${name}`,
      value: latencyText(totals.latencyMs[name]),
      exact: `${totals.latencyMs[name]} ms`,
      ...change(totals.latencyMs[name], before?.latencyMs[name]),
    })),
  ];
}

/** In points: a percentage of a percentage would be misread. */
function rateChange(change: number): NonNullable<Tile['change']> {
  const sign = change > 0 ? '+' : change < 0 ? '−' : '±';
  const isBad = Math.abs(change) < 0.0005 ? null : change > 0;
  return { text: `${sign}${Math.abs(change * 100).toFixed(2)} points`, isBad };
}

function errorRatePanel(
  scene: Scene,
  base: Base,
  all: Reliability,
  groups: readonly Reliability[],
  request: Request,
): HTMLElement {
  const { state } = scene;
  const shown =
    state.by === 'none'
      ? []
      : topGroups(groups, ({ invocations }) => invocations, shownMax, addReliability);
  const label = (key: string | null) =>
    key === null ? `${groups.length - shown.length + 1} others` : groupLabel(scene, key);
  const rates = (group: Reliability, name: string, color: string): ChartSeries => ({
    label: name,
    color,
    values: group.points.map((sums) => sums?.errorRate ?? null),
    texts: group.points.map((sums) => (sums === null ? '–' : percentText(sums.errorRate))),
  });
  const series = [
    ...shown.map((group, index) =>
      rates(group, label(group.key), group.key === null ? 'other' : `series-${index + 1}`),
    ),
    { ...rates(all, 'All', 'ink'), isDashed: shown.length > 0 },
  ];
  return panel({
    title: 'Error rate',
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
      ...base,
      label: `Error rate over time, ${percentText(all.total.errorRate)} in all`,
      series,
      isStacked: false,
      axisText: (value) => `${Number((value * 100).toFixed(2))}%`,
    },
    table: timeTable(scene, 'Error rate by time', series),
    csv: () => ({
      headings: ['bucket_start', 'id', 'name', ...countHeadings],
      rows: (state.by === 'none' ? [all] : groups).flatMap(({ key, points }) =>
        points.flatMap((sums, index) => {
          if (sums === null) return [];
          const name = state.by === 'none' ? 'all' : groupLabel(scene, key ?? '');
          return [[instantText(base.bucketStarts[index] ?? 0), key, name, ...countCells(sums)]];
        }),
      ),
    }),
  });
}

function statusPanel(scene: Scene, base: Base, all: Reliability, request: Request): HTMLElement {
  const series = statuses.map((status): ChartSeries => {
    const values = all.points.map((sums) => sums?.statusCounts[status] ?? null);
    return {
      label: status,
      color: statusColors[status],
      values,
      texts: values.map((value) => (value === null ? '–' : countText(value))),
    };
  });
  return panel({
    title: 'Status mix',
    request,
    chart: {
      ...base,
      label: `Requests by status over time, ${countText(all.total.invocations)} in all`,
      series,
      isStacked: true,
      totals: all.points.map((sums) => countText(sums?.invocations ?? 0)),
      axisText: shortCountText,
    },
    table: timeTable(scene, 'Requests by status', series),
    csv: () => ({
      headings: ['bucket_start', ...countHeadings],
      rows: all.points.flatMap((sums, index) =>
        sums === null ? [] : [[instantText(base.bucketStarts[index] ?? 0), ...countCells(sums)]],
      ),
    }),
  });
}

function latencyPanel(
  scene: Scene,
  base: Base,
  all: Reliability,
  groups: readonly Reliability[],
  request: Request,
): HTMLElement {
  const { state } = scene;
  const { percentile } = state;
  const line = (
    group: Reliability,
    name: (typeof latencies)[number],
    label: string,
    color: string,
  ): ChartSeries => ({
    label,
    color,
    values: group.points.map((sums) => sums?.latencyMs[name] ?? null),
    texts: group.points.map((sums) => latencyText(sums?.latencyMs[name] ?? null)),
  });
  const series =
    percentile === 'all'
      ? latencies.map((name) => line(all, name, name, `latency-${name}`))
      : [
          // The others are left out: percentiles do not add up.
          ...(state.by === 'none'
            ? []
            : groups
                .toSorted((a, b) => b.total.invocations - a.total.invocations)
                .slice(0, shownMax)
                .map((group, index) =>
                  line(
                    group,
                    percentile,
                    groupLabel(scene, group.key ?? ''),
                    `series-${index + 1}`,
                  ),
                )),
          { ...line(all, percentile, 'All', 'ink'), isDashed: state.by !== 'none' },
        ];
  return panel({
    title: 'Latency',
    controls: [
      segmented(
        'Percentile',
        [
          { value: 'all', label: 'All three' },
          ...latencies.map((value) => ({ value, label: value })),
        ],
        percentile,
        (chosen) => scene.go({ percentile: chosen }),
      ),
    ],
    request,
    chart: {
      ...base,
      label: `Latency over time; p95 is ${latencyText(all.total.latencyMs.p95)} in all`,
      series,
      isStacked: false,
      axisText: (value) => latencyText(value).replace(/\.0+(?= )/, ''),
    },
    table: timeTable(scene, 'Latency by time', series),
    csv: () => ({
      headings: ['bucket_start', 'name', 'latency_ms'],
      rows: series.flatMap(({ label, values }) =>
        values.flatMap((value, index) =>
          value === null ? [] : [[instantText(base.bucketStarts[index] ?? 0), label, value]],
        ),
      ),
    }),
  });
}

function topErrorsPanel(
  scene: Scene,
  errors: readonly {
    errorCode: string | null;
    modelId: string;
    clientId: string | null;
    count: number;
  }[],
  { invocations, statusCounts }: ReliabilitySums,
  request: Request,
): HTMLElement {
  const failed = invocations - statusCounts.success;
  return panel<(typeof errors)[number]>({
    title: 'Top errors',
    request,
    table: {
      caption: 'The most frequent errors',
      rows: errors,
      columns: [
        {
          label: 'Code',
          cell: ({ errorCode }) => el('code', {}, ...breakable(errorCode ?? '(none given)')),
          order: ({ errorCode }) => errorCode,
        },
        {
          label: 'Model',
          cell: ({ modelId }) =>
            button(modelLabel(scene, modelId), () => scene.go({ models: [modelId] }), {
              class: 'link',
              title: `Show ${modelId} alone`,
            }),
          order: ({ modelId }) => modelLabel(scene, modelId),
        },
        {
          label: 'Client',
          cell: ({ clientId }) => clientLabel(clientId ?? ''),
          order: ({ clientId }) => clientId,
        },
        {
          label: 'Count',
          isNumber: true,
          cell: ({ count }) => countText(count),
          order: ({ count }) => count,
        },
        {
          label: 'Of all errors',
          isNumber: true,
          cell: ({ count }) => (failed === 0 ? '–' : percentText(count / failed)),
          order: ({ count }) => count,
        },
      ],
    },
    ...(errors.length === 0 ? { note: 'No request failed.' } : {}),
    csv: () => ({
      headings: ['error_code', 'model_id', 'model_name', 'client_id', 'count'],
      rows: errors.map(({ errorCode, modelId, clientId, count }) => [
        errorCode,
        modelId,
        modelLabel(scene, modelId),
        clientId,
        count,
      ]),
    }),
  });
}

/** How each model or client did over the whole window. Percentiles of buckets do not add up. */
function groupsPanel(scene: Scene, groups: readonly Reliability[], request: Request): HTMLElement {
  const isByClient = scene.state.by === 'client';
  const name = isByClient ? 'Client' : 'Model';
  const rows = groups.toSorted((a, b) => b.total.invocations - a.total.invocations);
  return panel<Reliability>({
    title: `${name}s`,
    request,
    table: {
      caption: `Reliability by ${name.toLowerCase()}`,
      rows,
      columns: [
        groupColumn(scene),
        {
          label: 'Requests',
          isNumber: true,
          cell: ({ total }) => countText(total.invocations),
          order: ({ total }) => total.invocations,
        },
        {
          label: 'Error rate',
          isNumber: true,
          cell: ({ total }) => percentText(total.errorRate),
          order: ({ total }) => total.errorRate,
        },
        ...statuses.map((status) => ({
          label: status,
          isNumber: true,
          cell: ({ total }: Reliability) => countText(total.statusCounts[status]),
          order: ({ total }: Reliability) => total.statusCounts[status],
        })),
      ],
    },
    csv: () => ({
      headings: ['id', 'name', 'invocations', ...statuses, 'error_rate'],
      rows: rows.map(({ key, total }) => [
        key,
        groupLabel(scene, key ?? ''),
        total.invocations,
        ...statuses.map((status) => total.statusCounts[status]),
        total.errorRate,
      ]),
    }),
  });
}

/** A table of what a chart shows. */
function timeTable(
  { granularity, bucketStarts, state }: Scene,
  caption: string,
  series: readonly ChartSeries[],
): TableOptions<{ ms: number; index: number }> {
  return {
    caption,
    rows: bucketStarts.map((ms, index) => ({ ms, index })),
    columns: [
      {
        label: 'Time',
        cell: ({ ms }) => bucketText(ms, granularity, state.timeZone),
        order: ({ ms }) => ms,
      },
      ...series.map(({ label, texts, values }) => ({
        label,
        isNumber: true,
        cell: ({ index }: { index: number }) => texts[index] ?? '–',
        order: ({ index }: { index: number }) => values[index] ?? null,
      })),
    ],
  };
}

const countHeadings = ['invocations', ...statuses, 'error_rate', 'p50_ms', 'p95_ms', 'p99_ms'];

function countCells(sums: ReliabilitySums): (number | null)[] {
  const { invocations, statusCounts, errorRate, latencyMs } = sums;
  return [
    invocations,
    ...statuses.map((status) => statusCounts[status]),
    errorRate,
    latencyMs.p50,
    latencyMs.p95,
    latencyMs.p99,
  ];
}

/** An error code that a narrow column breaks after its underscores: `rate_limit_exceeded`. */
function breakable(code: string): Node[] {
  return code
    .split(/(?<=_)/)
    .flatMap((part, index) => [...(index === 0 ? [] : [el('wbr')]), new Text(part)]);
}
