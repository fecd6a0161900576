import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventStorage } from '../../shared/events/event-storage.ts';
import { idsRoom } from '../../shared/events/ids-room.ts';
import type { IngestOptions } from '../../shared/events/ingest.ts';
import { forgetFreshness } from '../../shared/freshness/freshness.ts';
import { probeHeads } from '../../shared/partitions/heads.ts';
import type { BrokerSource } from '../../shared/platform/broker/stream.ts';
import type { Cache } from '../../shared/platform/cache.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import { type Settings, streamPartitions } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import type { Logger } from '../../shared/platform/telemetry/telemetry.ts';
import { foldAll } from '../../shared/rollups/rollup.ts';
import { drainShare } from './assignment.ts';
import type { BatchCounts } from './partition.ts';

export interface ConsumerDeps {
  database: Database;
  storage: EventStorage;
  cache: Cache;
  brokers: BrokerSource;
  settings: Settings;
  logger: Logger;
  leaseMs?: number;
  /** How many ids of the last hour are remembered, of all partitions. */
  idsMax?: number;
  failpoint?: IngestOptions['failpoint'];
}

export interface Consumer {
  /** @throws Error when it has stopped draining, or the stores do not answer. */
  check(): Promise<void>;
  /** Finishes the batch under way, gives the leases back. */
  stop(): Promise<void>;
}

/** Often enough for freshness, seldom enough that hot rollup rows are not rewritten all the time. */
const foldEveryMs = 2_000;
/**
 * Where folds take long, as behind a full stream, fewer and larger ones leave more to the drain:
 * 24,000 events/s where a fold every 2 s left 19,600 (2 cores, not quiet).
 */
const restPerWork = 4;
const restMaxMs = 10_000;
const probeEveryMs = 10_000;
const reportEveryMs = 10_000;
const forgottenEveryMs = 600_000;
/** A crashed replica's partitions are looked for every third of this, so they move within 15 s. */
const defaultLeaseMs = 9_000;

/** Drains its share of the partitions, and keeps rollups and completeness current meanwhile. */
export function startConsumer(deps: ConsumerDeps): Consumer {
  const { database, storage, cache, brokers, settings, logger } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const streams = streamPartitions(settings);
  const interval: BatchCounts = { stored: 0, duplicates: 0, conflicts: 0, rejected: 0 };
  const room = idsRoom(deps.idsMax);
  let hasNews = false;
  let forgottenToldMs = Number.NEGATIVE_INFINITY;

  const drain = () =>
    drainShare(
      {
        database,
        storage,
        brokers,
        logger,
        owner: `${hostname()}/${process.pid}/${randomUUID()}`,
        settings,
        leaseMs: deps.leaseMs ?? defaultLeaseMs,
        idsRoom: room,
        ...(deps.failpoint === undefined ? {} : { failpoint: deps.failpoint }),
        onCommit: ({ stored, duplicates, conflicts, rejected }) => {
          hasNews = true;
          interval.stored += stored;
          interval.duplicates += duplicates;
          interval.conflicts += conflicts;
          interval.rejected += rejected;
        },
      },
      signal,
    );

  const foldNews = async () => {
    if (!hasNews) return;
    hasNews = false;
    const folded = await foldAll(database);
    if (folded === null) hasNews = true;
    else await forgetFreshness(cache, folded.models);
  };
  const probe = async () => probeHeads(database, await brokers.get(), streams);
  /** Where the bound of memory bites, retries that stamp themselves again are found for less long. */
  const tellForgotten = () => {
    const { ids, ageMs } = room.takeForgotten();
    if (ids === 0 || performance.now() - forgottenToldMs < forgottenEveryMs) return;
    forgottenToldMs = performance.now();
    logger.warn(
      { ids, rememberedSeconds: Math.round(ageMs / 1_000) },
      'no room for the ids of an hour: more partitions and consumers remember more',
    );
  };
  const report = async () => {
    tellForgotten();
    if (interval.stored + interval.duplicates + interval.rejected === 0) return;
    const [lag] = await database.query<{ messages: number }>(
      `select coalesce(sum(greatest(head_offset - coalesce(committed_offset, -1), 0)), 0)::float8
                as messages
       from analytics.stream_offsets where not retired`,
    );
    logger.info({ ...interval, lagMessages: lag?.messages ?? null }, 'ingested');
    Object.assign(interval, { stored: 0, duplicates: 0, conflicts: 0, rejected: 0 });
  };

  const draining = drain();
  let fault: unknown;
  draining.catch((error: unknown) => {
    fault = error;
    logger.error({ reason: messageOf(error) }, 'the consumer ended');
  });
  const work = Promise.all([
    draining.catch(() => {}),
    repeat('fold', foldEveryMs, signal, logger, foldNews),
    repeat('probe', probeEveryMs, signal, logger, probe),
    repeat('report', reportEveryMs, signal, logger, report),
  ]);

  return {
    check: async () => {
      if (fault !== undefined) throw new Error(`the consumer ended: ${messageOf(fault)}`);
      await Promise.all([database.query('select 1'), (await brokers.get()).ping()]);
    },
    stop: async () => {
      stopping.abort();
      await work;
      await report().catch((error: unknown) => {
        logger.warn({ ...interval, reason: messageOf(error) }, 'last lag is not known');
      });
      await foldNews().catch((error: unknown) => {
        // The schedule's refresh folds what is left.
        logger.warn({ reason: messageOf(error) }, 'last fold failed');
      });
    },
  };
}

async function repeat(
  task: string,
  everyMs: number,
  signal: AbortSignal,
  logger: Logger,
  work: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    const startedMs = performance.now();
    try {
      await work();
    } catch (error) {
      logger.warn({ task, reason: messageOf(error) }, 'task failed');
    }
    const restMs = (performance.now() - startedMs) * restPerWork;
    const pauseMs = Math.max(everyMs, Math.min(restMs, restMaxMs));
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}
