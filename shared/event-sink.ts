import type { Database } from './db.ts';
import { type Settings, streamPartitions } from './env.ts';
import type { EventStorage } from './event-storage.ts';
import { ingest } from './ingest.ts';
import { partitionOf } from './partition-routing.ts';
import type { BrokerSource } from './stream.ts';
import { directStream } from './stream-heads.ts';
import { encodeEvent, type UsageEvent } from './usage-event.ts';

/** Where events taken over HTTP go: safe once `accept` returns. */
export interface EventSink {
  /** @throws ServiceError `unavailable`; then all may be sent again, since they deduplicate. */
  accept(events: readonly UsageEvent[]): Promise<void>;
  /** @throws Error when it could not accept events now. */
  check(): Promise<void>;
}

/** The contract's second for an answer, less what else a request needs. */
const acceptMs = 800;

/** Publishes to the stream, each org to its partition, and waits for the broker's confirms. */
export function streamSink(
  brokers: BrokerSource,
  settings: Pick<Settings, 'RABBITMQ_STREAM' | 'RABBITMQ_STREAM_PARTITIONS'>,
): EventSink {
  const partitions = streamPartitions(settings);
  return {
    accept: async (events) => {
      if (events.length === 0) return;
      const deadlineMs = performance.now() + acceptMs;
      const broker = await brokers.get();
      const messages = events.map((event) => ({
        queue: partitionOf(event.orgId, partitions),
        content: encodeEvent(event),
        messageId: event.eventId,
      }));
      await broker.publish(messages, Math.max(1, Math.floor(deadlineMs - performance.now())));
    },
    check: async () => {
      await brokers.get();
    },
  };
}

/** Stores at once, by the consumer's own transaction. For work without RabbitMQ. */
export function directSink(database: Database, storage: EventStorage): EventSink {
  return {
    accept: async (events) => {
      if (events.length === 0) return;
      await storage.ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
      await ingest(database, { stream: directStream, events, rejected: 0, position: null });
    },
    check: async () => {
      await database.query('select 1');
    },
  };
}
