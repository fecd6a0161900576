import { partitionOf } from '../../shared/partitions/routing.ts';
import { declareStreams } from '../../shared/partitions/topology.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { requireSetting, type Settings, streamPartitions } from '../../shared/platform/env.ts';
import { ServiceError } from '../../shared/platform/errors.ts';
import type { Target } from './outgoing.ts';
import { retrying, TryAgainError } from './retry.ts';

const confirmMs = 10_000;

/**
 * Publishes to the stream, each org to its partition, and waits for the confirms of every batch.
 * Declares what is missing, so that events can be sent before the service first started.
 *
 * @throws ServiceError `unavailable` without RabbitMQ.
 */
export async function openStreamTarget(settings: Settings): Promise<Target> {
  const url = requireSetting(settings, 'RABBITMQ_URL', 'amqp://user:password@host:5672');
  const partitions = streamPartitions(settings);
  const brokers = brokerSource(url, { name: 'publisher' });
  try {
    await declareStreams(await brokers.get(), settings);
  } catch (error) {
    await brokers.close();
    throw error;
  }
  return {
    name: `stream ${settings.RABBITMQ_STREAM} at ${new URL(url).host}`,
    send: async (batch) => {
      const messages = batch.map(({ orgId, eventId, content }) => ({
        queue: partitionOf(orgId, partitions),
        content,
        messageId: eventId,
      }));
      const { tries } = await retrying(async () => {
        try {
          const broker = await brokers.get();
          await broker.publish(messages, confirmMs);
        } catch (error) {
          // The whole batch again: what was confirmed before deduplicates.
          if (error instanceof ServiceError) throw new TryAgainError(error.message);
          throw error;
        }
      });
      return { refused: [], wasRepeated: tries > 1 };
    },
    close: () => brokers.close(),
  };
}
