import { SpanKind } from '@opentelemetry/api';
import { activeTrace, inSpan, isTracing, linksTo, traceIn } from '../telemetry/tracing.ts';

interface Traceable {
  queue: string;
  headers?: Record<string, unknown>;
}

/**
 * Publishing as a span, and its context in each message for whoever reads it. A message that brings
 * its creator's context keeps that one, and the span links to it.
 *
 * https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/#producer-spans
 */
export function inPublishSpan<Message extends Traceable>(
  messages: readonly Message[],
  publish: (messages: readonly Message[]) => Promise<void>,
): Promise<void> {
  if (!isTracing()) return publish(messages);
  const queues = [...new Set(messages.map(({ queue }) => queue))];
  const destination = queues.length === 1 ? queues[0] : undefined;
  const options = {
    kind: SpanKind.PRODUCER,
    attributes: {
      'messaging.system': 'rabbitmq',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.batch.message_count': messages.length,
      ...(destination === undefined ? {} : { 'messaging.destination.name': destination }),
    },
    links: linksTo(messages.flatMap(({ headers = {} }) => traceIn(headers) ?? [])),
  };
  const name = destination === undefined ? 'publish' : `publish ${destination}`;
  return inSpan(name, options, () => {
    const ours = activeTrace();
    return publish(
      messages.map((message) =>
        message.headers !== undefined && traceIn(message.headers) !== undefined
          ? message
          : { ...message, headers: { ...message.headers, ...ours } },
      ),
    );
  });
}
