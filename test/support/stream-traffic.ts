import { type Channel, connect } from 'amqplib';
import { encodeEvent, type UsageEvent } from '../../shared/events/usage-event.ts';
import { declareStreams } from '../../shared/partitions/topology.ts';
import { type Broker, connectBroker } from '../../shared/platform/broker/stream.ts';
import type { Settings } from '../../shared/platform/env.ts';
import type { Random } from './random.ts';
import { randomEvent } from './usage-events.ts';

/** A message as a producer sent it; `event` is null where it is no valid event. */
export interface TrafficMessage {
  content: Buffer;
  event: UsageEvent | null;
}

/** Of a thousand messages. */
export interface TrafficMix {
  duplicates: number;
  /** Duplicates by key whose payload differs. */
  conflicts: number;
  /** Retries that stamped themselves again. */
  restamped?: number;
  invalid: number;
}

const recentMax = 20_000;

/** Random messages: new events, late ones among them, repeated ones, and what is no event at all. */
export function traffic(
  random: Random,
  count: number,
  { duplicates, conflicts, restamped = 0, invalid }: TrafficMix,
): TrafficMessage[] {
  const nowMs = Date.now();
  const spreadMs = 30 * 3_600_000;
  const sent: UsageEvent[] = [];
  return Array.from({ length: count }, (_, index): TrafficMessage => {
    const share = random.below(1_000);
    const earlier = sent[sent.length - 1 - random.below(Math.min(sent.length, recentMax))];
    if (share < invalid) return { content: invalidMessage(random, index), event: null };
    if (earlier !== undefined && share < invalid + duplicates) return message(earlier);
    if (earlier !== undefined && share < invalid + duplicates + conflicts) {
      return message({ ...earlier, inputTokens: earlier.inputTokens + 1 });
    }
    if (earlier !== undefined && share < invalid + duplicates + conflicts + restamped) {
      return message({ ...earlier, occurredAtMs: earlier.occurredAtMs - 1 - random.below(5_000) });
    }
    const event = randomEvent(random, nowMs, spreadMs);
    sent.push(event);
    return message(event);
  });
}

function message(event: UsageEvent): TrafficMessage {
  return { content: encodeEvent(event), event };
}

/** Bytes that name their index, so that each is told from the others. */
function invalidMessage(random: Random, index: number): Buffer {
  const base = { ...randomEvent(random, Date.now(), 60_000), index };
  return random.pick([
    Buffer.from(`not JSON ${index}`),
    Buffer.from(`{"index": ${index}`),
    Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.from(String(index))]),
    Buffer.from(JSON.stringify({ ...base, occurredAt: 'yesterday' })),
    Buffer.from(JSON.stringify({ ...base, occurredAt: '2001-01-01T00:00:00Z' })),
    Buffer.from(JSON.stringify({ index, eventId: base.eventId })),
    Buffer.from(`[${index}]`),
  ]);
}

/** The events that must be stored once these messages are read in order: the first of each id. */
export function expectedEvents(messages: readonly TrafficMessage[]): UsageEvent[] {
  const first = new Map<string, UsageEvent>();
  for (const { event } of messages) {
    if (event === null) continue;
    const id = `${event.orgId}/${event.eventId}`;
    if (!first.has(id)) first.set(id, event);
  }
  return [...first.values()];
}

/** Makes the system's stream and dead-letter queue where no consumer has done so yet. */
export async function declare(url: string, settings: Settings): Promise<void> {
  await withBroker(url, (broker) => declareStreams(broker, settings));
}

/** Publishes in order and waits for the confirms. */
export async function publishTraffic(
  url: string,
  queue: string,
  messages: readonly TrafficMessage[],
): Promise<void> {
  await withBroker(url, async (broker) => {
    const step = 2_000;
    for (let start = 0; start < messages.length; start += step) {
      const some = messages.slice(start, start + step);
      await broker.publish(
        some.map(({ content }) => ({ queue, content })),
        20_000,
      );
    }
  });
}

/** The offset that the broker gave to each message, in order. */
export async function readOffsets(url: string, stream: string, count: number): Promise<number[]> {
  return withBroker(url, async (broker) => {
    const reader = await broker.read(stream, null, 10_000, ({ offset }) => offset);
    const offsets: number[] = [];
    try {
      while (offsets.length < count) {
        const some = await reader.take(10_000, 50, 5_000);
        if (some.length === 0) throw new Error(`the stream has only ${offsets.length} messages`);
        offsets.push(...some);
        reader.acknowledge();
      }
      return offsets;
    } finally {
      await reader.close();
    }
  });
}

async function withBroker<T>(url: string, work: (broker: Broker) => Promise<T>): Promise<T> {
  const broker = await connectBroker(url);
  try {
    return await work(broker);
  } finally {
    await broker.close();
  }
}

/** A channel for what the service itself never does to its stream. */
export async function withChannel<T>(
  url: string,
  work: (channel: Channel) => Promise<T>,
): Promise<T> {
  const connection = await connect(url);
  try {
    return await work(await connection.createChannel());
  } finally {
    await connection.close();
  }
}
