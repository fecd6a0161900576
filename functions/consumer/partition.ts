import { setTimeout as sleep } from 'node:timers/promises';
import { conflictLetters } from '../../shared/dead-letters/conflict-letters.ts';
import {
  deadLetterQueueOf,
  type RejectedMessage,
  reasonsOf,
  sendRejects,
} from '../../shared/dead-letters/dead-letters.ts';
import { inBatchSpan } from '../../shared/events/batch-span.ts';
import { tellConflicts } from '../../shared/events/conflict.ts';
import type { EventStorage } from '../../shared/events/event-storage.ts';
import type { IdsRoom } from '../../shared/events/ids-room.ts';
import {
  type IngestBatch,
  type IngestOptions,
  type IngestResult,
  LeaseLostError,
} from '../../shared/events/ingest.ts';
import { recallIds } from '../../shared/events/recall-ids.ts';
import type { RecentIds } from '../../shared/events/recent-ids.ts';
import { refusalsIn } from '../../shared/events/refusals.ts';
import { withoutRestamped } from '../../shared/events/restamped.ts';
import { isMissingPartition, storeBatch } from '../../shared/events/store-batch.ts';
import { decodeMessage, type UsageEvent } from '../../shared/events/usage-event.ts';
import { isSameStream, messageDigest, startOver } from '../../shared/partitions/identity.ts';
import {
  claimLease,
  releaseLease,
  renewLease,
  type StreamLease,
} from '../../shared/partitions/lease.ts';
import { declareStreams } from '../../shared/partitions/topology.ts';
import type {
  Broker,
  BrokerSource,
  StreamMessage,
  StreamReader,
} from '../../shared/platform/broker/stream.ts';
import { type Database, sqlState } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import type { Logger } from '../../shared/platform/telemetry/telemetry.ts';
import { type TraceHeaders, traceIn } from '../../shared/platform/telemetry/tracing.ts';

export interface PartitionDeps {
  database: Database;
  storage: EventStorage;
  brokers: BrokerSource;
  settings: Settings;
  logger: Logger;
  /** Names this replica in the lease. */
  owner: string;
  leaseMs: number;
  /** The database's time in milliseconds. */
  nowMs: () => number;
  idsRoom: IdsRoom;
  failpoint?: IngestOptions['failpoint'];
  /** Called after each committed batch. */
  onCommit: (counts: BatchCounts) => void;
}

export interface BatchCounts {
  stored: number;
  duplicates: number;
  conflicts: number;
  rejected: number;
}

/** The partition's part of what draining it takes. */
interface DrainDeps extends PartitionDeps {
  ids: RecentIds;
}

/** A message on its way: an event or a reject, with what a later reject would need. */
interface Item {
  message: StreamMessage;
  event: UsageEvent | null;
  reasons: string[];
  /** Events that were refused before the stream, where the message only tells how many. */
  refused: number;
  /** Messages between the one before and this that retention removed. */
  lostBefore: number;
}

const backoffFirstMs = 250;
/** A server that is back is found within a second; so few attempts cost nothing. */
const backoffMaxMs = 1_000;
const secondLookMs = 3_000;

/**
 * Drains one partition until `signal` aborts or another replica has its lease: reads on from the
 * committed offset, stores batch after batch. Whatever fails, it starts over from what is committed; a batch
 * is either stored whole, offset included, or read again.
 */
export async function drainPartition(
  stream: string,
  deps: PartitionDeps,
  signal: AbortSignal,
): Promise<void> {
  const ids = deps.idsRoom.open();
  try {
    await drainWhileOurs(stream, { ...deps, ids }, signal);
  } finally {
    deps.idsRoom.close(ids);
  }
}

async function drainWhileOurs(stream: string, deps: DrainDeps, signal: AbortSignal): Promise<void> {
  const { database, brokers, logger, owner, leaseMs } = deps;
  let backoffMs = backoffFirstMs;
  while (!signal.aborted) {
    let lease: StreamLease | null = null;
    try {
      lease = await claimLease(database, stream, owner, leaseMs);
      if (lease === null) return;
      logger.info({ ...lease }, 'lease taken');
      const broker = await brokers.get();
      // Each time: a stream that was deleted is there again before it is read.
      await declareStreams(broker, deps.settings);
      await drainUnderLease(broker, lease, deps, signal, () => {
        backoffMs = backoffFirstMs;
      });
    } catch (error) {
      if (signal.aborted) break;
      logger.warn({ stream, reason: messageOf(error), retryInMs: backoffMs }, 'drain interrupted');
      await pause(backoffMs * (0.5 + Math.random() / 2), signal);
      backoffMs = Math.min(backoffMs * 2, backoffMaxMs);
    } finally {
      if (lease !== null) await giveBack(lease, deps);
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

async function giveBack(lease: StreamLease, { database, logger }: PartitionDeps): Promise<void> {
  try {
    await releaseLease(database, lease);
  } catch (error) {
    // It expires by itself.
    logger.warn({ stream: lease.stream, reason: messageOf(error) }, 'lease not released');
  }
}

async function drainUnderLease(
  broker: Broker,
  lease: StreamLease,
  deps: DrainDeps,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  const { settings, leaseMs, database } = deps;
  const { INGESTION_BATCH_SIZE: batchSize, INGESTION_BATCH_TIMEOUT: batchTimeoutMs } = settings;
  const { stream } = lease;
  const from = await startOffset(broker, lease, deps);
  await whileRenewing(lease, deps, () => recall(stream, deps));
  const rules = { rawRetentionDays: settings.RAW_RETENTION_DAYS };
  // One batch being stored, one arriving. Room for four took 220 MB at its peak instead of 182, and
  // was faster in 6 of 9 turns only (0.65 to 1.41 times, on two busy cores).
  const reader: StreamReader<Item> = await broker.read(stream, from, batchSize * 2, (message) => {
    const refused = refusalsIn(message);
    if (refused !== undefined) return { message, event: null, reasons: [], refused, lostBefore: 0 };
    const nowRules = { ...rules, nowMs: deps.nowMs(), otherNowMs: Date.now() };
    const decoded = decodeMessage(message.content, nowRules, message.contentEncoding);
    return 'event' in decoded
      ? { message, event: decoded.event, reasons: [], refused: 0, lostBefore: 0 }
      : { message, event: null, reasons: reasonsOf(decoded.faults), refused: 0, lostBefore: 0 };
  });
  const stop = () => void reader.close();
  signal.addEventListener('abort', stop, { once: true });
  let next = from ?? 0;
  try {
    while (!signal.aborted) {
      // A third of the lease: one renewal may fail before the lease is lost.
      const items = await reader.take(batchSize, batchTimeoutMs, leaseMs / 3);
      if (items.length === 0) {
        if (!(await renewLease(database, lease, leaseMs))) {
          throw new LeaseLostError(`the lease of ${stream} went to another consumer`);
        }
        continue;
      }
      await findLosses(broker, stream, items, next, deps.logger);
      await whileRenewing(lease, deps, () => store(broker, lease, items, deps));
      next = (items.at(-1)?.message.offset ?? next) + 1;
      reader.acknowledge();
      onProgress();
    }
  } finally {
    signal.removeEventListener('abort', stop);
    await reader.close();
  }
}

/**
 * What is stored of the last hour, by other consumers too. A database that answers, but not to
 * this, must not keep the stream waiting: without the ids only restamped retries get by.
 */
async function recall(stream: string, { database, ids, nowMs, logger }: DrainDeps): Promise<void> {
  const startedMs = performance.now();
  try {
    const recalled = await recallIds(database, ids, stream, nowMs());
    const durationMs = Math.round(performance.now() - startedMs);
    logger.info({ stream, recalled, idsMax: ids.idsMax, durationMs }, 'ids of the last hour known');
  } catch (error) {
    if (sqlState(error) === undefined) throw error;
    logger.warn({ stream, reason: messageOf(error) }, 'ids of the last hour are not known');
  }
}

/** A batch that takes longer than the lease must not lose it to a replica that would be as slow. */
async function whileRenewing(
  lease: StreamLease,
  { database, leaseMs, logger }: PartitionDeps,
  work: () => Promise<void>,
): Promise<void> {
  const timer = setInterval(() => {
    renewLease(database, lease, leaseMs).catch((error: unknown) => {
      logger.warn({ stream: lease.stream, reason: messageOf(error) }, 'lease not renewed');
    });
  }, leaseMs / 3);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
}

/**
 * Where to read on: behind the committed offset, or from the first where the stream was deleted and
 * made anew. Asked for an offset beyond its head, the broker would silently send nothing.
 */
async function startOffset(
  broker: Broker,
  lease: StreamLease,
  deps: DrainDeps,
): Promise<number | null> {
  const { stream, committedOffset, digest, epoch } = lease;
  if (committedOffset === null) return null;
  const head = await certainHead(broker, stream, committedOffset);
  if (await isSameStream(broker, stream, { committedOffset, digest }, head)) {
    return committedOffset + 1;
  }
  const messages = await startOver(deps.database, stream, committedOffset, epoch);
  if (messages === null) {
    throw new LeaseLostError(`${stream} was started over by another process`);
  }
  deps.logger.error(
    { stream, committedOffset, head, messages },
    'the stream was made anew, reading from its first; what was not read of the old one is lost',
  );
  return null;
}

/**
 * Retention may pass the reader as well as one that is away: the broker then goes on with what it
 * still has, and says nothing. Single offsets are its own (6 in 20,000, measured).
 */
async function findLosses(
  broker: Broker,
  stream: string,
  items: readonly Item[],
  from: number,
  logger: Logger,
): Promise<void> {
  let next = from;
  let tail: number | null | undefined;
  for (const item of items) {
    const { offset } = item.message;
    if (offset > next + 1) {
      tail ??= await broker.tail(stream);
      if (tail !== null && tail > next) {
        item.lostBefore = offset - next;
        logger.error(
          { stream, firstOffset: next, lastOffset: offset - 1, messages: item.lostBefore },
          'retention removed messages that were never read: they are lost',
        );
      }
    }
    next = offset + 1;
  }
}

/** Just after a failover a replica may lag behind for a moment: a short stream is looked at twice. */
async function certainHead(
  broker: Broker,
  stream: string,
  committedOffset: number,
): Promise<number | null> {
  const head = await broker.head(stream);
  if (head !== null && head >= committedOffset) return head;
  await sleep(secondLookMs);
  return broker.head(stream);
}

/**
 * Stores the items in one transaction. What the database refuses because of its data, though it
 * passed validation, must not block the rest forever: the batch is halved until the event stands
 * alone, and goes to the dead-letter queue.
 */
async function store(
  broker: Broker,
  lease: StreamLease,
  items: readonly Item[],
  deps: DrainDeps,
): Promise<void> {
  try {
    await storeOnce(broker, lease, items, deps);
  } catch (error) {
    if (!isDataFault(error)) throw error;
    const [only] = items;
    if (items.length > 1 || only === undefined) {
      const middle = Math.ceil(items.length / 2);
      await store(broker, lease, items.slice(0, middle), deps);
      await store(broker, lease, items.slice(middle), deps);
      return;
    }
    const reject = {
      ...only,
      event: null,
      refused: 0,
      reasons: [`the database refused it: ${messageOf(error)}`],
    };
    await storeOnce(broker, lease, [reject], deps);
  }
}

/** SQLSTATE classes 22 (data exception) and 23 (integrity constraint violation). */
function isDataFault(error: unknown): boolean {
  return /^2[23]/.test(sqlState(error) ?? '') && !isMissingPartition(error);
}

async function storeOnce(
  broker: Broker,
  lease: StreamLease,
  items: readonly Item[],
  deps: DrainDeps,
): Promise<void> {
  const { database, storage, settings, logger, leaseMs, failpoint, onCommit, ids, nowMs } = deps;
  const { stream } = lease;
  const valid: UsageEvent[] = [];
  const rejects: RejectedMessage[] = [];
  let refusedBefore = 0;
  for (const { event, message, reasons, refused } of items) {
    refusedBefore += refused;
    if (event !== null) valid.push(event);
    else if (refused === 0) rejects.push({ stream, message, reasons });
  }
  const [first, last] = [items[0], items.at(-1)];
  if (first === undefined || last === undefined) return;
  const { kept, restamped, learn } = await withoutRestamped(database, ids, valid, nowMs());
  const batch = {
    stream,
    events: kept,
    rejected: rejects.length + refusedBefore,
    restamped,
    position: {
      firstOffset: first.message.offset,
      lastOffset: last.message.offset,
      epoch: lease.epoch,
      digest: messageDigest(last.message),
      lost: items.reduce((sum, { lostBefore }) => sum + lostBefore, 0),
    },
  };
  const startedMs = performance.now();
  const result = await inBatchSpan(batch, originsOf(items), async () => {
    // Confirmed before the offset moves past them: a crash in between repeats them, never loses them.
    const queue = deadLetterQueueOf(settings);
    await sendRejects(broker, queue, rejects);
    const stored = await storeBatch(database, storage, batch, {
      leaseMs,
      onConflicts: (conflicts) =>
        sendRejects(broker, queue, conflictLetters(stream, items, conflicts)),
      ...(failpoint === undefined ? {} : { failpoint }),
    });
    logBatch(logger, batch, stored, startedMs);
    return stored;
  });
  learn(nowMs());
  ids.lastBatch = result.batchId;
  onCommit({ ...result, rejected: batch.rejected });
}

function* originsOf(items: readonly Item[]): Generator<TraceHeaders | undefined> {
  for (const { message } of items) yield traceIn(message.headers);
}

/** Of the many batches that are as they should be only the interval's sums are told. */
function logBatch(
  logger: Logger,
  { stream, rejected, position }: IngestBatch,
  { batchId, stored, duplicates, conflicts, conflicting }: IngestResult,
  startedMs: number,
): void {
  tellConflicts(logger, stream, conflicting);
  const durationMs = Math.round(performance.now() - startedMs);
  logger[rejected + conflicts > 0 ? 'info' : 'debug'](
    { stream, batchId, stored, duplicates, conflicts, rejected, ...position, durationMs },
    'batch stored',
  );
}
