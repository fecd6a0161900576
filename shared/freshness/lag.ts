import type { Queryable } from '../platform/database/db.ts';

/** How far behind orgs are, in seconds. */
export interface FreshnessLags {
  maxSeconds: number;
  /** The worst, at most 50; among equals those with the latest events. */
  orgs: { orgId: string; seconds: number }[];
}

const orgsMax = 50;
/** Where folding waits, the orgs that wait longest are in the oldest batches. */
const batchesMax = 20;
/** Older events of a waiting batch are not looked at: each day of them is another partition. */
const lookBackMs = 2 * 86_400_000;

/** Seconds since everything received was stored; a stream never yet complete counts from its start. */
export async function streamLagSeconds(snapshot: Queryable, now: Date): Promise<number | null> {
  const [row] = await snapshot.query<{ seconds: number | null }>(
    `select greatest(extract(epoch from
                       $1 - min(coalesce(complete_through, created_at))), 0)::float8 as seconds
     from analytics.stream_offsets
     where not retired`,
    [now],
  );
  return row?.seconds ?? null;
}

/**
 * The lag of each org. `completeThrough` is one time for all, the least over the stream's
 * partitions, as in every answer of the API: so every org lags at least that far behind, and one
 * that sends nothing is not stale. Beyond that an org lags where its events are stored and wait to
 * be folded, since whoever reads rollups with SQL does not see them: as long as the oldest batch
 * that holds events of it.
 */
export async function freshnessLags(snapshot: Queryable, now: Date): Promise<FreshnessLags> {
  const streamSeconds = (await streamLagSeconds(snapshot, now)) ?? 0;
  const waiting = await waitingBatches(snapshot, now);
  const oldestSeconds = Math.max(0, ...waiting.map(({ seconds }) => seconds));
  const behind = oldestSeconds > streamSeconds ? await waitingOrgs(snapshot, waiting, now) : [];
  const rows = await snapshot.query<{ org_id: string; seconds: number }>(
    `select org_id, greatest(waiting.seconds, $3::float8) as seconds
     from (
       select org_id, max(last_event_at) as last_event_at
       from analytics.freshness_status
       group by org_id
     ) as known
     full join unnest($1::uuid[], $2::float8[]) as waiting (org_id, seconds) using (org_id)
     order by seconds desc, last_event_at desc nulls last, org_id
     limit $4`,
    [
      behind.map(({ org_id }) => org_id),
      behind.map(({ seconds }) => seconds),
      streamSeconds,
      orgsMax,
    ],
  );
  return {
    maxSeconds: Math.max(streamSeconds, oldestSeconds),
    orgs: rows.map(({ org_id, seconds }) => ({ orgId: org_id, seconds })),
  };
}

interface WaitingBatch {
  id: number;
  seconds: number;
  first: Date;
  last: Date;
}

function waitingBatches(snapshot: Queryable, now: Date): Promise<WaitingBatch[]> {
  return snapshot.query<WaitingBatch>(
    `select batch_id as id, greatest(extract(epoch from $1 - committed_at), 0)::float8 as seconds,
            min_occurred_at as first, max_occurred_at as last
     from analytics.ingestion_batches
     where folded_at is null
     order by batch_id
     limit $2`,
    [now, batchesMax],
  );
}

function waitingOrgs(
  snapshot: Queryable,
  batches: readonly WaitingBatch[],
  now: Date,
): Promise<{ org_id: string; seconds: number }[]> {
  const ids = batches.map(({ id }) => id);
  const first = Math.min(...batches.map((batch) => batch.first.getTime()));
  const last = Math.max(...batches.map((batch) => batch.last.getTime()));
  return snapshot.query(
    `select org_id, max(seconds) as seconds
     from analytics.usage_events
     join unnest($1::bigint[], $2::float8[]) as waiting (batch_id, seconds) using (batch_id)
     where occurred_at >= $3 and occurred_at <= $4 and batch_id between $5 and $6
     group by org_id`,
    [
      ids,
      batches.map(({ seconds }) => seconds),
      new Date(Math.max(first, now.getTime() - lookBackMs)),
      new Date(last),
      Math.min(...ids),
      Math.max(...ids),
    ],
  );
}
