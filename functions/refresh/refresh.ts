import { deadLetterQueueOf } from '../../shared/dead-letters/dead-letters.ts';
import { recordDepth } from '../../shared/dead-letters/depth.ts';
import type { EventStorage, StorageUpkeep } from '../../shared/events/event-storage.ts';
import { dropOldRollups } from '../../shared/events/retention.ts';
import { forgetFreshness } from '../../shared/freshness/freshness.ts';
import { probeHeads } from '../../shared/partitions/heads.ts';
import type { BrokerSource } from '../../shared/platform/broker/stream.ts';
import type { Cache } from '../../shared/platform/cache.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import { type Settings, streamPartitions } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import type { Logger } from '../../shared/platform/telemetry/telemetry.ts';
import { foldAll } from '../../shared/rollups/rollup.ts';

export interface RefreshDeps {
  database: Database;
  storage: EventStorage;
  cache: Cache;
  /** Null without RabbitMQ. */
  brokers: BrokerSource | null;
  settings: Settings;
  logger: Logger;
}

export interface RefreshReport {
  /** Batches folded; null when another folder was at work, which does the same. */
  foldedBatches: number | null;
  upkeep: StorageUpkeep;
  /** Why the stream's heads are not known, null when they are. */
  probeFault: string | null;
}

/**
 * What the schedule asks for, all of it read from the database and never from the event: stream
 * heads, dead letters, fold, partitions ahead, compression, retention. Safe beside itself, and again.
 *
 * A broker that is away must not stop the fold: completeness then stands still, and says so.
 */
export async function refresh(deps: RefreshDeps): Promise<RefreshReport> {
  const { database, storage, cache, settings, logger } = deps;
  const nowMs = await earlierNow(database);
  const upkeep = await storage.upkeep(
    {
      rawRetentionDays: settings.RAW_RETENTION_DAYS,
      compressAfterDays: settings.RAW_COMPRESS_AFTER_DAYS,
    },
    nowMs,
  );
  const probeFault = await probe(deps);
  const folded = await foldAll(database);
  if (folded !== null) await forgetFreshness(cache, folded.models);
  await dropOldRollups(database, settings.ROLLUP_RETENTION_DAYS, nowMs);
  const report = { foldedBatches: folded?.batches ?? null, upkeep, probeFault };
  const didNothing = folded?.batches === 0 && upkeep.created.length + upkeep.dropped.length === 0;
  logger[didNothing ? 'debug' : 'info'](report, 'refreshed');
  return report;
}

async function probe({ database, brokers, settings, logger }: RefreshDeps): Promise<string | null> {
  try {
    const broker = brokers === null ? null : await brokers.get();
    await probeHeads(database, broker, streamPartitions(settings));
    if (broker !== null) await recordDepth(database, broker, deadLetterQueueOf(settings));
    return null;
  } catch (error) {
    logger.warn({ reason: messageOf(error) }, 'stream heads are not known');
    return messageOf(error);
  }
}

/** What retention removes is gone for good: a clock that jumped ahead must not have it all removed. */
async function earlierNow(database: Database): Promise<number> {
  const [row] = await database.query<{ now: Date }>('select clock_timestamp() as now');
  if (row === undefined) throw new Error('the database did not tell the time');
  return Math.min(Date.now(), row.now.getTime());
}
