import type { Broker, StreamMessage } from '../platform/broker/stream.ts';
import type { Settings } from '../platform/env.ts';
import type { Fault } from '../platform/errors.ts';

/**
 * A message that is not stored, being no valid event or in conflict with one that is: where it came
 * from, and each reason as `path: message`.
 */
export interface RejectedMessage {
  stream: string;
  message: StreamMessage;
  reasons: readonly string[];
  isConflict?: boolean;
}

/** A letter that has it is a valid event, and must not be sent again all the same. */
export const conflictHeader = 'x-conflict';

const confirmMs = 10_000;
/** Headers must fit in one frame. */
const reasonsMax = 50;
const reasonMaxLength = 300;
/** Bounds what waits for confirms at once. */
const messagesPerConfirmMax = 500;

/** Faults as the reasons of a reject. */
export function reasonsOf(faults: readonly Fault[]): string[] {
  return faults.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
}

export function deadLetterQueueOf({ RABBITMQ_STREAM }: Pick<Settings, 'RABBITMQ_STREAM'>): string {
  return `${RABBITMQ_STREAM}.dlq`;
}

/**
 * Puts rejects into the dead-letter queue, original bytes and all, and waits for the broker to
 * confirm them. The message id (`stream:offset`) is the same when a batch is repeated.
 *
 * @throws ServiceError `unavailable` when they are not confirmed; the batch must then not commit.
 */
export async function sendRejects(
  broker: Broker,
  queue: string,
  rejects: readonly RejectedMessage[],
): Promise<void> {
  for (let start = 0; start < rejects.length; start += messagesPerConfirmMax) {
    const messages = rejects
      .slice(start, start + messagesPerConfirmMax)
      .map(({ stream, message, reasons, isConflict = false }) => ({
        queue,
        content: message.content,
        messageId: `${stream}:${message.offset}`,
        ...(message.contentEncoding === undefined
          ? {}
          : { contentEncoding: message.contentEncoding }),
        headers: {
          'x-reasons': JSON.stringify(
            reasons.slice(0, reasonsMax).map((reason) => reason.slice(0, reasonMaxLength)),
          ),
          'x-source-stream': stream,
          'x-source-offset': message.offset,
          'x-rejected-at': new Date().toISOString(),
          ...(isConflict ? { [conflictHeader]: true } : {}),
        },
      }));
    await broker.publish(messages, confirmMs);
  }
}
