import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { freePort } from '../services/free-port.ts';
import { startBroker } from './broker.ts';
import type { ClusterEvent, DeliveryEvent } from './cluster-event.ts';
import type { EventMessage, Sink } from './delivery.ts';
import type { Answer } from './http-exchange.ts';
import { broker, type Destination, trigger } from './manifests.ts';
import { platformClock } from './platform-clock.ts';
import { subscriptionOf } from './trigger.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const requested = 'ai.analytics.export.requested.v1';
const service = (name: string) => ({ ref: { kind: 'Service', name } });
const delivery = {
  retry: 2,
  backoffPolicy: 'exponential',
  backoffDelay: 'PT1S',
  timeout: 'PT10M',
  deadLetterSink: service('status'),
};

interface Received extends EventMessage {
  at: string;
}

/** A broker with one trigger, for a worker that answers like this; the dead-letter sink takes all. */
async function start(
  worker: (attempt: number) => Partial<Answer>,
  over: Record<string, unknown> = { delivery },
  brokerSpec: Record<string, unknown> = {},
) {
  const received: Received[] = [];
  const events: DeliveryEvent[] = [];
  const port = await freePort();
  const of = broker.parse({
    metadata: { name: 'analytics', namespace: 'analytics' },
    spec: brokerSpec,
  });
  const onEvent = (event: ClusterEvent) => {
    if (event.kind === 'delivery') events.push(event);
  };
  const sinkFor = ({ ref: { name } }: Destination): Sink => ({
    url: `http://${name}.analytics.svc.cluster.local/`,
    post: async (message) => {
      received.push({ ...message, at: name });
      const attempt = received.filter(({ at }) => at === name).length;
      const answer = name === 'worker' ? worker(attempt) : {};
      return { status: 204, headers: {}, body: Buffer.alloc(0), ...answer };
    },
  });
  const subscription = subscriptionOf(
    trigger.parse({
      metadata: { name: 'requested' },
      spec: {
        broker: 'analytics',
        filter: { attributes: { type: requested } },
        subscriber: service('worker'),
        ...over,
      },
    }),
    of,
    { clock: platformClock(0.001), onEvent, sinkFor },
  );
  const listener = await startBroker(of, [subscription], { port, onEvent });
  closers.push(listener.close);
  const url = `http://127.0.0.1:${port}/analytics/analytics`;
  const publish = (headers: Record<string, string> = {}) =>
    fetch(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'ce-specversion': '1.0',
        'ce-id': 'job-1',
        'ce-source': '/analytics/exports',
        'ce-type': requested,
        'ce-traceparent': '00-1-2-01',
        ...headers,
      },
      body: '{"jobId":"job-1"}',
    });
  const ended = () =>
    until('it is over', async () =>
      events.find(({ outcome }) => !['accepted', 'retrying'].includes(outcome)),
    );
  return { url, publish, received, events, ended };
}

test('an event is taken at once and reaches the subscriber as it was sent', async () => {
  const { publish, received, events, ended } = await start(() => ({}));
  expect((await publish()).status).toBe(202);
  await ended();
  expect(received).toEqual([
    {
      at: 'worker',
      headers: {
        'content-type': 'application/json',
        'ce-specversion': '1.0',
        'ce-id': 'job-1',
        'ce-source': '/analytics/exports',
        'ce-type': requested,
        'ce-traceparent': '00-1-2-01',
      },
      body: Buffer.from('{"jobId":"job-1"}'),
    },
  ]);
  expect(events.map(({ from, outcome }) => [from, outcome])).toEqual([
    ['Broker analytics', 'accepted'],
    ['Trigger requested', 'delivered'],
  ]);
});

test('an event that the filter does not let through is taken and goes nowhere', async () => {
  const { publish, received, ended } = await start(() => ({}));
  expect((await publish({ 'ce-type': 'ai.usage.recorded.v1' })).status).toBe(202);
  expect((await publish()).status).toBe(202);
  await ended();
  expect(received.map(({ headers }) => headers['ce-type'])).toEqual([requested]);
});

test('what is no CloudEvent, or for no broker, is refused', async () => {
  const { url, publish } = await start(() => ({}));
  expect((await fetch(url)).status).toBe(405);
  expect((await fetch(`${url}/x`, { method: 'POST' })).status).toBe(404);
  const response = await fetch(url, { method: 'POST', headers: { 'ce-id': '1' } });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain('ce-specversion, ce-source, ce-type missing');
  expect((await publish()).status).toBe(202);
});

describe('a subscriber that fails', () => {
  test('is asked again, and then it is over', async () => {
    const { publish, received, events, ended } = await start((attempt) => ({
      status: attempt < 3 ? 503 : 202,
    }));
    await publish();
    expect(await ended()).toMatchObject({ outcome: 'delivered', attempt: 3 });
    expect(received).toHaveLength(3);
    expect(events.filter(({ outcome }) => outcome === 'retrying')).toHaveLength(2);
  });

  test('to the end leaves its event to the dead-letter sink, with the reason', async () => {
    const { publish, received, ended } = await start(() => ({
      status: 500,
      body: Buffer.from('database away'),
    }));
    await publish();
    expect(await ended()).toMatchObject({ outcome: 'dead-lettered', to: 'Service status' });
    expect(received.map(({ at }) => at)).toEqual(['worker', 'worker', 'worker', 'status']);
    expect(received.at(-1)).toMatchObject({
      headers: {
        'ce-id': 'job-1',
        'ce-type': requested,
        'ce-knativeerrordest': 'http://worker.analytics.svc.cluster.local/',
        'ce-knativeerrorcode': '500',
        'ce-knativeerrordata': Buffer.from('database away').toString('base64'),
      },
      body: Buffer.from('{"jobId":"job-1"}'),
    });
  });

  test('for good is not asked again', async () => {
    const { publish, received, ended } = await start(() => ({ status: 400 }));
    await publish();
    expect(await ended()).toMatchObject({ outcome: 'dead-lettered' });
    expect(received.map(({ at }) => at)).toEqual(['worker', 'status']);
  });

  test('without a dead-letter sink its event is lost, and that is said', async () => {
    const { publish, received, ended } = await start(() => ({ status: 500 }), {});
    await publish();
    expect(await ended()).toMatchObject({ outcome: 'lost', attempt: 1 });
    expect(received).toHaveLength(1);
  });
});

test("a trigger without delivery has the broker's", async () => {
  const { publish, received, ended } = await start(() => ({ status: 500 }), {}, { delivery });
  await publish();
  expect(await ended()).toMatchObject({ outcome: 'dead-lettered' });
  expect(received).toHaveLength(4);
});

test('an answer with a body that is no CloudEvent is a failure, as the platform has it', async () => {
  const json = { 'content-type': 'application/json' };
  const wordy = await start(() => ({ status: 200, headers: json, body: Buffer.from('{}') }));
  await wordy.publish();
  expect(await wordy.ended()).toMatchObject({ outcome: 'dead-lettered' });
  expect(wordy.received.at(-1)?.headers['ce-knativeerrorcode']).toBe('502');
  const event = { ...json, 'ce-specversion': '1.0' };
  const replying = await start(() => ({ status: 200, headers: event, body: Buffer.from('{}') }));
  await replying.publish();
  expect(await replying.ended()).toMatchObject({ outcome: 'delivered' });
});
