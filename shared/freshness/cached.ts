import { setTimeout as sleep } from 'node:timers/promises';
import type { Cache } from '../platform/cache.ts';
import type { Database } from '../platform/database/db.ts';
import { pendingBatches } from '../rollups/pending-batches.ts';
import { freshnessPrefix, type OrgTimes, parseTimes, readOrgTimes } from './freshness.ts';

/** A time in the cache that is not what the tables have. */
export interface CacheDifference {
  key: string;
  modelId: string | null;
  field: 'lastEventAt' | 'lastRollupAt' | 'completeThrough' | 'models' | 'value';
  cached: string | null;
  table: string | null;
}

const keysPerDelete = 500;
/** A fold drops its keys just after its commit: what still differs then was not dropped. */
const secondLookMs = 1_000;

/**
 * Compares what the cache holds of `freshness_status` with the table, of one org or all. Twice, a
 * moment apart: a fold in between is no difference.
 *
 * @throws Error when the cache does not answer.
 */
export async function compareFreshness(
  database: Database,
  cache: Cache,
  orgId: string | null,
): Promise<{ keys: number; differences: CacheDifference[] }> {
  const keys = await cache.keys(prefixOf(orgId));
  const first = await differencesIn(database, cache, keys);
  if (first.length === 0) return { keys: keys.length, differences: [] };
  await sleep(secondLookMs);
  const suspects = [...new Set(first.map(({ key }) => key))];
  return { keys: keys.length, differences: await differencesIn(database, cache, suspects) };
}

/** Drops the keys of one org or all; the next question reads the tables. Gives how many. */
export async function clearFreshness(cache: Cache, orgId: string | null): Promise<number> {
  const keys = await cache.keys(prefixOf(orgId));
  for (let start = 0; start < keys.length; start += keysPerDelete) {
    await cache.delete(keys.slice(start, start + keysPerDelete));
  }
  return keys.length;
}

function prefixOf(orgId: string | null): string {
  return orgId === null ? freshnessPrefix : `${freshnessPrefix}${orgId}:`;
}

const keyForm = /^([0-9a-f-]{36}):(all|[0-9a-f-]{36})$/;

async function differencesIn(
  database: Database,
  cache: Cache,
  keys: readonly string[],
): Promise<CacheDifference[]> {
  const differences: CacheDifference[] = [];
  for (const key of keys) {
    const text = await cache.get(key);
    // Its time was up.
    if (text === null) continue;
    const [, orgId, scope] = keyForm.exec(key.slice(freshnessPrefix.length)) ?? [];
    const cached = parseTimes(text);
    if (orgId === undefined || scope === undefined || cached === null) {
      const field = 'value';
      const table = 'nothing of ours';
      differences.push({ key, modelId: null, field, cached: text.slice(0, 80), table });
      continue;
    }
    const times = await tableTimes(database, orgId, scope === 'all' ? null : scope);
    differences.push(...compare(key, cached, times));
  }
  return differences;
}

interface TableTimes {
  /** What is folded, as freshness_status has it. */
  folded: OrgTimes;
  /** With the events that wait to be folded, as answers have it. */
  all: OrgTimes;
}

async function tableTimes(
  database: Database,
  orgId: string,
  modelId: string | null,
): Promise<TableTimes> {
  return database.transaction({ mode: 'snapshot' }, async (snapshot) => {
    const none = { ids: [], fromMs: 0, throughMs: 0 };
    return {
      folded: await readOrgTimes(snapshot, orgId, none, modelId),
      all: await readOrgTimes(snapshot, orgId, await pendingBatches(snapshot), modelId),
    };
  });
}

/**
 * A cached time is right from what is folded up to what is stored: events that arrived while it
 * lay there are not yet its fault. `completeThrough` moves on all the time, and is only wrong when
 * it is ahead.
 */
function compare(key: string, cached: OrgTimes, { folded, all }: TableTimes): CacheDifference[] {
  const differences: CacheDifference[] = [];
  const add = (
    modelId: string | null,
    field: CacheDifference['field'],
    values: [cached: string | null, table: string | null],
  ) => {
    differences.push({ key, modelId, field, cached: values[0], table: values[1] });
  };
  for (const { modelId, lastEventAt, lastRollupAt } of folded.models) {
    const held = cached.models.find((model) => model.modelId === modelId);
    if (held === undefined) {
      add(modelId, 'models', [null, lastEventAt]);
      continue;
    }
    const stored = all.models.find((model) => model.modelId === modelId)?.lastEventAt;
    if (held.lastEventAt < lastEventAt || held.lastEventAt > (stored ?? lastEventAt)) {
      add(modelId, 'lastEventAt', [held.lastEventAt, lastEventAt]);
    }
    if (held.lastRollupAt !== lastRollupAt) {
      add(modelId, 'lastRollupAt', [held.lastRollupAt, lastRollupAt]);
    }
  }
  for (const { modelId, lastEventAt } of cached.models) {
    if (!all.models.some((model) => model.modelId === modelId)) {
      add(modelId, 'models', [lastEventAt, null]);
    }
  }
  if ((cached.completeThrough ?? '') > (all.completeThrough ?? '')) {
    add(null, 'completeThrough', [cached.completeThrough, all.completeThrough]);
  }
  return differences;
}
