import { setTimeout as sleep } from 'node:timers/promises';
import { consumerShare, leaveShare } from '../../shared/partitions/consumer-share.ts';
import { streamPartitions } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { drainPartition, type PartitionDeps } from './partition.ts';

/** A stream that this replica drains, until it is told to leave it to others. */
interface Drain {
  leave: AbortController;
  ended: Promise<void>;
}

/**
 * Drains this replica's share of the streams until `signal` aborts: takes what is free up to an even
 * share, and gives back what is more once another replica is awake. Streams of an earlier number of
 * partitions count among them until they are drained, so that the number may change at any time.
 */
export async function drainShare(
  deps: Omit<PartitionDeps, 'nowMs'>,
  signal: AbortSignal,
): Promise<void> {
  const { database, logger, owner, leaseMs } = deps;
  const configured = streamPartitions(deps.settings);
  const drains = new Map<string, Drain>();
  // Between two looks, since the database's clock may be set.
  let clock = { databaseMs: 0, atMs: 0 };
  const nowMs = () => clock.databaseMs + performance.now() - clock.atMs;

  const start = (stream: string) => {
    const leave = new AbortController();
    const ended = drainPartition(
      stream,
      { ...deps, nowMs },
      AbortSignal.any([signal, leave.signal]),
    ).finally(() => drains.delete(stream));
    // Awaited at the end; an error in between must not end the process.
    ended.catch((error: unknown) => {
      logger.error({ stream, reason: messageOf(error) }, 'drain ended');
    });
    drains.set(stream, { leave, ended });
  };

  const balance = async () => {
    const share = await consumerShare(database, owner, configured, leaseMs);
    const { streams, streamsMax } = share;
    clock = { databaseMs: share.nowMs, atMs: performance.now() };
    const known = new Set(streams.map(({ stream }) => stream));
    for (const [stream, { leave }] of drains) if (!known.has(stream)) leave.abort();
    for (const { leave } of [...drains.values()].slice(streamsMax)) leave.abort();
    for (const { stream, isFree } of shuffled(streams)) {
      if (isFree && !drains.has(stream) && drains.size < streamsMax) start(stream);
    }
  };

  while (!signal.aborted) {
    try {
      await balance();
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the share of streams is not known');
    }
    // Three looks for each lease: a crashed replica's streams move soon after they expire.
    await sleep(leaseMs / 3, undefined, { signal }).catch(() => {});
  }
  await Promise.all([...drains.values()].map(({ ended }) => ended));
  await leaveShare(database, owner).catch((error: unknown) => {
    // It expires by itself.
    logger.warn({ reason: messageOf(error) }, 'share not left');
  });
}

/** Replicas that start together would else all ask for the same streams first. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
