import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, ConsumeMessage, Message } from 'amqplib';
import { within } from '../deadline.ts';
import { messageOf, ServiceError } from '../errors.ts';

/** A message that waits in a queue and stays there until its receipt is handed in. */
export interface QueuedMessage {
  content: Buffer;
  headers: Readonly<Record<string, unknown>>;
  messageId: string | null;
  contentEncoding: string | null;
  receipt: Receipt;
}

/** What removes one message, without its bytes. Good only with the browser that gave it. */
export interface Receipt {
  readonly page: Page;
  readonly message: Message;
}

/**
 * Reads a queue from its beginning without taking anything out of it. Others do not see meanwhile
 * what was read; at the close it all returns, in its order, marked as redelivered.
 */
export interface QueueBrowser {
  /** Messages that were ready when it was opened; it reads no more than those. */
  readonly total: number;
  /**
   * The next messages, at most a page of them; empty at the end.
   *
   * @throws ServiceError `unavailable` when they do not come.
   */
  next(): Promise<QueuedMessage[]>;
  /** Takes messages out. The broker knows of it once this returns. */
  remove(receipts: readonly Receipt[]): Promise<void>;
  close(): Promise<void>;
}

interface Page {
  readonly channel: Channel;
  /** Messages that return to the queue when the channel closes. */
  held: number;
}

/** What the browser needs of a connection. */
export interface Channels {
  open(): Promise<Channel>;
  close(channel: Channel): Promise<void>;
  messageCount(queue: string): Promise<number>;
}

const silenceMaxMs = 5_000;
const answerMaxMs = 10_000;
const returnMaxMs = 1_000;
const returnLookMs = 10;
const consumerTag = 'browser';

/**
 * Each page has a channel of its own, whose consumer may hold as many messages as the page has and
 * is then cancelled: so no more than one page is ever on its way, however large the queue is.
 * `get` would do without, but what is got returns in no order.
 */
export async function browseQueue(
  queue: string,
  pageSize: number,
  channels: Channels,
): Promise<QueueBrowser> {
  const total = await channels.messageCount(queue);
  const pages: Page[] = [];
  let read = 0;
  return {
    total,
    next: async () => {
      const count = Math.min(pageSize, total - read);
      if (count === 0) return [];
      const channel = await channels.open();
      const page = { channel, held: 0 };
      pages.push(page);
      const messages = await take(channel, queue, count).catch(notAvailable);
      page.held = messages.length;
      read += messages.length;
      if (messages.length < count) {
        throw new ServiceError(
          'unavailable',
          `RabbitMQ delivered ${read} of the ${total} messages in ${queue}: somebody else reads it too, or it is slow; try again`,
        );
      }
      return messages.map((message) => queued(page, message));
    },
    remove: (receipts) => remove(queue, receipts).catch(notAvailable),
    close: async () => {
      for (const { channel, held } of pages) await giveBack(queue, channel, held, channels);
    },
  };
}

function queued(page: Page, { content, fields, properties }: ConsumeMessage): QueuedMessage {
  const textOf = (property: unknown) => (typeof property === 'string' ? property : null);
  return {
    content,
    headers: properties.headers ?? {},
    messageId: textOf(properties.messageId),
    contentEncoding: textOf(properties.contentEncoding),
    receipt: { page, message: { fields, properties, content: Buffer.alloc(0) } },
  };
}

/** Fewer than `count` when no more come for a while. */
async function take(channel: Channel, queue: string, count: number): Promise<ConsumeMessage[]> {
  await channel.prefetch(count);
  const messages: ConsumeMessage[] = [];
  let timer: NodeJS.Timeout | undefined;
  let fail = () => {};
  try {
    await new Promise<void>((resolve, reject) => {
      fail = () => reject(new ServiceError('unavailable', `the reading of ${queue} broke off`));
      timer = setTimeout(resolve, silenceMaxMs);
      channel.once('close', fail);
      const onMessage = (message: ConsumeMessage | null) => {
        if (message === null) return fail();
        messages.push(message);
        timer?.refresh();
        if (messages.length === count) resolve();
      };
      channel.consume(queue, onMessage, { noAck: false, consumerTag }).catch(fail);
    });
  } finally {
    clearTimeout(timer);
    // The channel stays open, and would hold on to every message by way of this.
    channel.off('close', fail);
  }
  // Else each message that is removed would make room for another.
  await within(answerMaxMs, channel.cancel(consumerTag), 'RabbitMQ does not answer');
  return messages;
}

async function remove(queue: string, receipts: readonly Receipt[]): Promise<void> {
  for (const { page, message } of receipts) {
    page.channel.ack(message);
    page.held -= 1;
  }
  // An ack is not answered; the answer to what follows it says that it arrived.
  for (const { channel } of new Set(receipts.map(({ page }) => page))) {
    await within(answerMaxMs, channel.checkQueue(queue), 'RabbitMQ does not answer');
  }
}

function notAvailable(error: unknown): never {
  if (error instanceof ServiceError) throw error;
  throw new ServiceError('unavailable', `RabbitMQ went away: ${messageOf(error)}`);
}

/** The broker returns messages a moment after the close: the next page's must not overtake them. */
async function giveBack(
  queue: string,
  channel: Channel,
  held: number,
  { close, messageCount }: Channels,
): Promise<void> {
  const count = () => messageCount(queue).catch(() => null);
  const before = await count();
  await close(channel);
  if (before === null) return;
  const deadline = performance.now() + returnMaxMs;
  while (performance.now() < deadline) {
    const now = await count();
    if (now === null || now >= before + held) return;
    await sleep(returnLookMs);
  }
}
