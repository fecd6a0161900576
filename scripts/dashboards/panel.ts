/** What our dashboards use of Grafana's dashboard JSON (schema version 39, Grafana 11 and later). */

export interface DataSourceRef {
  type: string;
  uid: string;
}

/** Chosen by whoever imports the dashboard, through its variables. */
export const prometheus: DataSourceRef = { type: 'prometheus', uid: `\${prometheus}` };
export const postgresql: DataSourceRef = {
  type: 'grafana-postgresql-datasource',
  uid: `\${postgresql}`,
};

export interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  [more: string]: unknown;
}

/** A panel before it has its number and its place. */
export interface PanelSpec {
  title: string;
  width: number;
  height: number;
  build(runbook: string): Record<string, unknown>;
}

/** An id of Grafana's unit list. */
export type Unit =
  | 'short'
  | 'percentunit'
  | 's'
  | 'ms'
  | 'bytes'
  | 'reqps'
  | 'dateTimeFromNow'
  | 'currencyUSD'
  | 'suffix: events/s';

/** From this value on it is bad; with `warning`, doubtful from there. */
export interface Limit {
  bad: number;
  warning?: number;
}

export interface PromQuery {
  expr: string;
  /** Grafana's legend format, such as `{{stream}}`. */
  legend: string;
}

interface PanelOptions {
  title: string;
  /** What is seen, and where it comes from. */
  description: string;
  unit: Unit;
  decimals?: number;
  max?: number;
  limit?: Limit;
  /** The runbook's section about it. */
  runbook?: string;
  width?: number;
  height?: number;
}

interface PromOptions extends PanelOptions {
  queries: readonly PromQuery[];
}

interface SqlOptions extends PanelOptions {
  sql: string;
}

type QueryOptions = PromOptions | SqlOptions;

/** Lines over time; SQL gives `time`, `metric` where there are several lines, and the values. */
export function timeSeries(options: QueryOptions & { stacked?: boolean; bars?: boolean }) {
  const { stacked = false, bars = false, limit, width = 12, height = 8 } = options;
  return spec(options, width, height, {
    type: 'timeseries',
    targets: targetsOf(options, 'time_series'),
    custom: {
      drawStyle: bars ? 'bars' : 'line',
      lineWidth: 1,
      fillOpacity: stacked || bars ? 60 : 10,
      showPoints: 'auto',
      spanNulls: false,
      stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
      thresholdsStyle: { mode: limit === undefined ? 'off' : 'line' },
    },
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  });
}

/** One number, coloured by its limit. */
export function stat(options: QueryOptions) {
  const { width = 4, height = 4 } = options;
  return spec(options, width, height, {
    type: 'stat',
    targets: targetsOf(options, 'table', true),
    options: {
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'auto',
      orientation: 'auto',
      textMode: 'auto',
      wideLayout: true,
      showPercentChange: false,
      percentChangeColorMode: 'standard',
    },
  });
}

/** Rows of SQL. Columns whose unit is another than the panel's are named in `columns`. */
export function table(options: SqlOptions & { columns: Record<string, Unit>; sortBy: string }) {
  const { columns, sortBy, width = 12, height = 8 } = options;
  return spec(options, width, height, {
    type: 'table',
    targets: targetsOf(options, 'table'),
    overrides: Object.entries(columns).map(([name, unit]) => ({
      matcher: { id: 'byName', options: name },
      properties: [{ id: 'unit', value: unit }],
    })),
    options: {
      frameIndex: 0,
      showHeader: true,
      cellHeight: 'sm',
      sortBy: [{ displayName: sortBy, desc: true }],
    },
  });
}

interface Parts {
  type: string;
  targets: readonly Record<string, unknown>[];
  custom?: Record<string, unknown>;
  overrides?: readonly Record<string, unknown>[];
  options: Record<string, unknown>;
}

function spec(options: QueryOptions, width: number, height: number, parts: Parts): PanelSpec {
  const { title, description, unit, decimals, max, limit, runbook: section } = options;
  return {
    title,
    width,
    height,
    build: (runbook) => ({
      type: parts.type,
      description,
      datasource: 'sql' in options ? postgresql : prometheus,
      fieldConfig: {
        defaults: {
          unit,
          ...(decimals === undefined ? {} : { decimals }),
          min: 0,
          ...(max === undefined ? {} : { max }),
          color: { mode: parts.type === 'timeseries' ? 'palette-classic' : 'thresholds' },
          thresholds: { mode: 'absolute', steps: thresholdSteps(limit) },
          custom: parts.custom ?? {},
        },
        overrides: parts.overrides ?? [],
      },
      options: parts.options,
      targets: parts.targets,
      links: [link({ title: 'Runbook', url: `${runbook}#${section ?? 'dashboard-missing-data'}` })],
    }),
  };
}

/** A link with every field that Grafana's schema asks for. */
export function link(fields: Record<string, unknown>) {
  return {
    type: 'link',
    title: '',
    url: '',
    tags: [],
    asDropdown: false,
    includeVars: false,
    keepTime: false,
    targetBlank: true,
    icon: 'doc',
    tooltip: '',
    ...fields,
  };
}

function targetsOf(
  options: QueryOptions,
  format: 'time_series' | 'table',
  instant = false,
): Record<string, unknown>[] {
  if ('sql' in options) {
    return [
      {
        refId: 'A',
        datasource: postgresql,
        editorMode: 'code',
        format,
        rawQuery: true,
        rawSql: options.sql,
      },
    ];
  }
  return options.queries.map(({ expr, legend }, index) => ({
    refId: String.fromCharCode('A'.charCodeAt(0) + index),
    datasource: prometheus,
    editorMode: 'code',
    expr,
    legendFormat: legend,
    instant,
    range: !instant,
  }));
}

function thresholdSteps(limit: Limit | undefined) {
  return [
    { color: 'green', value: null },
    ...(limit?.warning === undefined ? [] : [{ color: 'orange', value: limit.warning }]),
    ...(limit === undefined ? [] : [{ color: 'red', value: limit.bad }]),
  ];
}
