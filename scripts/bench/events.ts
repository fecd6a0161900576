import { randomUUID } from 'node:crypto';
import { connect } from 'amqplib';
import { encodeEvent, type UsageEvent } from '../../shared/events/usage-event.ts';
import { declareStreams } from '../../shared/partitions/topology.ts';
import { connectBroker } from '../../shared/platform/broker/stream.ts';
import { busyOrg, clientCount, modelCount } from './usage-rows.ts';

export interface BenchStream {
  /** What a consumer or a publisher of it needs in its environment. */
  settings: Readonly<Record<'RABBITMQ_URL' | 'RABBITMQ_STREAM', string>>;
  delete(): Promise<void>;
}

const batchSize = 2_000;

/** A stream of the bench's own, with events in it. */
export async function benchStream(
  url: string,
  events: Iterable<UsageEvent> = [],
): Promise<BenchStream> {
  const name = `bench.${randomUUID()}`;
  const broker = await connectBroker(url, { name: 'bench' });
  try {
    await declareStreams(broker, {
      RABBITMQ_STREAM: name,
      RABBITMQ_STREAM_PARTITIONS: 1,
      RABBITMQ_STREAM_MAX_AGE: '1D',
      RABBITMQ_STREAM_MAX_BYTES: 4_000_000_000,
    });
    const publish = (batch: readonly UsageEvent[]) =>
      broker.publish(
        batch.map((event) => ({ queue: name, content: encodeEvent(event) })),
        60_000,
      );
    let batch: UsageEvent[] = [];
    for (const event of events) {
      if (batch.push(event) < batchSize) continue;
      await publish(batch);
      batch = [];
    }
    await publish(batch);
  } finally {
    await broker.close();
  }
  return {
    settings: { RABBITMQ_URL: url, RABBITMQ_STREAM: name },
    delete: async () => {
      const connection = await connect(url);
      const channel = await connection.createChannel();
      for (const queue of [name, `${name}.dlq`]) await channel.deleteQueue(queue);
      await connection.close();
    },
  };
}

/** Events of the same mix as `makeUsageRows`, evenly over a stretch of time, oldest first. */
export function* benchEvents(count: number, fromMs: number, toMs: number): Generator<UsageEvent> {
  const stepMs = (toMs - fromMs) / count;
  for (let number = 0; number < count; number += 1) {
    yield benchEvent(number, Math.floor(fromMs + number * stepMs));
  }
}

export function benchEvent(number: number, occurredAtMs: number): UsageEvent {
  const [a, b, c, d] = [Math.random(), Math.random(), Math.random(), Math.random()];
  const isServed = c < 0.96;
  return {
    eventId: randomUUID(),
    orgId: number % 2 === 0 ? busyOrg : uuidOf((number % 19) + 2),
    modelId: uuidOf(0xa0 + Math.floor(Math.random() * modelCount)),
    actorId: null,
    clientId: `client-${Math.floor(Math.random() * clientCount)}`,
    occurredAtMs,
    latencyMs: Math.round(
      800 * Math.exp(0.8 * Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b)),
    ),
    status: isServed ? 'success' : c < 0.98 ? 'error' : c < 0.99 ? 'timeout' : 'throttled',
    errorCode: isServed ? null : `code-${Math.round(d * 8)}`,
    inputTokens: Math.round(4_000 * a),
    outputTokens: Math.round(900 * d),
    costEstimateCents: (1.2 * a + 1.35 * d).toFixed(4),
    inputCostCents: null,
    outputCostCents: null,
    metadata: null,
  };
}

function uuidOf(number: number): string {
  return `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
}
