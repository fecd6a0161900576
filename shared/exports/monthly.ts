import { randomUUID } from 'node:crypto';
import type { Database } from '../platform/database/db.ts';
import type { Settings } from '../platform/env.ts';
import { dayMs } from '../queries/time-window.ts';

/** Months are closed this long after their end: late events have mostly arrived by then. */
const settleMs = 48 * 3_600_000;
/** An org's month is restated at most this often, however its late events trickle in. */
const restateEveryHours = 24;

type RetentionSettings = Pick<Settings, 'EXPORT_RETENTION_DAYS' | 'ROLLUP_RETENTION_DAYS'>;

/**
 * Past UTC months that are closed, whose exports are still kept and whose rollups are still whole,
 * newest first.
 */
export function closedMonths(
  nowMs: number,
  settings: RetentionSettings,
): { start: Date; end: Date }[] {
  const months: { start: Date; end: Date }[] = [];
  const now = new Date(nowMs);
  const oldestEndMs = nowMs - settings.EXPORT_RETENTION_DAYS * dayMs;
  const oldestStartMs = nowMs - settings.ROLLUP_RETENTION_DAYS * dayMs;
  for (let back = 1; ; back += 1) {
    const start = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back));
    const end = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back + 1));
    if (end.getTime() < oldestEndMs || start.getTime() < oldestStartMs) return months;
    if (end.getTime() + settleMs <= nowMs) months.push({ start, end });
  }
}

/**
 * Asks for the export of each closed month of each org that used anything in it: the first once
 * everything received by the month's end is stored, another (a restatement) where the month's sums
 * are no longer those of the last. Whole UTC days, so the daily rollup has all of it.
 *
 * @returns how many exports were asked for
 */
export async function requestMonthlyExports(
  database: Database,
  settings: RetentionSettings,
  nowMs: number,
): Promise<number> {
  let requested = 0;
  for (const { start, end } of closedMonths(nowMs, settings)) {
    await retryFailed(database, start);
    const rows = await database.query<{ org_id: string; revision: number }>(
      `with sums as (
         select org_id,
                sum(success_count + error_count + timeout_count + throttled_count) as invocations,
                sum(error_count + timeout_count + throttled_count) as errors,
                sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
                sum(cost_estimate_cents) as cost
         from analytics.usage_daily
         where bucket_start >= $1 and bucket_start < $2
         group by org_id
       ), latest as (
         select distinct on (org_id) *
         from analytics.export_jobs
         where range_start = $1 and revision is not null
         order by org_id, revision desc
       )
       select org_id, coalesce(latest.revision, 0) + 1 as revision
       from sums left join latest using (org_id)
       where (select bool_and(complete_through >= $2) from analytics.stream_offsets
              where not retired)
         and (latest.job_id is null
              or latest.status in ('succeeded', 'expired')
                 and latest.completed_at < clock_timestamp() - make_interval(hours => $3)
                 and ((latest.totals ->> 'invocations')::numeric,
                      (latest.totals ->> 'errors')::numeric,
                      (latest.totals ->> 'inputTokens')::numeric,
                      (latest.totals ->> 'outputTokens')::numeric,
                      (latest.totals ->> 'costEstimateCents')::numeric)
                     is distinct from (sums.invocations, sums.errors, sums.input_tokens,
                                       sums.output_tokens, sums.cost))
       order by org_id`,
      [start, end, restateEveryHours],
    );
    for (const row of rows) {
      const created = await database.query(
        `insert into analytics.export_jobs
           (job_id, org_id, format, granularity, timezone, range_start, range_end, initiated_by,
            revision)
         values ($1, $2, 'csv', 'day', 'UTC', $3, $4, 'schedule', $5)
         on conflict (range_start, org_id, revision) where revision is not null do nothing
         returning job_id`,
        [randomUUID(), row.org_id, start, end, row.revision],
      );
      requested += created.length;
    }
  }
  return requested;
}

/** A month whose export failed for good is tried anew the next day: nobody else would ask. */
async function retryFailed(database: Database, start: Date): Promise<void> {
  await database.query(
    `update analytics.export_jobs
     set status = 'pending', attempts = 0, next_attempt_at = clock_timestamp(), completed_at = null
     where range_start = $1 and revision is not null and status = 'failed'
       and completed_at < clock_timestamp() - make_interval(hours => $2)`,
    [start, restateEveryHours],
  );
}
