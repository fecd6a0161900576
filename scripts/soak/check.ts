import type { Database } from '../../shared/platform/database/db.ts';
import { tokensOfFirst } from './event.ts';

/** What is wrong with what is stored of the first `sent` events; empty when nothing is. */
export async function storageFaults(database: Database, sent: number): Promise<string[]> {
  const options = { statementTimeoutMs: 1_800_000 };
  return database.transaction(options, async (transaction) => {
    const faults: string[] = [];
    const [stored] = await transaction.query<{ rows: number; events: number; tokens: number }>(
      `select count(*)::float8 as rows, count(distinct event_id)::float8 as events,
              coalesce(sum(input_tokens), 0)::float8 as tokens
       from analytics.usage_events`,
    );
    if (stored?.rows !== sent || stored.events !== sent) {
      faults.push(`${stored?.rows} rows of ${stored?.events} events are stored, of ${sent} sent`);
    }
    if (stored?.tokens !== tokensOfFirst(sent)) {
      faults.push(`${stored?.tokens} input tokens are stored, not ${tokensOfFirst(sent)}`);
    }
    for (const [step, table] of [
      ['hour', 'usage_hourly'],
      ['day', 'usage_daily'],
    ]) {
      const [different] = await transaction.query<{ buckets: number }>(
        `with raw as (
           select org_id, date_trunc($1, occurred_at, 'UTC') as bucket_start, model_id, client_id,
                  count(*) as events, count(*) filter (where status = 'error') as errors,
                  sum(input_tokens) as input, sum(output_tokens) as output,
                  sum(cost_estimate_cents) as cost
           from analytics.usage_events group by 1, 2, 3, 4
         ), rolled as (
           select org_id, bucket_start, model_id, client_id,
                  success_count + error_count + timeout_count + throttled_count as events,
                  error_count as errors, input_tokens as input, output_tokens as output,
                  cost_estimate_cents as cost
           from analytics.${table}
         )
         select count(*)::float8 as buckets
         from (select 1 from raw full join rolled
                 using (org_id, bucket_start, model_id, client_id)
               where (raw.events, raw.errors, raw.input, raw.output, raw.cost)
                     is distinct from
                     (rolled.events, rolled.errors, rolled.input, rolled.output, rolled.cost)) d`,
        [step],
      );
      if (different?.buckets !== 0) {
        faults.push(`${different?.buckets} buckets of ${table} differ from the raw rows`);
      }
    }
    return faults;
  });
}
