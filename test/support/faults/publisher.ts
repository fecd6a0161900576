import { setTimeout as sleep } from 'node:timers/promises';
import { encodeEvent, type UsageEvent } from '../../../shared/events/usage-event.ts';
import { brokerSource } from '../../../shared/platform/broker/stream.ts';
import { within } from '../../../shared/platform/deadline.ts';
import type { Random } from '../random.ts';
import { until } from '../until.ts';
import { randomEvent } from '../usage-events.ts';

export interface SteadyPublisher {
  /** Events it has made so far, each of which will be confirmed before `finish` returns. */
  readonly offered: readonly UsageEvent[];
  /** How many of them the broker has confirmed. */
  readonly confirmed: number;
  /** Distinct events a second, from the first made to the last confirmed. */
  readonly perSecond: number;
  /** Makes none until `resume`, which makes up for it; returns once every one is confirmed. */
  pause(): Promise<void>;
  resume(): void;
  /** Makes no more, and waits until every one is confirmed. @throws Error after `timeoutMs` */
  finish(timeoutMs: number): Promise<void>;
  /** Gives up what is not confirmed. */
  stop(): Promise<void>;
}

export interface PublisherOptions {
  url: string;
  stream: string;
  perSecond: number;
  random: Random;
  /** False while it had better make no more. */
  mayOffer: () => boolean;
}

const tickMs = 20;
const batchMax = 1_000;
const confirmMaxMs = 2_000;
const retryMs = 100;
/** Events are as old as this at most. */
const spreadMs = 2 * 3_600_000;
/** Of a hundred events so many are sent twice. */
const repeatedPercent = 2;

/**
 * Producers as the contract asks for them: a steady pace whatever happens, publisher confirms, and
 * everything not confirmed is sent again unchanged. So each event arrives at least once.
 */
export function startPublisher(options: PublisherOptions): SteadyPublisher {
  const { stream, perSecond, random } = options;
  const brokers = brokerSource(options.url, { name: 'producer' });
  const offered: UsageEvent[] = [];
  const ending = new AbortController();
  const startedMs = performance.now();
  let confirmed = 0;
  let lastConfirmMs = startedMs;
  let isOver = false;
  let isPaused = false;

  let offeredMs = startedMs;
  const offerDue = () => {
    if (isPaused) return;
    const nowMs = performance.now();
    if (!options.mayOffer()) {
      offeredMs = nowMs;
      return;
    }
    const due = Math.floor(((nowMs - offeredMs) / 1_000) * perSecond);
    for (let count = 0; count < due; count += 1) {
      offered.push(randomEvent(random, Date.now(), spreadMs));
    }
    offeredMs += (due / perSecond) * 1_000;
  };
  const timer = setInterval(offerDue, tickMs);

  async function send(): Promise<void> {
    const batch = offered.slice(confirmed, confirmed + batchMax);
    const repeated = batch.filter(() => random.below(100) < repeatedPercent);
    const messages = [...batch, ...repeated].map((event) => ({
      queue: stream,
      content: encodeEvent(event),
    }));
    const broker = await brokers.get();
    await broker.publish(messages, confirmMaxMs);
    confirmed += batch.length;
    lastConfirmMs = performance.now();
  }
  const sending = (async () => {
    while (!ending.signal.aborted && !(isOver && confirmed === offered.length)) {
      if (confirmed === offered.length) {
        await sleep(tickMs);
        continue;
      }
      try {
        await send();
      } catch {
        await sleep(retryMs);
      }
    }
  })();
  const stop = async () => {
    clearInterval(timer);
    isOver = true;
    ending.abort();
    await sending;
    await brokers.close();
  };

  return {
    offered,
    get confirmed() {
      return confirmed;
    },
    get perSecond() {
      return Math.round((confirmed / (lastConfirmMs - startedMs)) * 1_000);
    },
    pause: async () => {
      isPaused = true;
      await until('all is confirmed', async () => confirmed === offered.length);
    },
    resume: () => {
      isPaused = false;
    },
    finish: async (timeoutMs) => {
      clearInterval(timer);
      isOver = true;
      await within(timeoutMs, sending, 'the publisher still has events that are not confirmed');
      await brokers.close();
    },
    stop,
  };
}
