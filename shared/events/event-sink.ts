import { directStream } from '../partitions/heads.ts';
import { partitionOf } from '../partitions/routing.ts';
import { declareStreams, type StreamSettings } from '../partitions/topology.ts';
import type { Broker, BrokerSource } from '../platform/broker/stream.ts';
import type { Database } from '../platform/database/db.ts';
import { DeadlineError, within } from '../platform/deadline.ts';
import { streamPartitions } from '../platform/env.ts';
import { type Fault, ServiceError } from '../platform/errors.ts';
import type { Logger } from '../platform/telemetry/telemetry.ts';
import type { TraceHeaders } from '../platform/telemetry/tracing.ts';
import { inBatchSpan } from './batch-span.ts';
import { tellConflicts } from './conflict.ts';
import type { EventStorage } from './event-storage.ts';
import { idTurns } from './id-turns.ts';
import { idsRoom } from './ids-room.ts';
import type { IngestResult } from './ingest.ts';
import { recallIds } from './recall-ids.ts';
import { withoutRestamped } from './restamped.ts';
import { storeBatch } from './store-batch.ts';
import { encodeEvent, type UsageEvent } from './usage-event.ts';

/** Traces that events bring along; of those it does not name, the request's goes on. */
export type EventOrigins = ReadonlyMap<UsageEvent, TraceHeaders>;

/**
 * What became of an event, as far as that is known by then: on its way into the stream it is
 * accepted, whatever it will meet in storage. A conflict is not stored.
 */
export type Acceptance =
  | { status: 'accepted' | 'duplicate' }
  | { status: 'conflict'; faults: readonly Fault[] };

/** Where events taken over HTTP go: safe once `accept` returns. */
export interface EventSink {
  /**
   * @returns what became of each event, in their order
   * @throws ServiceError `unavailable`; then all may be sent again, since they deduplicate.
   */
  accept(events: readonly UsageEvent[], origins?: EventOrigins): Promise<readonly Acceptance[]>;
  /** @throws Error when it could not accept events now. */
  check(): Promise<void>;
}

/** The contract's second for an answer, less what else a request needs. */
const acceptMs = 800;

/** Publishes to the stream, each org to its partition, and waits for the broker's confirms. */
export function streamSink(brokers: BrokerSource, settings: StreamSettings): EventSink {
  const partitions = streamPartitions(settings);
  /** The connection on which the streams were seen: a sender need not wait for a consumer's start. */
  let declaredOn: Broker | undefined;
  async function send(events: readonly UsageEvent[], origins?: EventOrigins): Promise<void> {
    const broker = await brokers.get();
    if (broker !== declaredOn) await declareStreams(broker, settings);
    declaredOn = broker;
    const messages = events.map((event) => {
      const origin = origins?.get(event);
      return {
        queue: partitionOf(event.orgId, partitions),
        content: encodeEvent(event),
        messageId: event.eventId,
        ...(origin === undefined ? {} : { headers: { ...origin } }),
      };
    });
    try {
      await broker.publish(messages, acceptMs);
    } catch (error) {
      // It may have been deleted: the next who sends makes it again.
      declaredOn = undefined;
      throw error;
    }
  }
  return {
    accept: async (events, origins) => {
      if (events.length > 0) await inTime(send(events, origins), 'RabbitMQ did not confirm');
      return events.map(() => ({ status: 'accepted' }));
    },
    check: async () => {
      const broker = await brokers.get();
      await broker.ping();
    },
  };
}

/**
 * Stores at once, by the consumer's own transaction. For work without RabbitMQ, in one process: of
 * two that take the same id with two times at the same moment neither knows of the other's.
 */
export function directSink(database: Database, storage: EventStorage, logger: Logger): EventSink {
  const ids = idsRoom().open();
  const inTurn = idTurns();
  let recalling: Promise<unknown> | undefined;
  const recalled = () => {
    recalling ??= recallIds(database, ids, directStream, Date.now()).catch((error: unknown) => {
      recalling = undefined;
      throw error;
    });
    return recalling;
  };

  async function store(
    events: readonly UsageEvent[],
    origins?: EventOrigins,
  ): Promise<Acceptance[]> {
    await recalled();
    const sifted = await withoutRestamped(database, ids, events, Date.now());
    const { kept, restamped } = sifted;
    const batch = { stream: directStream, events: kept, rejected: 0, restamped, position: null };
    const traces = events.map((event) => origins?.get(event));
    const result = await inBatchSpan(batch, traces, () =>
      storeBatch(database, storage, batch, { namesRepeated: true }),
    );
    sifted.learn(Date.now());
    tellConflicts(logger, directStream, result.conflicting);
    return acceptances(events, result);
  }

  return {
    accept: async (events, origins) => {
      if (events.length === 0) return [];
      const stored = inTurn(events, () => store(events, origins));
      return inTime(stored, 'the database did not store it');
    },
    check: async () => {
      await database.query('select 1');
    },
  };
}

function acceptances(
  events: readonly UsageEvent[],
  { conflicting, repeated }: IngestResult,
): Acceptance[] {
  const duplicates = new Set(repeated);
  const faultsOf = new Map(conflicting.map(({ event, faults }) => [event, faults]));
  return events.map((event) => {
    const faults = faultsOf.get(event);
    if (faults !== undefined) return { status: 'conflict', faults };
    return { status: duplicates.has(event) ? 'duplicate' : 'accepted' };
  });
}

async function inTime<T>(work: Promise<T>, fault: string): Promise<T> {
  try {
    return await within(acceptMs, work, `${fault} within ${acceptMs} ms`);
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    throw new ServiceError('unavailable', error.message);
  }
}
