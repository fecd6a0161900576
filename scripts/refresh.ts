import { Command } from 'commander';
import { refresh } from '../functions/refresh/refresh.ts';
import { openCache } from '../shared/cache.ts';
import { openDatabase } from '../shared/db.ts';
import { readSettings } from '../shared/env.ts';
import { eventStorage } from '../shared/event-storage.ts';
import { recompute } from '../shared/rollup.ts';
import { brokerSource } from '../shared/stream.ts';
import { createLogger } from '../shared/telemetry.ts';
import { localDatabaseUrl } from './local/database-url.ts';
import { timeOption } from './options.ts';
import { runScript } from './run-script.ts';

const command = new Command('npm run refresh --')
  .description(
    'Folds what waits into the rollups, as the schedule does. With --from and --to it rebuilds ' +
      'the rollups of those whole UTC days from raw events',
  )
  .option('--from <time>', 'first day to rebuild', timeOption)
  .option('--to <time>', 'end of the days to rebuild (a midnight is not included)', timeOption)
  .parse();
const { from, to } = command.opts<{ from?: Date; to?: Date }>();
if ((from === undefined) !== (to === undefined)) {
  command.error('error: --from and --to go together', { exitCode: 2 });
}

runScript(async () => {
  const settings = readSettings(process.env, { knowsActors: false });
  const database = openDatabase({
    url: await localDatabaseUrl(settings),
    driver: settings.DATABASE_DRIVER,
    connectionsMax: 4,
    patienceMs: 5_000,
    statementTimeoutMs: 600_000,
  });
  const cache = openCache(settings);
  const amqp = settings.RABBITMQ_URL;
  const brokers = amqp === undefined ? null : brokerSource(amqp, { name: 'refresh' });
  try {
    if (from !== undefined && to !== undefined) {
      if (from >= to) throw new Error('--to must be after --from');
      const report = await recompute(database, from, to, settings.RAW_RETENTION_DAYS);
      console.log(
        `rebuilt ${report.days} days, ${report.from.toISOString()} to ${report.to.toISOString()}: ` +
          `${report.hourlyRows} hourly rows`,
      );
      return;
    }
    const logger = createLogger({ ...settings, LOG_LEVEL: 'warn' }, 'refresh');
    const storage = eventStorage(database);
    const report = await refresh({ database, storage, cache, brokers, settings, logger });
    console.log(
      report.foldedBatches === null
        ? 'another folder is at work: nothing to do here'
        : `folded ${report.foldedBatches} batches; partitions created: ${report.upkeep.created.length}, ` +
            `dropped: ${report.upkeep.dropped.length}, compressed: ${report.upkeep.compressed.length}`,
    );
  } finally {
    await brokers?.close();
    await cache.close();
    await database.close();
  }
});
