import * as z from 'zod';
import type { Cache } from '../platform/cache.ts';
import type { Database, Queryable } from '../platform/database/db.ts';
import type { PendingBatches } from '../rollups/pending-batches.ts';
import { pendingBatches } from '../rollups/pending-batches.ts';

export type FreshnessStatus = 'fresh' | 'stale' | 'delayed' | 'empty';

/** How complete an answer is (DESIGN 11). Times are RFC 3339. */
export interface Freshness {
  status: FreshnessStatus;
  /** Whole seconds between now and `completeThrough`. */
  lagSeconds: number | null;
  lastEventAt: string | null;
  lastRollupAt: string | null;
  /** Everything received until then has been stored. */
  completeThrough: string | null;
}

const staleFromSeconds = 300;
const delayedFromSeconds = 600;

const modelTimes = z.object({
  modelId: z.string(),
  lastEventAt: z.string(),
  lastRollupAt: z.string().nullable(),
});
const orgTimes = z.object({ completeThrough: z.string().nullable(), models: z.array(modelTimes) });

/** What freshness is made of. `lagSeconds` is left out: it grows while this lies in a cache. */
export type OrgTimes = z.infer<typeof orgTimes>;

/** Reads an org's times, of one model or all, in the snapshot that the answer comes from. */
export async function readOrgTimes(
  snapshot: Queryable,
  orgId: string,
  pending: PendingBatches,
  modelId: string | null = null,
): Promise<OrgTimes> {
  const values = [orgId, modelId, new Date(pending.fromMs), new Date(pending.throughMs)];
  const isPending = pending.ids.length > 0;
  const rows = await snapshot.query<{
    through: Date | null;
    model_id: string | null;
    last: Date;
    rollup: Date | null;
  }>(
    `select through, model_id, last, rollup
     from (${completeThrough}) as stored
     left join (
       select model_id, max(last_event_at) as last, max(last_rollup_at) as rollup
       from (
         select model_id, last_event_at, last_rollup_at
         from freshness_status
         where org_id = $1 and ($2::uuid is null or model_id = $2)
         ${isPending ? `union all ${pendingTimes}` : ''}
       ) as times
       group by model_id
     ) as models on true
     order by model_id`,
    isPending ? [...values, pending.ids] : values.slice(0, 2),
  );
  return {
    completeThrough: rows[0]?.through?.toISOString() ?? null,
    models: rows.flatMap(({ model_id: id, last, rollup }) =>
      id === null
        ? []
        : {
            modelId: id,
            lastEventAt: last.toISOString(),
            lastRollupAt: rollup?.toISOString() ?? null,
          },
    ),
  };
}

/** Times of events that are not in the rollups yet. */
const pendingTimes = `
  select model_id, occurred_at, null
  from usage_events
  where org_id = $1 and ($2::uuid is null or model_id = $2)
    and occurred_at >= $3 and occurred_at <= $4
    and batch_id in (select unnest($5::bigint[]))`;

/** The least over the stream's partitions; null while one of them was never probed. */
const completeThrough = `
  select case when bool_and(complete_through is not null) then min(complete_through) end as through
  from stream_offsets
  where not retired`;

export async function readCompleteThrough(snapshot: Queryable): Promise<string | null> {
  const [row] = await snapshot.query<{ through: Date | null }>(completeThrough);
  return row?.through?.toISOString() ?? null;
}

/** Freshness over all models of an org. Where nothing has ever arrived no time is invented. */
export function overallFreshness(times: OrgTimes, nowMs: number): Freshness {
  const lastEventAt = latest(times.models.map((model) => model.lastEventAt));
  const lastRollupAt = latest(times.models.map((model) => model.lastRollupAt));
  return freshness(times.completeThrough, lastEventAt, lastRollupAt, nowMs);
}

/** Freshness of each model. */
export function modelFreshness(
  times: OrgTimes,
  nowMs: number,
): ({ modelId: string } & Freshness)[] {
  return times.models.map(({ modelId, lastEventAt, lastRollupAt }) => ({
    modelId,
    ...freshness(times.completeThrough, lastEventAt, lastRollupAt, nowMs),
  }));
}

function freshness(
  completeThrough: string | null,
  lastEventAt: string | null,
  lastRollupAt: string | null,
  nowMs: number,
): Freshness {
  if (lastEventAt === null) {
    return {
      status: 'empty',
      lagSeconds: null,
      lastEventAt: null,
      lastRollupAt: null,
      completeThrough: null,
    };
  }
  // Events without a probe of the stream: nothing is known to be complete since the last of them.
  const since = Date.parse(completeThrough ?? lastEventAt);
  const lagSeconds = Math.max(0, Math.floor((nowMs - since) / 1_000));
  const status =
    completeThrough === null || lagSeconds >= delayedFromSeconds
      ? 'delayed'
      : lagSeconds >= staleFromSeconds
        ? 'stale'
        : 'fresh';
  return { status, lagSeconds, lastEventAt, lastRollupAt, completeThrough };
}

/** RFC 3339 in UTC sorts as text. */
function latest(times: readonly (string | null)[]): string | null {
  return times.reduce((a, b) => (a === null || (b !== null && b > a) ? b : a), null);
}

/** Where times lie in the cache: under this, the org, and the model or `all`. */
export const freshnessPrefix = 'analytics:freshness:';

function freshnessKey(orgId: string, modelId: string | null): string {
  return `${freshnessPrefix}${orgId}:${modelId ?? 'all'}`;
}

/** An org's times from the cache, else from the database, then kept for `ttlMs`. */
export async function cachedOrgTimes(
  database: Database,
  cache: Cache,
  ttlMs: number,
  orgId: string,
  modelId: string | null,
): Promise<OrgTimes> {
  const key = freshnessKey(orgId, modelId);
  const cached = parseTimes(await cache.get(key));
  if (cached !== null) return cached;
  const times = await database.transaction({ mode: 'snapshot', tenant: orgId }, async (snapshot) =>
    readOrgTimes(snapshot, orgId, await pendingBatches(snapshot), modelId),
  );
  // Not while it is empty: the first event should show at once.
  if (times.models.length > 0) await cache.set(key, JSON.stringify(times), ttlMs);
  return times;
}

/** A value that another release wrote, or anyone else, is a miss. */
export function parseTimes(text: string | null): OrgTimes | null {
  if (text === null) return null;
  try {
    return orgTimes.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Drops what is cached about models whose rollups changed, and about their orgs. */
export async function forgetFreshness(
  cache: Cache,
  models: readonly { orgId: string; modelId: string }[],
): Promise<void> {
  const keys = models.flatMap(({ orgId, modelId }) => [
    freshnessKey(orgId, null),
    freshnessKey(orgId, modelId),
  ]);
  await cache.delete([...new Set(keys)]);
}
