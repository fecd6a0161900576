import type { Queryable } from '../platform/database/db.ts';
import { binSql, packedPercentiles, packSql } from './histogram.ts';
import { lastBatchBefore } from './recent-batches.ts';

/** What an org's users have just met. */
export interface RecentUsage {
  orgId: string;
  /** Of error, timeout and throttled, 0 to 1. */
  errorRate: number;
  /** Whole milliseconds, within 2%, as the API has them. */
  latencyMs: { p50: number; p95: number; p99: number };
}

const windowMs = 5 * 60_000;
/** Below this a rate says little: one event of five is 20%. */
const eventsMin = 20;
/** The busiest; bounds what one scrape reads into memory. */
const orgsMax = 5_000;
/** A batch takes its number before it commits, and may take a minute (its statement time-out). */
const commitMaxMs = 60_000;

/**
 * Error rate and latency of each org with at least 20 events of the last 5 minutes.
 *
 * Events of that time were stored in that time, so they are found by their batch: the BRIN index
 * on batch_id gives the newest pages of one partition, where the primary key, which begins with the
 * org, would be walked whole (28 ms with 2 million events in the day; 300 ms before the day's first
 * ANALYZE). The time bounds are parameters: with computed ones all 400 partitions are locked.
 */
export async function recentUsage(snapshot: Queryable, now: Date): Promise<RecentUsage[]> {
  const since = new Date(now.getTime() - windowMs);
  const batch = await lastBatchBefore(snapshot, new Date(since.getTime() - commitMaxMs));
  const rows = await snapshot.query<{ org_id: string; error_rate: number; histogram: string }>(
    `select org_id, (sum(errors) / sum(events))::float8 as error_rate,
            string_agg((${packSql('bin', 'events')})::text, ',' order by bin) as histogram
     from (
       select org_id, ${binSql('latency_ms')} as bin, count(*) as events,
              count(*) filter (where status <> 'success') as errors
       from analytics.usage_events
       where occurred_at >= $1 and occurred_at < $2 and batch_id > $3
       group by 1, 2
     ) as bins
     group by org_id
     having sum(events) >= $4
     order by sum(events) desc, org_id
     limit $5`,
    [since, now, batch, eventsMin, orgsMax],
  );
  return rows.map((row) => {
    const [p50, p95, p99] = packedPercentiles(row.histogram).map(Number);
    return {
      orgId: row.org_id,
      errorRate: row.error_rate,
      latencyMs: { p50: p50 ?? 0, p95: p95 ?? 0, p99: p99 ?? 0 },
    };
  });
}
