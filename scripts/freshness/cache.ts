import {
  type CacheDifference,
  clearFreshness,
  compareFreshness,
} from '../../shared/freshness/cached.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { exitCodes, UnavailableError, UsageError } from '../cli/failure.ts';
import { say, sayJson } from '../cli/output.ts';
import { operatorSettings } from '../cli/settings.ts';
import { type Column, tableText } from '../cli/table.ts';
import { localDatabaseUrl } from '../local/database-url.ts';

/** Nobody waits for the answer as a request does. */
const patienceMs = 2_000;

interface CacheOptions {
  /** Null for all orgs. */
  orgId: string | null;
  json: boolean;
}

/** Drops what is cached: the next question reads the table. */
export function clearCachedFreshness({ orgId, json }: CacheOptions): Promise<number> {
  return onCache(async (cache) => {
    const keys = await clearFreshness(cache, orgId);
    return () => {
      if (json) sayJson({ cache: cache.name, dropped: keys });
      else say(`${keys} keys dropped from ${cache.name}`);
      return exitCodes.done;
    };
  });
}

/** @returns 1 where the cache has it otherwise than the table */
export function compareCachedFreshness({ orgId, json }: CacheOptions): Promise<number> {
  const settings = operatorSettings();
  return onCache(async (cache) => {
    const database = openDatabase({
      url: await localDatabaseUrl(settings),
      driver: settings.DATABASE_DRIVER,
      connectionsMax: 1,
      patienceMs,
    });
    try {
      const { keys, differences } = await compareFreshness(database, cache, orgId);
      return () => {
        if (json) sayJson({ cache: cache.name, keys, differences });
        else {
          if (differences.length > 0) say(tableText(differences, columns));
          say(`${keys} keys in ${cache.name}, ${differences.length} differences`);
        }
        return differences.length > 0 ? exitCodes.failed : exitCodes.done;
      };
    } finally {
      await database.close();
    }
  });
}

/**
 * @param work gives what is to be told of it, where the cache had no fault
 * @throws UsageError without a cache of its own; UnavailableError when it is away, which must not look
 * like one that agrees
 */
async function onCache(
  work: (cache: ReturnType<typeof openCache>) => Promise<() => number>,
): Promise<number> {
  const settings = operatorSettings();
  if (settings.REDIS_URL === undefined) {
    throw new UsageError(
      'REDIS_URL is not set: the cache is in the memory of the service, and ends with it',
    );
  }
  const faults: string[] = [];
  const cache = openCache(settings, (fault) => faults.push(fault), patienceMs);
  try {
    await cache.check().catch((error: unknown) => {
      throw new UnavailableError(`the cache in REDIS_URL: ${messageOf(error)}`);
    });
    const tell = await work(cache);
    const [fault] = faults;
    if (fault !== undefined) throw new UnavailableError(`the cache in REDIS_URL: ${fault}`);
    return tell();
  } finally {
    await cache.close();
  }
}

const columns: readonly Column<CacheDifference>[] = [
  { title: 'key', cell: ({ key }) => key },
  { title: 'model', cell: ({ modelId }) => modelId ?? '' },
  { title: 'field', cell: ({ field }) => field },
  { title: 'cached', cell: ({ cached }) => cached ?? 'none' },
  { title: 'table', cell: ({ table }) => table ?? 'none' },
];
