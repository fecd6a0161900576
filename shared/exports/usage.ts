import { localTime } from '../queries/time-window.ts';
import { binsColumn, isNotEmpty, usageSource } from '../queries/usage-query.ts';
import { windowRows } from '../queries/window-sql.ts';
import { packedPercentiles } from '../rollups/histogram.ts';
import { columnReader, csvLine, type ExportFormat, type ExportScope, textCell } from './format.ts';

const columns = [
  'bucket_start',
  'org_id',
  'org_name',
  'model_id',
  'model_name',
  'client_id',
  'invocations',
  'errors',
  'input_tokens',
  'output_tokens',
  'tokens_total',
  'cost_estimate_cents',
  'error_rate',
  'latency_p50_ms',
  'latency_p95_ms',
  'latency_p99_ms',
] as const;

const read = columnReader([
  'bucket',
  'org_id',
  'org_name',
  'model_id',
  'model_name',
  'client_id',
  'invocations',
  'errors',
  'input_tokens',
  'output_tokens',
  'tokens_total',
  'cost_estimate_cents',
  'histogram',
]);

const source = { ...usageSource, columns: [...usageSource.columns, binsColumn] };

/**
 * Usage and reliability by local bucket, org, model and client. The histograms of a row come as
 * they are and are merged here: in SQL they would be unpacked to many rows each and sorted again.
 */
export function usageFormat({ request, plan, pending }: ExportScope): ExportFormat {
  const bucketStarts = plan.bucketStarts.map((ms) => localTime(ms, plan.window.timeZone));
  const filter = { orgId: request.orgId, modelIds: request.models ?? [], clientIds: [] };
  return {
    columns,
    statement: (values) => `
      with ${windowRows('usage', plan, pending, filter, source, values)}, sums as (
        select bucket, org_id, model_id, client_id,
               sum(success_count + error_count + timeout_count + throttled_count)::bigint
                 as invocations,
               sum(error_count + timeout_count + throttled_count)::bigint as errors,
               sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
               trim_scale(sum(cost_estimate_cents)) as cost_estimate_cents,
               string_agg(latency_bins, ',') as histogram
        from usage
        group by bucket, org_id, model_id, client_id
        having ${isNotEmpty}
      )
      select bucket, org_id, orgs.name, model_id, models.name, client_id, invocations, errors,
             input_tokens, output_tokens, input_tokens + output_tokens, cost_estimate_cents,
             histogram
      from sums
      left join analytics.orgs using (org_id)
      left join analytics.models using (model_id)
      order by bucket, org_id, model_id, client_id`,
    toLines: (row, totals) => {
      const value = read(row);
      const [invocations, errors] = [value('invocations'), value('errors')];
      const [input, output] = [value('input_tokens'), value('output_tokens')];
      const cost = value('cost_estimate_cents');
      totals.add(invocations, errors, input, output, cost);
      return [
        csvLine([
          bucketStarts[Number(value('bucket')) - 1] ?? '',
          value('org_id'),
          textCell(value('org_name')),
          value('model_id'),
          textCell(value('model_name')),
          textCell(value('client_id')),
          invocations,
          errors,
          input,
          output,
          value('tokens_total'),
          cost,
          errorRate(Number(errors), Number(invocations)),
          ...packedPercentiles(value('histogram')),
        ]),
      ];
    },
  };
}

/** As the reliability API rounds it. */
function errorRate(errors: number, invocations: number): string {
  if (errors === 0) return '0';
  return String(Number((errors / invocations).toFixed(6)));
}
