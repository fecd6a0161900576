import type { Link, Look, Override, Panel, Target, Threshold } from './grafana.ts';

interface DataSource {
  type: string;
  uid: string;
}

/** Chosen by whoever imports the dashboard, through its variables. */
export const prometheus: DataSource = { type: 'prometheus', uid: `\${prometheus}` };
export const postgresql: DataSource = {
  type: 'grafana-postgresql-datasource',
  uid: `\${postgresql}`,
};

/** A panel before it has its number and its place. */
export interface PanelSpec {
  title: string;
  width: number;
  height: number;
  build(runbook: string): PanelBody;
}

type PanelBody = Omit<Panel, 'id' | 'title' | 'gridPos'>;

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
    custom: {},
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
    custom: {},
    overrides: Object.entries(columns).map(
      ([name, unit]): Override => ({
        matcher: { id: 'byName', options: name },
        properties: [{ id: 'unit', value: unit }],
      }),
    ),
    options: {
      frameIndex: 0,
      showHeader: true,
      cellHeight: 'sm',
      sortBy: [{ displayName: sortBy, desc: true }],
    },
  });
}

type Parts = Look & { targets: Target[]; overrides?: Override[] };

function spec(options: QueryOptions, width: number, height: number, parts: Parts): PanelSpec {
  const { title, description, unit, decimals, max, limit, runbook: section } = options;
  return {
    title,
    width,
    height,
    // The type is said here too: of what an arrow gives, unknown fields would not be noticed.
    build: (runbook): PanelBody => ({
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
          custom: parts.custom,
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
export function link(fields: Partial<Link>): Link {
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
): Target[] {
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
  return options.queries.map(
    ({ expr, legend }, index): Target => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: prometheus,
      editorMode: 'code',
      expr,
      legendFormat: legend,
      instant,
      range: !instant,
    }),
  );
}

function thresholdSteps(limit: Limit | undefined): Threshold[] {
  return [
    { color: 'green', value: null },
    ...(limit?.warning === undefined ? [] : [{ color: 'orange', value: limit.warning }]),
    ...(limit === undefined ? [] : [{ color: 'red', value: limit.bad }]),
  ];
}
