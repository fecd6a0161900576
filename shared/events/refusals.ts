import * as z from 'zod';
import { directStream } from '../partitions/heads.ts';
import { declareStreams, type StreamSettings } from '../partitions/topology.ts';
import type { Broker, BrokerSource, StreamMessage } from '../platform/broker/stream.ts';
import type { Database } from '../platform/database/db.ts';
import { within } from '../platform/deadline.ts';
import { streamPartitions } from '../platform/env.ts';
import type { Logger } from '../platform/telemetry/telemetry.ts';
import type { EventStorage } from './event-storage.ts';
import { storeBatch } from './store-batch.ts';

/**
 * Events that are refused over HTTP reach no stream and no dead-letter queue, and have to be counted
 * all the same. The function that refuses them has no database and gets none for this: it gathers
 * their number and sends that on the way that events go, to be added to the totals in a batch's own
 * transaction.
 */
export interface Refusals {
  /** Never waits and never fails: what cannot be sent on yet is kept. */
  add(count: number): void;
  /**
   * Sends on what is left.
   *
   * @returns how many could not be, since whatever takes them is away
   */
  close(): Promise<number>;
}

/** A second's refusals are one message, however many there are. */
const gatherMs = 1_000;
/** While what takes them is away. */
const againMs = 5_000;
const sendMs = 2_000;
/** In one message; what is more goes with the next. A batch of the largest fits an integer. */
const countMax = 100_000;

/** Gathers refusals and gives their number to `send`, which throws where it may not be counted. */
export function gatherRefusals(send: (count: number) => Promise<void>): Refusals {
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let isClosed = false;

  async function sendOne(): Promise<void> {
    const count = Math.min(waiting, countMax);
    waiting -= count;
    try {
      await within(sendMs, send(count), 'not counted in time');
    } catch (error) {
      // It may have arrived: better counted twice than never.
      waiting += count;
      throw error;
    }
  }

  function start(afterMs: number): void {
    timer ??= setTimeout(() => {
      sending = sendOne()
        .then(
          () => gatherMs,
          () => againMs,
        )
        .then((nextMs) => {
          timer = undefined;
          sending = undefined;
          if (waiting > 0 && !isClosed) start(nextMs);
        });
    }, afterMs).unref();
  }

  return {
    add: (count) => {
      waiting += count;
      start(gatherMs);
    },
    close: async () => {
      isClosed = true;
      clearTimeout(timer);
      await sending;
      try {
        while (waiting > 0) await sendOne();
      } catch {
        // Told by the number.
      }
      return waiting;
    },
  };
}

/** The last act of who refuses: what stays uncounted is said. */
export async function closeRefusals(refusals: Refusals, logger: Logger): Promise<void> {
  const count = await refusals.close();
  if (count > 0) logger.warn({ count }, 'refused events that are not counted: what counts is away');
}

/** Without RabbitMQ they are a batch of their own, without events. */
export function directRefusals(database: Database, storage: EventStorage): Refusals {
  return gatherRefusals(async (count) => {
    const batch = { stream: directStream, events: [], rejected: count, position: null };
    await storeBatch(database, storage, batch);
  });
}

/** With RabbitMQ they are a message among the events, which the consumer adds up. */
export function streamRefusals(brokers: BrokerSource, settings: StreamSettings): Refusals {
  const [queue = settings.RABBITMQ_STREAM] = streamPartitions(settings);
  let declaredOn: Broker | undefined;
  return gatherRefusals(async (count) => {
    const broker = await brokers.get();
    if (broker !== declaredOn) await declareStreams(broker, settings);
    declaredOn = broker;
    await broker.publish([{ queue, ...refusalsMessage(count) }], sendMs);
  });
}

const contentType = 'application/vnd.analytics.refusals+json';
const form = z.object({ refused: z.int().min(1).max(countMax) });

export function refusalsMessage(count: number): { content: Buffer; contentType: string } {
  return { content: Buffer.from(JSON.stringify({ refused: count })), contentType };
}

/** How many refusals a message tells of, or undefined for one that does not, as nearly all. */
export function refusalsIn(message: StreamMessage): number | undefined {
  if (message.contentType !== contentType || message.content.length > 100) return undefined;
  try {
    return form.safeParse(JSON.parse(message.content.toString('utf8'))).data?.refused;
  } catch {
    return undefined;
  }
}
