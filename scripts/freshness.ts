import { Command } from 'commander';
import { openCache } from '../shared/cache.ts';
import { clearFreshness, compareFreshness } from '../shared/cached-freshness.ts';
import { openDatabase } from '../shared/db.ts';
import { readSettings } from '../shared/env.ts';
import { localDatabaseUrl } from './local/database-url.ts';
import { uuidOption } from './options.ts';
import { runScript } from './run-script.ts';

const command = new Command('npm run freshness --')
  .description(
    'Looks into the cache of freshness (REDIS_URL, Redis or Upstash): compares it with the table ' +
      'analytics.freshness_status, exit 1 on differences, or clears it',
  )
  .option('--compare', 'what the cache has otherwise than the table')
  .option('--clear', 'drop the keys: the next question reads the table')
  .option('--org <id>', 'of this org alone', uuidOption)
  .parse();
const { compare, clear, org } = command.opts<{ compare?: true; clear?: true; org?: string }>();
if ((compare === undefined) === (clear === undefined)) {
  command.error('error: one of --compare and --clear is needed', { exitCode: 2 });
}

/** Nobody waits for the answer as a request does. */
const patienceMs = 2_000;

runScript(async () => {
  const settings = readSettings(process.env, { knowsActors: false });
  if (settings.REDIS_URL === undefined) {
    throw new Error(
      'REDIS_URL is not set: the cache is in the memory of the service, and ends with it',
    );
  }
  const faults: string[] = [];
  const cache = openCache(settings, (fault) => faults.push(fault), patienceMs);
  try {
    // A cache that is away must not look like one that agrees.
    await cache.check();
    if (clear === true) {
      const keys = await clearFreshness(cache, org ?? null);
      if (faults.length === 0) console.log(`${keys} keys dropped from ${cache.name}`);
    } else {
      const url = await localDatabaseUrl(settings);
      const { DATABASE_DRIVER: driver } = settings;
      const database = openDatabase({ url, driver, connectionsMax: 1, patienceMs });
      try {
        const { keys, differences } = await compareFreshness(database, cache, org ?? null);
        if (differences.length > 0) {
          console.table(
            differences.map(({ key, modelId, field, cached, table }) => ({
              key,
              model: modelId ?? '',
              field,
              cached: cached ?? 'none',
              table: table ?? 'none',
            })),
          );
          process.exitCode = 1;
        }
        console.log(`${keys} keys in ${cache.name}, ${differences.length} differences`);
      } finally {
        await database.close();
      }
    }
    const [fault] = faults;
    if (fault !== undefined) throw new Error(`the cache in REDIS_URL: ${fault}`);
  } finally {
    await cache.close();
  }
});
