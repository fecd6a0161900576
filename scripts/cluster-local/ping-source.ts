import { randomUUID } from 'node:crypto';
import { Cron } from 'croner';
import type { OnEvent } from './cluster-event.ts';
import { deliver, type EventMessage, type RetryPolicy, type Sink } from './delivery.ts';
import type { PingSource } from './manifests.ts';
import type { PlatformClock } from './platform-clock.ts';
import { nameOf } from './sink.ts';

const pingType = 'dev.knative.sources.ping';
/** Five quick ones, then the event is lost. */
const retries: RetryPolicy = { retry: 5, backoffPolicy: 'exponential', backoffDelay: 100 };

/**
 * Sends the source's event each time that its schedule says so, whether or not the last one was
 * taken.
 *
 * @returns how to stop; resolves when the deliveries under way are over
 * @throws Error when the schedule or time zone cannot be read.
 */
export function startPingSource(
  source: PingSource,
  sink: Sink,
  { clock, onEvent }: { clock: PlatformClock; onEvent: OnEvent },
): () => Promise<void> {
  const { metadata, spec } = source;
  const from = `PingSource ${metadata.name}`;
  const next = scheduleOf(source);
  const stopping = new AbortController();
  const { signal } = stopping;
  const underWay = new Set<Promise<void>>();

  async function send(): Promise<void> {
    const event = pingOf(source);
    const told = {
      kind: 'delivery',
      from,
      to: nameOf(spec.sink),
      id: event.id,
      type: pingType,
    } as const;
    const result = await deliver(event.message, sink, {
      policy: retries,
      clock,
      signal,
      onRetry: (attempt, detail) => onEvent({ ...told, outcome: 'retrying', attempt, detail }),
    });
    // What the end of the platform cuts off was not lost by it.
    if (!result.isDelivered && signal.aborted) return;
    const outcome = result.isDelivered ? 'delivered' : 'lost';
    onEvent({ ...told, outcome, attempt: result.attempts, detail: result.detail });
  }

  async function run(): Promise<void> {
    for (let at = next(clock.nowMs()); at !== null; at = next(at)) {
      await clock.sleep(at - clock.nowMs(), signal);
      if (signal.aborted) return;
      const sending = send();
      underWay.add(sending);
      void sending.finally(() => underWay.delete(sending));
    }
  }
  const running = run();

  return async () => {
    stopping.abort();
    await running;
    await Promise.all(underWay);
  };
}

/**
 * The next time after a time, by the source's schedule and zone; null when there is none.
 *
 * @throws Error when they cannot be read.
 */
export function scheduleOf({ metadata, spec }: PingSource): (afterMs: number) => number | null {
  try {
    const cron = new Cron(spec.schedule, { timezone: spec.timezone, paused: true });
    // A wrong zone is found out only by the first question.
    cron.nextRun();
    return (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() ?? null;
  } catch (error) {
    throw new Error(`PingSource ${metadata.name}: ${String(error)}`, { cause: error });
  }
}

function pingOf({ metadata, spec }: PingSource): { id: string; message: EventMessage } {
  const id = randomUUID();
  const headers = {
    'ce-specversion': '1.0',
    'ce-id': id,
    'ce-source': `/apis/v1/namespaces/${metadata.namespace}/pingsources/${metadata.name}`,
    'ce-type': pingType,
    'ce-time': new Date().toISOString(),
    ...(spec.contentType === undefined ? {} : { 'content-type': spec.contentType }),
  };
  return { id, message: { headers, body: Buffer.from(spec.data) } };
}
