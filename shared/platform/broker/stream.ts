import { Duplex } from 'node:stream';
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage, Options } from 'amqplib';
import { DeadlineError, within } from '../deadline.ts';
import { messageOf, ServiceError, storeAway } from '../errors.ts';
import { inPublishSpan } from './publish-span.ts';
import { browseQueue, type QueueBrowser } from './queue-browser.ts';

/**
 * RabbitMQ over AMQP 0-9-1, and what a stream asks of it: consumers do not compete, an ack only
 * returns credit, offsets have gaps, and get, purge, nack or noAck close the whole connection.
 * Nothing else in the project speaks AMQP.
 */

export interface StreamLimits {
  maxAge: string;
  maxBytes: number;
}

/** A message of a stream, with where it lies. */
export interface StreamMessage {
  offset: number;
  content: Buffer;
  headers: Readonly<Record<string, unknown>>;
  /** As its sender says, where it says so. */
  contentType?: string | undefined;
  contentEncoding?: string | undefined;
}

export interface OutgoingMessage {
  queue: string;
  content: Buffer;
  messageId?: string;
  headers?: Record<string, unknown>;
  contentType?: string;
  contentEncoding?: string;
}

/** Reads a stream in order from an offset on; what was taken must be acknowledged. */
export interface StreamReader<T> {
  /**
   * Up to `max` messages: waits `idleMs` for the first, then `fillMs` for more. Empty when idle.
   *
   * @throws ServiceError `unavailable` when the connection is gone, or the stream was deleted and
   * everything that came of it is taken.
   */
  take(max: number, fillMs: number, idleMs: number): Promise<T[]>;
  /** Returns the credit of everything taken so far. */
  acknowledge(): void;
  close(): Promise<void>;
}

/** One connection. It is never repaired: when it breaks, every call says so, and one opens anew. */
export interface Broker {
  /** Settles when the connection is gone, or given up because nothing was confirmed in time. */
  readonly closed: Promise<void>;
  ensureStream(name: string, limits: StreamLimits): Promise<void>;
  ensureQueue(name: string): Promise<void>;
  /** @throws when the broker does not answer. */
  ping(): Promise<void>;
  exists(name: string): Promise<boolean>;
  messageCount(name: string): Promise<number>;
  /** Publishes and waits until the broker has confirmed every message, at most `timeoutMs`. */
  publish(messages: readonly OutgoingMessage[], timeoutMs: number): Promise<void>;
  /**
   * @param from the offset to begin at, or null for the oldest message still there
   * @param credit unacknowledged messages that the broker may send ahead; it rounds up to chunks.
   *   Large ones are sent ahead in smaller number, so that what waits stays within 32 MB
   * @param map runs as each message arrives, so that decoding overlaps the wait for the database
   */
  read<T>(
    stream: string,
    from: number | null,
    credit: number,
    map: (message: StreamMessage) => T,
  ): Promise<StreamReader<T>>;
  /** Reads a queue, never a stream, without taking from it. @throws when there is none. */
  browse(queue: string, pageSize: number): Promise<QueueBrowser>;
  /** The first message at or behind an offset that the stream still delivers, or null. */
  firstFrom(stream: string, offset: number): Promise<StreamMessage | null>;
  /** The newest offset, or null in an empty stream. */
  head(stream: string): Promise<number | null>;
  /** The oldest offset still there, or null in an empty stream. */
  tail(stream: string): Promise<number | null>;
  close(): Promise<void>;
}

const notFound = 404;
/**
 * What a reader holds at most beside one message. Credit counts messages, and one may have 128 MB:
 * 10,000 events take some 6 MB of it.
 */
const bufferMaxBytes = 32_000_000;
const closeMaxMs = 2_000;
/** Retention drops whole segments: small ones keep a small stream near its limits. */
const segmentMaxBytes = 100_000_000;
/**
 * RabbitMQ 4 drops what was delivered and returned 20 times unless told otherwise, and reading a
 * queue does just that. Not -1: 3.10 takes it, and drops what is returned once.
 */
const deliveriesMax = 1_000_000_000;

/** @throws ServiceError `unavailable` when the broker does not answer within `timeoutMs`. */
export async function connectBroker(
  url: string,
  { name = 'analytics-service', timeoutMs = 5_000 } = {},
): Promise<Broker> {
  const { default: amqplib } = await import('amqplib');
  let connection: ChannelModel;
  try {
    connection = await amqplib.connect(withHeartbeat(url), {
      timeout: timeoutMs,
      clientProperties: { connection_name: name },
    });
  } catch (error) {
    throw storeAway('RabbitMQ is not available', messageOf(error), error);
  }
  let isOpen = true;
  let end = () => {};
  const closed = new Promise<void>((resolve) => {
    end = () => {
      isOpen = false;
      resolve();
    };
  });
  connection.on('close', end);
  // Always followed by `close`; unhandled, it would end the process.
  connection.on('error', () => {});

  const gone = () => new ServiceError('unavailable', 'the connection to RabbitMQ is closed');

  async function channel(): Promise<Channel> {
    if (!isOpen) throw gone();
    const opened = await connection.createChannel();
    opened.on('error', () => {});
    return opened;
  }

  async function withChannel<T>(work: (opened: Channel) => Promise<T>): Promise<T> {
    const opened = await channel();
    try {
      return await work(opened);
    } finally {
      await closeChannel(opened);
    }
  }

  const exists = (queue: string) =>
    withChannel(async (opened) => {
      try {
        await opened.checkQueue(queue);
        return true;
      } catch (error) {
        if (isCode(error, notFound)) return false;
        throw error;
      }
    });

  /** Declaring again with other arguments closes the channel (406), so what is there stays. */
  async function ensure(queue: string, options: Options.AssertQueue): Promise<void> {
    if (await exists(queue)) return;
    await withChannel((opened) => opened.assertQueue(queue, { durable: true, ...options }));
  }

  const messageCount = (queue: string) =>
    withChannel(async (opened) => (await opened.checkQueue(queue)).messageCount);

  let confirming: Promise<ConfirmChannel> | undefined;
  const returned = new Set<string>();
  let published = 0;

  /** The channel to publish on, opened when there is none. */
  function confirmChannel(): Promise<ConfirmChannel> {
    if (confirming !== undefined) return confirming;
    const opening = openConfirmChannel();
    confirming = opening;
    const forget = () => {
      if (confirming === opening) confirming = undefined;
    };
    opening.then((opened) => opened.on('close', forget), forget);
    return opening;
  }

  async function openConfirmChannel(): Promise<ConfirmChannel> {
    if (!isOpen) throw gone();
    const opened = await connection.createConfirmChannel();
    opened.on('error', () => {});
    // Confirmed all the same, a message to a queue that does not exist comes back just before.
    opened.on('return', ({ properties }) => returned.add(String(properties.correlationId)));
    return opened;
  }

  async function publishOne(opened: ConfirmChannel, message: OutgoingMessage): Promise<void> {
    published += 1;
    const correlationId = String(published);
    await new Promise<void>((resolve, reject) => {
      opened.publish(
        '',
        message.queue,
        message.content,
        {
          persistent: true,
          mandatory: true,
          correlationId,
          ...propertiesOf(message),
        },
        (error) => {
          if (error) reject(error);
          else resolve();
        },
      );
    });
    if (returned.delete(correlationId)) {
      throw storeAway('RabbitMQ has no queue or stream for it', message.queue);
    }
  }

  async function publish(messages: readonly OutgoingMessage[], timeoutMs: number): Promise<void> {
    const channelOfAll = confirmChannel();
    let isLate = false;
    // A broker that froze does not even open a channel: the limit holds for that too.
    const all = channelOfAll.then(async (opened) => {
      if (!isLate) await Promise.all(messages.map((message) => publishOne(opened, message)));
    });
    try {
      await within(timeoutMs, all, `RabbitMQ did not confirm within ${timeoutMs} ms`);
    } catch (error) {
      isLate = true;
      if (error instanceof DeadlineError) giveUp(timeoutMs);
      if (error instanceof ServiceError) throw error;
      throw storeAway('RabbitMQ did not take it', messageOf(error), error);
    }
  }

  /**
   * A channel that first sent to a stream just when its node had come back sends to the leader of
   * before for good (RabbitMQ 3.10): nothing is ever confirmed, and once its credit is used up the
   * broker reads no more of the whole connection. What is tried again needs another connection.
   * Others that wait on this one have until `graceMs` are over.
   */
  function giveUp(graceMs: number): void {
    if (!isOpen) return;
    end();
    confirming = undefined;
    setTimeout(() => cut(connection), graceMs).unref();
  }

  async function read<T>(
    stream: string,
    from: number | 'first' | 'last',
    creditMax: number,
    map: (message: StreamMessage) => T,
  ): Promise<StreamReader<T>> {
    const buffer: { message: ConsumeMessage; from: Channel; bytes: number; item: T }[] = [];
    let bufferedBytes = 0;
    let credit = creditMax;
    /** Where a channel that was given up is followed by another, once the buffer is empty. */
    let resumeAt: number | undefined;
    let taken: { message: ConsumeMessage; from: Channel } | undefined;
    let fault: Error | undefined;
    let isDeleted = false;
    let isClosed = false;
    let wake = () => {};
    let opened = await open(from);

    async function open(offset: number | 'first' | 'last'): Promise<Channel> {
      const current = await channel();
      let seen = 0;
      let seenBytes = 0;
      let isGivenUp = false;
      /** What this channel still delivers is read again by the next, with another credit. */
      const giveUp = (nextOffset: number, nextCredit: number) => {
        isGivenUp = true;
        resumeAt = nextOffset;
        credit = nextCredit;
        void closeChannel(current);
      };
      current.on('close', () => {
        if (isGivenUp) return;
        fault ??= gone();
        wake();
      });
      await current.prefetch(credit);
      await current.consume(
        stream,
        (message) => {
          if (isGivenUp) return;
          if (message === null) {
            isDeleted = true;
            fault = new ServiceError('unavailable', `the stream ${stream} was deleted`);
            wake();
            return;
          }
          const read = toStreamMessage(message);
          const bytes = read.content.length;
          buffer.push({ message, from: current, bytes, item: map(read) });
          bufferedBytes += bytes;
          seen += 1;
          seenBytes += bytes;
          const fitting = Math.floor(bufferMaxBytes / 2 / Math.max(1, seenBytes / seen));
          if (bufferedBytes > bufferMaxBytes) {
            giveUp(read.offset + 1, Math.max(1, Math.min(creditMax, fitting)));
          } else if (credit < creditMax && seen >= credit * 4 && fitting >= credit * 4) {
            giveUp(read.offset + 1, Math.min(creditMax, fitting));
          }
          wake();
        },
        { noAck: false, arguments: { 'x-stream-offset': offset } },
      );
      return current;
    }

    /** Waits until the buffer holds `count`, the time is up, or nothing more will come. */
    async function waitFor(count: number, timeoutMs: number): Promise<void> {
      const deadline = performance.now() + timeoutMs;
      const isOver = () => buffer.length >= count || fault !== undefined || resumeAt !== undefined;
      while (!isOver()) {
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) return;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, leftMs);
          wake = () => {
            if (!isOver()) return;
            clearTimeout(timer);
            resolve();
          };
        });
        wake = () => {};
      }
    }

    return {
      take: async (max, fillMs, idleMs) => {
        if (buffer.length === 0 && fault === undefined && resumeAt !== undefined) {
          const next = resumeAt;
          resumeAt = undefined;
          opened = await open(next);
          if (isClosed) await closeChannel(opened);
        }
        await waitFor(1, idleMs);
        if (buffer.length > 0) await waitFor(max, fillMs);
        // Nobody can deliver again what came of a stream that is no more.
        if (fault !== undefined && !(isDeleted && buffer.length > 0)) throw fault;
        const entries = buffer.splice(0, max);
        for (const { bytes } of entries) bufferedBytes -= bytes;
        taken = entries.at(-1) ?? taken;
        return entries.map(({ item }) => item);
      },
      acknowledge: () => {
        const isOpenStill = fault === undefined && resumeAt === undefined;
        if (taken?.from === opened && isOpenStill) opened.ack(taken.message, true);
        taken = undefined;
      },
      close: async () => {
        isClosed = true;
        await closeChannel(opened);
      },
    };
  }

  /**
   * Offsets of the chunk at one end. The smallest credit still brings that chunk whole, and then
   * nothing more, however fast others publish. Silence after it is its end.
   */
  async function endOffsets(stream: string, end: 'first' | 'last'): Promise<number[]> {
    const silenceMs = 300;
    const patienceMs = 1_500;
    const reader = await read(stream, end, 1, ({ offset }) => offset);
    try {
      const offsets = await reader.take(1_000_000, 0, patienceMs);
      for (let more = offsets; more.length > 0; ) {
        more = await reader.take(1_000_000, 0, silenceMs);
        offsets.push(...more);
      }
      if (offsets.length === 0 && (await messageCount(stream)) > 0) {
        throw new ServiceError('unavailable', `RabbitMQ did not deliver the end of ${stream}`);
      }
      return offsets;
    } finally {
      await reader.close();
    }
  }

  async function firstFrom(stream: string, offset: number): Promise<StreamMessage | null> {
    const answerMaxMs = 1_500;
    const reader = await read(stream, offset, 1, (message) => message);
    try {
      for (;;) {
        // A chunk comes whole: it may begin before the offset that was asked for.
        const messages = await reader.take(1_000, 0, answerMaxMs);
        const found = messages.find((message) => message.offset >= offset);
        if (found !== undefined || messages.length === 0) return found ?? null;
        reader.acknowledge();
      }
    } finally {
      await reader.close();
    }
  }

  return {
    closed,
    ping: () => withChannel(async () => {}),
    exists,
    messageCount,
    ensureStream: (stream, { maxAge, maxBytes }) =>
      ensure(stream, {
        arguments: {
          'x-queue-type': 'stream',
          'x-max-age': maxAge,
          'x-max-length-bytes': maxBytes,
          'x-stream-max-segment-size-bytes': Math.min(segmentMaxBytes, Math.ceil(maxBytes / 4)),
        },
      }),
    ensureQueue: (queue) =>
      ensure(queue, {
        arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': deliveriesMax },
      }),
    publish: async (messages, timeoutMs) => {
      if (messages.length === 0) return;
      await inPublishSpan(messages, (traced) => publish(traced, timeoutMs));
    },
    // AMQP has 16 bits for credit.
    read: (stream, from, credit, map) =>
      read(stream, from ?? 'first', Math.min(credit, 0xffff), map),
    browse: (queue, pageSize) =>
      browseQueue(queue, pageSize, { open: channel, close: closeChannel, messageCount }),
    firstFrom,
    head: async (stream) => (await endOffsets(stream, 'last')).at(-1) ?? null,
    tail: async (stream) => (await endOffsets(stream, 'first'))[0] ?? null,
    close: async () => {
      if (!isOpen) return cut(connection);
      await orTired(Promise.race([connection.close().catch(() => {}), closed]));
      if (isOpen) cut(connection);
    },
  };
}

/**
 * amqplib settles a channel's close at the broker's answer alone: when the connection breaks before
 * it comes, never. The event comes in either case.
 */
async function closeChannel(opened: Channel): Promise<void> {
  const closed = new Promise<void>((resolve) => opened.once('close', resolve));
  await orTired(Promise.race([opened.close().catch(() => {}), closed]));
}

/** A broker that froze would keep us until its heartbeats are missed. */
async function orTired(closing: Promise<void>): Promise<void> {
  await within(closeMaxMs, closing, 'RabbitMQ does not answer the close').catch(() => {});
}

/** amqplib leaves a connection only with the broker's consent, and has no other way in its types. */
function cut({ connection }: ChannelModel): void {
  const socket: unknown = Reflect.get(connection, 'stream');
  if (socket instanceof Duplex) socket.destroy(new Error('given up'));
}

/** A broker that froze is noticed within two heartbeats; the URL may name its own interval. */
function withHeartbeat(url: string): string {
  const parsed = new URL(url);
  if (!parsed.searchParams.has('heartbeat')) parsed.searchParams.set('heartbeat', '10');
  return parsed.toString();
}

function toStreamMessage(message: ConsumeMessage): StreamMessage {
  const headers: Readonly<Record<string, unknown>> = message.properties.headers ?? {};
  const offset = headers['x-stream-offset'];
  if (typeof offset !== 'number') {
    throw new Error('a message without x-stream-offset: the queue is not a stream');
  }
  const { contentType, contentEncoding } = message.properties;
  return {
    offset,
    content: message.content,
    headers,
    contentType: textOf(contentType),
    contentEncoding: textOf(contentEncoding),
  };
}

/** What a message says of itself, where it does. */
function propertiesOf({ queue: _, content: __, ...properties }: OutgoingMessage): Options.Publish {
  return properties;
}

/** A property, which the client's types leave open. */
function textOf(property: unknown): string | undefined {
  return typeof property === 'string' ? property : undefined;
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** A connection that is opened when asked for, kept, and opened anew once it broke. */
export interface BrokerSource {
  /** @throws ServiceError `unavailable` */
  get(): Promise<Broker>;
  close(): Promise<void>;
}

export function brokerSource(
  url: string,
  options: { name?: string; timeoutMs?: number },
): BrokerSource {
  let opening: Promise<Broker> | undefined;
  async function open(): Promise<Broker> {
    const broker = await connectBroker(url, options);
    void broker.closed.then(() => {
      opening = undefined;
    });
    return broker;
  }
  return {
    get: () => {
      opening ??= open().catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
      return opening;
    },
    close: async () => {
      const broker = await opening?.catch(() => undefined);
      await broker?.close();
    },
  };
}
