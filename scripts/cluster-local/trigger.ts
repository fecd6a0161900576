import type { DeliveryEvent, OnEvent } from './cluster-event.ts';
import { type Delivered, deliver, type EventMessage, type Sink } from './delivery.ts';
import type { Answer } from './http-exchange.ts';
import type { Broker, Delivery, Destination, Trigger } from './manifests.ts';
import type { PlatformClock } from './platform-clock.ts';
import { nameOf } from './sink.ts';

/** A trigger with its sinks found. */
export interface Subscription {
  /** Whether an event has the attributes of the filter, word for word. */
  takes(event: EventMessage): boolean;
  /** Resolves once the subscriber or the dead-letter sink has it, or it is lost. */
  handOver(event: EventMessage, signal: AbortSignal): Promise<void>;
}

export interface SubscriptionOptions {
  clock: PlatformClock;
  onEvent: OnEvent;
  sinkFor(destination: Destination): Sink;
}

const noDelivery: Delivery = { retry: 0, backoffPolicy: 'exponential', backoffDelay: 0 };

/** @throws Error when a sink of it is not there. */
export function subscriptionOf(
  { metadata, spec }: Trigger,
  broker: Broker,
  { clock, onEvent, sinkFor }: SubscriptionOptions,
): Subscription {
  const { deadLetterSink, ...policy } = spec.delivery ?? broker.spec.delivery ?? noDelivery;
  const subscriber = {
    sink: eventsOnly(sinkFor(spec.subscriber)),
    name: nameOf(spec.subscriber),
    outcome: 'delivered' as const,
  };
  const deadLetters = deadLetterSink && {
    sink: sinkFor(deadLetterSink),
    name: nameOf(deadLetterSink),
    outcome: 'dead-lettered' as const,
  };

  async function send(
    event: EventMessage,
    to: typeof subscriber | NonNullable<typeof deadLetters>,
    signal: AbortSignal,
  ): Promise<Delivered> {
    const tell = (told: Pick<DeliveryEvent, 'outcome' | 'attempt' | 'detail'>) =>
      onEvent({
        kind: 'delivery',
        from: `Trigger ${metadata.name}`,
        to: to.name,
        ...idAndType(event),
        ...told,
      });
    const onRetry = (attempt: number, detail: string) =>
      tell({ outcome: 'retrying', attempt, detail });
    const result = await deliver(event, to.sink, { policy, clock, signal, onRetry });
    const isLast = to === deadLetters || deadLetters === undefined;
    if (result.isDelivered || isLast) {
      const outcome = result.isDelivered ? to.outcome : 'lost';
      tell({ outcome, attempt: result.attempts, detail: result.detail });
    }
    return result;
  }

  return {
    takes: ({ headers }) =>
      Object.entries(spec.filter.attributes).every(
        ([name, value]) => value === '' || headers[`ce-${name}`] === value,
      ),
    handOver: async (event, signal) => {
      const result = await send(event, subscriber, signal);
      if (result.isDelivered || deadLetters === undefined) return;
      await send(deadLetterOf(event, subscriber.sink, result), deadLetters, signal);
    },
  };
}

/**
 * A subscriber may answer with nothing or with another CloudEvent. The filter of the channel-based
 * broker takes any other body for a failure, with a status of its own.
 */
function eventsOnly(sink: Sink): Sink {
  const check = (answer: Answer): Answer => {
    const isEvent =
      'ce-specversion' in answer.headers ||
      (answer.headers['content-type'] ?? '').startsWith('application/cloudevents');
    const isFine = answer.status >= 300 || answer.body.length === 0 || isEvent;
    return isFine ? answer : { ...answer, status: 502 };
  };
  return {
    url: sink.url,
    post: async (event, timeoutMs) => check(await sink.post(event, timeoutMs)),
  };
}

function deadLetterOf(
  { headers, body }: EventMessage,
  subscriber: Sink,
  result: Delivered,
): EventMessage {
  return {
    headers: {
      ...headers,
      'ce-knativeerrordest': subscriber.url,
      'ce-knativeerrorcode': String(result.status ?? 500),
      'ce-knativeerrordata': result.body.toString('base64').slice(0, 1_024),
    },
    body,
  };
}

export function idAndType({ headers }: EventMessage): { id: string; type: string } {
  return { id: headers['ce-id'] ?? '', type: headers['ce-type'] ?? '' };
}
