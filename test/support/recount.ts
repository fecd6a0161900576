import type { UsageEvent } from '../../shared/events/usage-event.ts';
import type { Queryable } from '../../shared/platform/database/db.ts';
import { dedupeKey } from './usage-events.ts';

/** Everything but the key: a field that is added and not compared does not compile. */
const contentColumns = {
  modelId: 'model_id',
  actorId: 'actor_id',
  clientId: 'client_id',
  latencyMs: 'latency_ms',
  status: 'status',
  errorCode: 'error_code',
  inputTokens: 'input_tokens',
  outputTokens: 'output_tokens',
  costEstimateCents: 'trim_scale(cost_estimate_cents)',
  inputCostCents: 'trim_scale(input_cost_cents)',
  outputCostCents: 'trim_scale(output_cost_cents)',
} satisfies Record<
  Exclude<keyof UsageEvent, 'orgId' | 'occurredAtMs' | 'eventId' | 'metadata'>,
  string
>;

/** Key and content in one text, the same for an event and for its stored row. */
function fingerprint(event: UsageEvent): string {
  return [
    dedupeKey(event),
    event.modelId,
    event.actorId,
    event.clientId,
    event.latencyMs,
    event.status,
    event.errorCode,
    event.inputTokens,
    event.outputTokens,
    trimmed(event.costEstimateCents),
    trimmed(event.inputCostCents),
    trimmed(event.outputCostCents),
    metadataText(event.metadata),
  ].join('|');
}

function trimmed(cost: string | null): string {
  return cost?.replace(/(\.\d*?)0*$/, '$1').replace(/\.$/, '') ?? '';
}

function metadataText(metadata: UsageEvent['metadata']): string {
  return metadata === null ? '' : JSON.stringify(Object.entries(metadata).sort());
}

/** Compares storage with the events it must hold, row by row, and gives the differences. */
export async function storageDifferences(
  database: Queryable,
  expected: Iterable<UsageEvent>,
): Promise<{ missing: string[]; surplus: string[] }> {
  const missing = new Set<string>();
  for (const event of expected) missing.add(fingerprint(event));
  const content = Object.values(contentColumns).join(", '|', ");
  const stored = await database.query<{ text: string; metadata: UsageEvent['metadata'] }>(
    `select concat(
       org_id, '/', (extract(epoch from occurred_at) * 1000)::bigint, '/', event_id, '|',
       ${content}, '|') as text, metadata
     from analytics.usage_events`,
  );
  const surplus: string[] = [];
  for (const { text, metadata } of stored) {
    const row = text + metadataText(metadata);
    if (!missing.delete(row)) surplus.push(row);
  }
  return { missing: [...missing], surplus };
}

/**
 * Rollup rows that differ from a recount of the raw rows, of all four tables: empty when they
 * agree. Everything must be folded. Histograms are compared bin by bin, by DESIGN 8's formula.
 */
export async function rollupDifferences(database: Queryable): Promise<unknown[]> {
  const differences: unknown[] = [];
  for (const [step, usage, errors] of [
    ['hour', 'usage_hourly', 'error_hourly'],
    ['day', 'usage_daily', 'error_daily'],
  ]) {
    const keys = `org_id, date_trunc('${step}', occurred_at, 'UTC'), model_id, client_id`;
    const counts = `${keys},
      count(*) filter (where status = 'success'), count(*) filter (where status = 'error'),
      count(*) filter (where status = 'timeout'), count(*) filter (where status = 'throttled'),
      sum(input_tokens), sum(output_tokens), sum(cost_estimate_cents)`;
    const bin = 'case when latency_ms < 1 then -1 else ceil(25 * ln(latency_ms::float8))::int end';
    const histogramColumns = 'org_id, bucket_start, model_id, client_id';
    const pairs = [
      [
        `select ${counts} from analytics.usage_events group by 1, 2, 3, 4`,
        `select ${histogramColumns}, success_count, error_count, timeout_count, throttled_count,
                input_tokens, output_tokens, cost_estimate_cents
         from analytics.${usage}`,
      ],
      [
        `select ${keys}, ${bin}, count(*) from analytics.usage_events group by 1, 2, 3, 4, 5`,
        `select ${histogramColumns}, ((packed & 511) - 1)::int, packed >> 9
         from analytics.${usage}, unnest(latency_histogram) as packed`,
      ],
      [
        `select ${keys}, coalesce(error_code, ''), count(*) from analytics.usage_events
         where status <> 'success' group by 1, 2, 3, 4, 5`,
        `select ${histogramColumns}, error_code, event_count from analytics.${errors}`,
      ],
    ];
    for (const [raw, rolled] of pairs) {
      const rows = await database.query(
        `(select 'only raw' as side, * from ((${raw}) except all (${rolled})) as a)
         union all
         (select 'only rolled up', * from ((${rolled}) except all (${raw})) as b)
         limit 5`,
      );
      differences.push(...rows.map((row) => ({ table: usage, ...row })));
    }
  }
  return differences;
}
