import type { Annotation, Dashboard, Variable } from './grafana.ts';
import { link, type PanelSpec, postgresql, prometheus } from './panel.ts';
import { namedApart } from './scope.ts';

/** Panels under a heading, laid out from left to right. */
export interface Row {
  title: string;
  panels: readonly PanelSpec[];
}

export interface DashboardSpec {
  uid: string;
  title: string;
  description: string;
  /** Grafana's relative time, such as `now-30d/d`. */
  from: string;
  refresh: string;
  /** The buckets that SQL panels show at first; a variable offers both. */
  buckets: Buckets;
  rows: readonly Row[];
}

type Buckets = 'days' | 'hours';

/** The dashboard as JSON that Grafana imports. */
export function dashboard(spec: DashboardSpec, runbook: string): Dashboard {
  const { uid, title, description, from, refresh, buckets, rows } = spec;
  return {
    uid,
    title,
    description,
    tags: ['analytics'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    // Buckets are UTC hours and days.
    timezone: 'utc',
    time: { from, to: 'now' },
    refresh,
    graphTooltip: 1,
    links: [
      link({
        type: 'dashboards',
        title: 'Analytics',
        tags: ['analytics'],
        includeVars: true,
        targetBlank: false,
        icon: 'external link',
      }),
      link({ title: 'Runbook', url: runbook, tooltip: 'What to do about each alert' }),
    ],
    annotations: { list: [firingAlerts] },
    templating: { list: variables(buckets) },
    panels: laidOut(rows, runbook),
  };
}

const firingAlerts: Annotation = {
  name: 'Alerts',
  datasource: prometheus,
  enable: true,
  iconColor: 'red',
  expr: 'max by (alertname) (ALERTS{alertname=~"Analytics.+", alertstate="firing"})',
  step: '1m',
  titleFormat: '{{alertname}}',
  useValueForTime: false,
};

const selectAll = { text: ['All'], value: ['$__all'] };

const rollups: Record<Buckets, string> = { days: 'usage_daily', hours: 'usage_hourly' };

const variables = (buckets: Buckets): Variable[] => [
  dataSourceVariable('prometheus', 'Prometheus', prometheus.type),
  dataSourceVariable('postgresql', 'PostgreSQL', postgresql.type),
  namedVariable('org', 'Org', 'orgs'),
  namedVariable('model', 'Model', 'models'),
  {
    name: 'rollup',
    label: 'Buckets',
    type: 'custom',
    query: Object.entries(rollups)
      .map(([text, value]) => `${text} : ${value}`)
      .join(', '),
    options: Object.entries(rollups).map(([text, value]) => ({
      text,
      value,
      selected: text === buckets,
    })),
    current: { text: buckets, value: rollups[buckets] },
    multi: false,
    includeAll: false,
  },
];

function dataSourceVariable(name: string, label: string, query: string): Variable {
  return { name, label, type: 'datasource', query, multi: false, includeAll: false, refresh: 1 };
}

/**
 * Every org or model that has ever sent. `All` is a query of its own, which Grafana puts in as it
 * is: a list of thousands of ids would not fit.
 */
function namedVariable(name: string, label: string, names: 'orgs' | 'models'): Variable {
  const id = `${name}_id`;
  return {
    name,
    label,
    type: 'query',
    datasource: postgresql,
    query: `select coalesce(n.name, seen.${id}::text) as __text, seen.${id}::text as __value
from (select distinct ${id} from analytics.freshness_status) as seen
left join ${namedApart(names)} n using (${id})
order by 1`,
    refresh: 1,
    sort: 0,
    multi: true,
    includeAll: true,
    allValue: `select ${id} from analytics.freshness_status`,
    current: selectAll,
  };
}

const columns = 24;

function laidOut(rows: readonly Row[], runbook: string): Dashboard['panels'] {
  const panels: Dashboard['panels'] = [];
  let y = 0;
  const id = () => panels.length + 1;
  for (const { title, panels: specs } of rows) {
    const gridPos = { x: 0, y, w: columns, h: 1 };
    panels.push({ id: id(), type: 'row', title, collapsed: false, gridPos, panels: [] });
    y += 1;
    let [x, height] = [0, 0];
    for (const { title: name, width, height: h, build } of specs) {
      if (x + width > columns) {
        y += height;
        [x, height] = [0, 0];
      }
      const place = { x, y, w: width, h };
      panels.push({ id: id(), title: name, gridPos: place, ...build(runbook) });
      x += width;
      height = Math.max(height, h);
    }
    y += height;
  }
  return panels;
}
