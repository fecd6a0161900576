import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { statLook, tableLook, timeSeriesLook } from './panel-looks.ts';

/** Our dashboards as Grafana reads them: what it needs, and nothing that we did not mean. */

const prometheusRef = z.strictObject({
  type: z.literal('prometheus'),
  uid: z.literal(`\${prometheus}`),
});
const postgresqlRef = z.strictObject({
  type: z.literal('grafana-postgresql-datasource'),
  uid: z.literal(`\${postgresql}`),
});
const text = z.string().min(1);
const size = z.int().min(0);

const link = z.strictObject({
  type: z.enum(['dashboards', 'link']),
  title: text,
  tags: z.array(text),
  asDropdown: z.boolean(),
  includeVars: z.boolean(),
  keepTime: z.boolean(),
  targetBlank: z.boolean(),
  icon: text,
  tooltip: z.string(),
  url: z.string(),
});

const promTarget = z.strictObject({
  refId: z.string().regex(/^[A-Z]$/),
  datasource: prometheusRef,
  editorMode: z.literal('code'),
  expr: text,
  legendFormat: text,
  instant: z.boolean(),
  range: z.boolean(),
});
const sqlTarget = z.strictObject({
  refId: z.string().regex(/^[A-Z]$/),
  datasource: postgresqlRef,
  editorMode: z.literal('code'),
  format: z.enum(['time_series', 'table']),
  rawQuery: z.literal(true),
  rawSql: text,
});

const gridPos = z.strictObject({
  x: size.max(23),
  y: size,
  w: z.int().min(1).max(24),
  h: z.int().min(1),
});

const row = z.strictObject({
  id: z.int().min(1),
  type: z.literal('row'),
  title: text,
  collapsed: z.literal(false),
  gridPos,
  panels: z.tuple([]),
});

/** A panel of one kind: what all have in common, with its own look. */
function panelOf<Type extends string, Custom extends z.ZodType, Options extends z.ZodType>(
  type: Type,
  { custom, options }: { custom: Custom; options: Options },
) {
  return z.strictObject({
    id: z.int().min(1),
    type: z.literal(type),
    title: text,
    description: text,
    datasource: z.union([prometheusRef, postgresqlRef]),
    gridPos,
    fieldConfig: z.strictObject({
      defaults: z.strictObject({
        unit: text,
        decimals: size.optional(),
        min: z.number(),
        max: z.number().optional(),
        color: z.strictObject({ mode: z.enum(['palette-classic', 'thresholds']) }),
        thresholds: z.strictObject({
          mode: z.literal('absolute'),
          steps: z
            .array(z.strictObject({ color: text, value: z.number().nullable() }))
            .min(1)
            .refine(([first]) => first?.value === null, 'the first step has no value'),
        }),
        custom,
      }),
      overrides: z.array(
        z.strictObject({
          matcher: z.strictObject({ id: z.literal('byName'), options: text }),
          properties: z.array(z.strictObject({ id: z.literal('unit'), value: text })),
        }),
      ),
    }),
    options,
    targets: z.array(z.union([promTarget, sqlTarget])).min(1),
    links: z.array(link.extend({ title: text, url: z.url() })).min(1),
  });
}

const queryPanel = z.discriminatedUnion('type', [
  panelOf('timeseries', timeSeriesLook),
  panelOf('stat', statLook),
  panelOf('table', tableLook),
]);

const option = z.strictObject({ text, value: text, selected: z.boolean() });
const variable = z.union([
  z.strictObject({
    name: z.enum(['prometheus', 'postgresql']),
    label: text,
    type: z.literal('datasource'),
    query: z.enum(['prometheus', 'grafana-postgresql-datasource']),
    multi: z.literal(false),
    includeAll: z.literal(false),
    refresh: z.literal(1),
  }),
  z.strictObject({
    name: text,
    label: text,
    type: z.literal('query'),
    datasource: postgresqlRef,
    query: text,
    refresh: z.literal(1),
    sort: z.literal(0),
    multi: z.literal(true),
    includeAll: z.literal(true),
    allValue: text,
    current: z.strictObject({
      text: z.tuple([z.literal('All')]),
      value: z.tuple([z.literal('$__all')]),
    }),
  }),
  z.strictObject({
    name: text,
    label: text,
    type: z.literal('custom'),
    query: text,
    options: z.array(option).min(1),
    current: z.strictObject({ text, value: text }),
    multi: z.literal(false),
    includeAll: z.literal(false),
  }),
]);

const dashboardForm = z.strictObject({
  uid: z.string().regex(/^[\w-]{1,40}$/),
  title: text,
  description: text,
  tags: z.array(text),
  schemaVersion: z.literal(39),
  version: z.int(),
  editable: z.boolean(),
  timezone: z.literal('utc'),
  time: z.strictObject({ from: z.string().startsWith('now-'), to: z.literal('now') }),
  refresh: z.string().regex(/^\d+[smh]$/),
  graphTooltip: z.literal(1),
  links: z.array(link),
  annotations: z.strictObject({
    list: z.array(
      z.strictObject({
        name: text,
        datasource: prometheusRef,
        enable: z.boolean(),
        iconColor: text,
        expr: text,
        step: text,
        titleFormat: text,
        useValueForTime: z.literal(false),
      }),
    ),
  }),
  templating: z.strictObject({ list: z.array(variable) }),
  panels: z.array(z.union([row, queryPanel])).min(1),
});

export type Dashboard = z.output<typeof dashboardForm>;
export type QueryPanel = z.output<typeof queryPanel>;
type SqlTarget = z.output<typeof sqlTarget>;

export const dashboardNames = ['usage', 'reliability'] as const;

/** @throws ZodError where a dashboard is not what Grafana needs. */
export async function readDashboard(name: (typeof dashboardNames)[number]): Promise<Dashboard> {
  const file = new URL(`../../dashboards/${name}.json`, import.meta.url);
  return dashboardForm.parse(JSON.parse(await readFile(file, 'utf8')));
}

export function queryPanels({ panels }: Dashboard): QueryPanel[] {
  return panels.filter((panel): panel is QueryPanel => panel.type !== 'row');
}

/** Every query in PromQL, with the panel that asks it. */
export function promqlOf(dashboard: Dashboard): { panel: string; expr: string }[] {
  return [
    ...dashboard.annotations.list.map(({ name, expr }) => ({ panel: name, expr })),
    ...queryPanels(dashboard).flatMap(({ title, targets }) =>
      targets.flatMap((target) => ('expr' in target ? [{ panel: title, expr: target.expr }] : [])),
    ),
  ];
}

/** Every query in SQL, with the panel that asks it. */
export function sqlOf(dashboard: Dashboard): ({ panel: string } & SqlTarget)[] {
  return queryPanels(dashboard).flatMap(({ title, targets }) =>
    targets.flatMap((target) => ('rawSql' in target ? [{ panel: title, ...target }] : [])),
  );
}
