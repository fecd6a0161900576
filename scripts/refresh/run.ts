import { refresh } from '../../functions/refresh/refresh.ts';
import { eventStorage } from '../../shared/events/event-storage.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { createLogger } from '../../shared/platform/telemetry/telemetry.ts';
import { recompute } from '../../shared/rollups/rollup.ts';
import { UsageError } from '../cli/failure.ts';
import { openOperatorDatabase } from '../cli/operator-database.ts';
import { say, sayJson } from '../cli/output.ts';
import { operatorSettings } from '../cli/settings.ts';

interface RefreshOptions {
  /** Milliseconds since 1970: the days to rebuild, in place of folding what waits. */
  from?: number | undefined;
  to?: number | undefined;
  json: boolean;
}

/** Folds what waits, or rebuilds days. */
export async function runRefresh({ from, to, json }: RefreshOptions): Promise<undefined> {
  if ((from === undefined) !== (to === undefined)) {
    throw new UsageError('--from and --to go together');
  }
  if (from !== undefined && to !== undefined && from >= to) {
    throw new UsageError('--to must be after --from');
  }
  const settings = operatorSettings();
  const database = await openOperatorDatabase(settings, 4);
  const cache = openCache(settings);
  const amqp = settings.RABBITMQ_URL;
  const brokers = amqp === undefined ? null : brokerSource(amqp, { name: 'refresh' });
  try {
    if (from !== undefined && to !== undefined) {
      const days = [new Date(from), new Date(to)] as const;
      const report = await recompute(database, ...days, settings.RAW_RETENTION_DAYS);
      if (json) sayJson(report);
      else {
        say(
          `rebuilt ${report.days} days, ${report.from.toISOString()} to ` +
            `${report.to.toISOString()}: ${report.hourlyRows} hourly rows`,
        );
      }
      return;
    }
    const logger = createLogger({ ...settings, LOG_LEVEL: 'warn' }, 'refresh', process.stderr);
    const storage = eventStorage(database);
    const report = await refresh({ database, storage, cache, brokers, settings, logger });
    if (json) {
      sayJson(report);
      return;
    }
    const { created, dropped, compressed } = report.upkeep;
    say(
      report.foldedBatches === null
        ? 'another folder is at work: nothing to do here'
        : `folded ${report.foldedBatches} batches; partitions created: ${created.length}, ` +
            `dropped: ${dropped.length}, compressed: ${compressed.length}`,
    );
  } finally {
    await brokers?.close();
    await cache.close();
    await database.close();
  }
}
