import { deadLetterQueueOf } from '../dead-letters/dead-letters.ts';
import type { Broker } from '../platform/broker/stream.ts';
import { type Settings, streamPartitions } from '../platform/env.ts';

export type StreamSettings = Pick<
  Settings,
  | 'RABBITMQ_STREAM'
  | 'RABBITMQ_STREAM_PARTITIONS'
  | 'RABBITMQ_STREAM_MAX_AGE'
  | 'RABBITMQ_STREAM_MAX_BYTES'
>;

/** Declares the stream (or its partitions) and the dead-letter queue, where they are missing. */
export async function declareStreams(broker: Broker, settings: StreamSettings): Promise<void> {
  const limits = {
    maxAge: settings.RABBITMQ_STREAM_MAX_AGE,
    maxBytes: settings.RABBITMQ_STREAM_MAX_BYTES,
  };
  for (const stream of streamPartitions(settings)) await broker.ensureStream(stream, limits);
  await broker.ensureQueue(deadLetterQueueOf(settings));
}
