import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { exportRequestedType } from '../shared/exports/requested.ts';
import { pingType } from '../shared/http/ping.ts';
import { functionRoutes } from './support/function-routes.ts';
import { describeOverlays } from './support/manifests.ts';
import { type System, startSystem } from './support/system.ts';

const destination = z.looseObject({
  ref: z.looseObject({ kind: z.literal('Service'), name: z.string().startsWith('analytics-') }),
});
const pingForm = z.looseObject({ contentType: z.string(), data: z.string(), sink: destination });
const triggerForm = z.looseObject({
  filter: z.looseObject({ attributes: z.looseObject({ type: z.string() }) }),
  subscriber: destination,
  delivery: z.looseObject({ deadLetterSink: destination }),
});
const functionOf = ({ ref }: z.output<typeof destination>) => ref.name.replace('analytics-', '');

const takers = functionRoutes()
  .filter(({ method, path }) => method === 'POST' && path === '/')
  .map(({ owner }) => owner);
let system: System;
beforeAll(async () => {
  system = await startSystem({ stream: false });
});
afterAll(() => system?.close());

const requested = [
  exportRequestedType,
  'application/json',
  JSON.stringify({ jobId: randomUUID(), orgId: randomUUID() }),
] as const;

/** Delivers an event to a function as Knative's dispatchers do, in binary mode. */
async function deliver(to: string, type: string, contentType: string, data: string) {
  const response = await system.app.request(`/internal/${to}`, {
    method: 'POST',
    headers: {
      'ce-specversion': '1.0',
      'ce-id': randomUUID(),
      'ce-source': '/apis/v1/namespaces/analytics/pingsources/test',
      'ce-type': type,
      'ce-time': new Date().toISOString(),
      'Content-Type': contentType,
    },
    body: data,
  });
  return { status: response.status, body: await response.text() };
}

await describeOverlays((objects) => {
  const pings = objects
    .filter(({ kind }) => kind === 'PingSource')
    .map(({ metadata, spec }) => ({ name: metadata.name, ...pingForm.parse(spec) }));
  const trigger = triggerForm.parse(objects.find(({ kind }) => kind === 'Trigger')?.spec);

  test.each(pings)('$name is work that its function does', async ({ sink, contentType, data }) => {
    const { status } = await deliver(functionOf(sink), pingType, contentType, data);
    expect([200, 204]).toContain(status);
  });

  test.each(pings)('$name is refused by every other worker', async ({ sink, ...ping }) => {
    const workers = pings.map((other) => functionOf(other.sink));
    for (const other of workers.filter((worker) => worker !== functionOf(sink))) {
      const answer = await deliver(other, pingType, ping.contentType, ping.data);
      expect(answer).toMatchObject({ status: 400 });
    }
  });

  test('the worker takes the event by which the API announces a new export', async () => {
    expect(trigger.filter.attributes.type).toBe(exportRequestedType);
    const answer = await deliver(functionOf(trigger.subscriber), ...requested);
    // A broker takes any body for the next event, and one that is none for a failure.
    expect(answer).toEqual({ status: 204, body: '' });
  });

  test('where the worker never took it, it is noted', async () => {
    const { status } = await deliver(functionOf(trigger.delivery.deadLetterSink), ...requested);
    expect(status).toBe(204);
  });

  test('every function that takes CloudEvents at its root is sent some, and no other', () => {
    const sinks = [
      ...pings.map(({ sink }) => sink),
      trigger.subscriber,
      trigger.delivery.deadLetterSink,
    ];
    expect(new Set(sinks.map(functionOf))).toEqual(new Set(takers));
  });
});
