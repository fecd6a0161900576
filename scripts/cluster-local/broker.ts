import type { IncomingMessage } from 'node:http';
import type { OnEvent } from './cluster-event.ts';
import type { EventMessage } from './delivery.ts';
import { refuse } from './forward.ts';
import { type Listener, listen } from './listener.ts';
import type { Broker } from './manifests.ts';
import { idAndType, type Subscription } from './trigger.ts';

const required = ['ce-specversion', 'ce-id', 'ce-source', 'ce-type'] as const;
const bodyBytesMax = 1_048_576;
/** What waits to be delivered is held in memory; beyond this nothing more is taken in. */
const underWayMax = 10_000;

/**
 * A broker: takes events in at its address, answers at once, and hands each to the subscriptions
 * that take it, as the channel-based broker does. It forgets what waits when it stops.
 */
export async function startBroker(
  { metadata: { name, namespace } }: Broker,
  subscriptions: readonly Subscription[],
  { port, onEvent }: { port: number; onEvent: OnEvent },
): Promise<Listener> {
  const stopping = new AbortController();
  const underWay = new Set<Promise<void>>();

  const listener = await listen(port, async (incoming, outgoing) => {
    if (incoming.method !== 'POST') return refuse(outgoing, 405, 'events are posted');
    if (incoming.url !== `/${namespace}/${name}`) return refuse(outgoing, 404, 'no such broker');
    const event = await readEvent(incoming);
    if (typeof event === 'string') return refuse(outgoing, 400, event);
    if (underWay.size >= underWayMax) return refuse(outgoing, 503, 'too many events wait');
    outgoing.writeHead(202).end();
    const broker = `Broker ${name}`;
    const accepted = { outcome: 'accepted', attempt: 1, detail: '' } as const;
    onEvent({ kind: 'delivery', from: broker, to: broker, ...idAndType(event), ...accepted });
    for (const subscription of subscriptions) {
      if (!subscription.takes(event)) continue;
      const delivering = subscription.handOver(event, stopping.signal);
      underWay.add(delivering);
      void delivering.finally(() => underWay.delete(delivering));
    }
  });

  return {
    port: listener.port,
    close: async () => {
      await listener.close();
      stopping.abort();
      await Promise.all(underWay);
    },
  };
}

/** The event of a request, or why there is none. */
async function readEvent(incoming: IncomingMessage): Promise<EventMessage | string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if ((name.startsWith('ce-') || name === 'content-type') && typeof value === 'string') {
      headers[name] = value;
    }
  }
  const missing = required.filter((name) => headers[name] === undefined);
  if (missing.length > 0) return `no CloudEvent in binary mode: ${missing.join(', ')} missing`;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    const part = Buffer.from(chunk);
    chunks.push(part);
    bytes += part.length;
    if (bytes > bodyBytesMax) return `the event has more than ${bodyBytesMax} bytes`;
  }
  return { headers, body: Buffer.concat(chunks) };
}
