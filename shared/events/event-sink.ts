import { directStream } from '../partitions/heads.ts';
import { partitionOf } from '../partitions/routing.ts';
import { declareStreams, type StreamSettings } from '../partitions/topology.ts';
import type { Broker, BrokerSource } from '../platform/broker/stream.ts';
import type { Database } from '../platform/database/db.ts';
import { DeadlineError, within } from '../platform/deadline.ts';
import { streamPartitions } from '../platform/env.ts';
import { ServiceError } from '../platform/errors.ts';
import type { TraceHeaders } from '../platform/telemetry/tracing.ts';
import { inBatchSpan } from './batch-span.ts';
import type { EventStorage } from './event-storage.ts';
import { storeBatch } from './store-batch.ts';
import { encodeEvent, type UsageEvent } from './usage-event.ts';

/** Traces that events bring along; of those it does not name, the request's goes on. */
export type EventOrigins = ReadonlyMap<UsageEvent, TraceHeaders>;

/** Where events taken over HTTP go: safe once `accept` returns. */
export interface EventSink {
  /** @throws ServiceError `unavailable`; then all may be sent again, since they deduplicate. */
  accept(events: readonly UsageEvent[], origins?: EventOrigins): Promise<void>;
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
    },
    check: async () => {
      const broker = await brokers.get();
      await broker.ping();
    },
  };
}

/** Stores at once, by the consumer's own transaction. For work without RabbitMQ. */
export function directSink(database: Database, storage: EventStorage): EventSink {
  return {
    accept: async (events, origins) => {
      if (events.length === 0) return;
      const batch = { stream: directStream, events, rejected: 0, position: null };
      const stored = inBatchSpan(
        batch,
        events.map((event) => origins?.get(event)),
        () => storeBatch(database, storage, batch),
      );
      await inTime(stored, 'the database did not store it');
    },
    check: async () => {
      await database.query('select 1');
    },
  };
}

async function inTime<T>(work: Promise<T>, fault: string): Promise<T> {
  try {
    return await within(acceptMs, work, `${fault} within ${acceptMs} ms`);
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    throw new ServiceError('unavailable', error.message);
  }
}
