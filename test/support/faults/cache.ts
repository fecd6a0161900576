import { compareFreshness } from '../../../shared/freshness/cached.ts';
import { openCache } from '../../../shared/platform/cache.ts';
import { until } from '../until.ts';
import type { FaultRun } from './fault-test.ts';

/** A fold that could not drop what is cached leaves it wrong until its time is up, no longer. */
export async function cacheAgrees({ database, servers }: FaultRun): Promise<void> {
  const cache = openCache({ REDIS_URL: servers.redis.url }, () => {}, 2_000);
  try {
    await until('the cache says what the table says', async () => {
      const { differences } = await compareFreshness(database, cache, null);
      return differences.length === 0;
    });
  } finally {
    await cache.close();
  }
}
