import { messageOf } from '../../shared/platform/errors.ts';
import type { Answer } from './http-exchange.ts';
import type { Delivery } from './manifests.ts';
import type { PlatformClock } from './platform-clock.ts';

/** A CloudEvent in binary mode: its attributes are the headers that begin with `ce-`. */
export interface EventMessage {
  headers: Readonly<Record<string, string>>;
  body: Buffer;
}

/** Where events are sent. */
export interface Sink {
  /** By its name inside the cluster. */
  readonly url: string;
  /** @throws Error when there is no answer. */
  post(event: EventMessage, timeoutMs: number | undefined): Promise<Answer>;
}

export type RetryPolicy = Omit<Delivery, 'deadLetterSink'>;

/** What came of all attempts. */
export interface Delivered {
  isDelivered: boolean;
  attempts: number;
  /** The last answer's; null where there was none. */
  status: number | null;
  detail: string;
  body: Buffer;
}

export interface DeliveryOptions {
  policy: RetryPolicy;
  clock: PlatformClock;
  signal: AbortSignal;
  /** Told of each failure that is followed by another attempt. */
  onRetry?: (attempt: number, detail: string) => void;
}

/** Of the 4xx only those that Knative takes for passing trouble. */
const retriedStatus = new Set([404, 408, 409, 429]);

/** Sends an event until it is taken, is refused for good, or no attempt is left. */
export async function deliver(
  event: EventMessage,
  sink: Sink,
  { policy, clock, signal, onRetry }: DeliveryOptions,
): Promise<Delivered> {
  for (let attempt = 1; ; attempt += 1) {
    const result = await attemptOnce(event, sink, policy.timeout);
    const { status } = result;
    const canRetry = status === null || status >= 500 || retriedStatus.has(status);
    if (result.isDelivered || !canRetry || attempt > policy.retry || signal.aborted) {
      return { ...result, attempts: attempt };
    }
    onRetry?.(attempt, result.detail);
    await clock.sleep(waitMs(policy, attempt), signal);
  }
}

/** As Knative counts: the first wait of the exponential policy is the delay itself, of the linear one nothing. */
export function waitMs(
  { backoffPolicy, backoffDelay }: Pick<RetryPolicy, 'backoffPolicy' | 'backoffDelay'>,
  attempt: number,
): number {
  const failures = attempt - 1;
  return backoffPolicy === 'linear' ? backoffDelay * failures : backoffDelay * 2 ** failures;
}

async function attemptOnce(
  event: EventMessage,
  sink: Sink,
  timeoutMs: number | undefined,
): Promise<Omit<Delivered, 'attempts'>> {
  const startedMs = performance.now();
  try {
    const { status, body } = await sink.post(event, timeoutMs);
    const isDelivered = status >= 200 && status < 300;
    const tookMs = Math.round(performance.now() - startedMs);
    return { isDelivered, status, detail: `${status} after ${tookMs} ms`, body };
  } catch (error) {
    return { isDelivered: false, status: null, detail: messageOf(error), body: Buffer.alloc(0) };
  }
}
