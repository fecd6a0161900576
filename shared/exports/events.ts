import { type Values, withinWindow } from '../queries/window-sql.ts';
import { columnReader, csvLine, type ExportFormat, type ExportScope, textCell } from './format.ts';

/** Every stored column but metadata; times in UTC, since an incident is read across zones. */
export const eventColumns = [
  'occurred_at',
  'event_id',
  'org_id',
  'model_id',
  'actor_id',
  'client_id',
  'latency_ms',
  'status',
  'error_code',
  'input_tokens',
  'output_tokens',
  'cost_estimate_cents',
  'input_cost_cents',
  'output_cost_cents',
  'batch_id',
] as const;

/** Texts of somebody else, which are guarded against spreadsheets. */
export const eventTextColumns = ['client_id', 'error_code'] as const;

const read = columnReader(eventColumns);
const texts = new Set<number>(eventTextColumns.map((name) => eventColumns.indexOf(name)));

/** The raw events of a window, oldest first. */
export function eventsFormat({ request, plan }: ExportScope): ExportFormat {
  return {
    columns: eventColumns,
    statement: (values: Values) => `
      select to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
             event_id, org_id, model_id, actor_id, client_id, latency_ms, status, error_code,
             input_tokens, output_tokens, trim_scale(cost_estimate_cents),
             trim_scale(input_cost_cents), trim_scale(output_cost_cents), batch_id
      from analytics.usage_events e
      where ${withinWindow(request, plan.window, values)}
      order by occurred_at, org_id, event_id`,
    toLines: (row, totals) => {
      const value = read(row);
      totals.add(
        '1',
        value('status') === 'success' ? '0' : '1',
        value('input_tokens'),
        value('output_tokens'),
        value('cost_estimate_cents'),
      );
      const cells = row.map((value, index) =>
        texts.has(index) ? textCell(value ?? '') : (value ?? ''),
      );
      return [csvLine(cells)];
    },
  };
}
