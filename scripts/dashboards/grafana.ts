import type * as grafana from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as TableColumn,
  Options as TableOptions,
} from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type {
  Options as TimeSeriesOptions,
  FieldConfig as TimeSeriesStyle,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/**
 * What our dashboards use of Grafana's dashboard JSON (schema version 39, Grafana 11 and later), by
 * the types that Grafana publishes: a field of a wrong name or type does not compile.
 */
export interface Dashboard
  extends Written<Omit<grafana.Dashboard, 'annotations' | 'panels' | 'templating'>> {
  annotations: { list: Annotation[] };
  templating: { list: Variable[] };
  panels: (Row | Panel)[];
}

/**
 * Grafana 11 reads the query from the annotation itself, where older schemas had it; later versions
 * take it over into `target`, which is all that the published type knows.
 */
export interface Annotation extends Written<grafana.AnnotationQuery> {
  expr: string;
  step: string;
  titleFormat: string;
  useValueForTime: boolean;
}

export type Variable = Written<grafana.VariableModel>;
export type Link = Written<grafana.DashboardLink>;
export type Row = Written<grafana.RowPanel>;

export interface Panel extends Written<Omit<grafana.Panel, 'fieldConfig' | 'options' | 'targets'>> {
  fieldConfig: {
    defaults: Written<Omit<grafana.FieldConfig, 'custom'>> & { custom: Look['custom'] };
    overrides: Override[];
  };
  options: Look['options'];
  targets: Target[];
}

/** How a kind of panel looks: the options of its plugin. */
export type Look =
  | { type: 'timeseries'; options: Written<TimeSeriesOptions>; custom: Written<TimeSeriesStyle> }
  | { type: 'stat'; options: Written<StatOptions>; custom: Record<string, never> }
  | { type: 'table'; options: Written<TableOptions>; custom: Partial<Written<TableColumn>> };

export type Override = Written<grafana.FieldConfigSource['overrides'][number]>;
export type Threshold = Written<grafana.Threshold>;

/** What is published says what all queries have in common; the rest is the data sources' own. */
export type Target = PrometheusQuery | PostgresqlQuery;

interface PrometheusQuery extends Written<grafana.DataQuery> {
  editorMode: 'code';
  expr: string;
  legendFormat: string;
  instant: boolean;
  range: boolean;
}

interface PostgresqlQuery extends Written<grafana.DataQuery> {
  editorMode: 'code';
  format: 'time_series' | 'table';
  rawQuery: true;
  rawSql: string;
}

/** As JSON has it: a member of an enum is its value. */
type Written<T> = T extends string
  ? `${T}`
  : T extends readonly (infer Item)[]
    ? Written<Item>[]
    : T extends object
      ? { [Key in keyof T]: Written<T[Key]> }
      : T;
