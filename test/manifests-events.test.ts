import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { exportRequestedType } from '../shared/export-requested.ts';
import { pingType } from '../shared/http/ping.ts';
import { functionApps } from './support/function-apps.ts';
import { renderedOverlays } from './support/manifests.ts';
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

const apps = functionApps();
let system: System;
beforeAll(async () => {
  system = await startSystem({ stream: false });
});
afterAll(() => system?.close());

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

describe.each(await renderedOverlays())('$overlay', ({ objects }) => {
  const pings = objects
    .filter(({ kind }) => kind === 'PingSource')
    .map(({ metadata, spec }) => ({ name: metadata.name, ...pingForm.parse(spec) }));
  const trigger = triggerForm.parse(objects.find(({ kind }) => kind === 'Trigger')?.spec);

  test.each(pings)('$name is work that its function does', async ({ sink, contentType, data }) => {
    const answer = await deliver(functionOf(sink), pingType, contentType, data);
    expect(answer).toMatchObject({ status: 200 });
  });

  test.each(pings)('$name is refused by every other function', async ({ sink, ...ping }) => {
    const takers = Object.keys(apps).filter((name) => !routesOf(name).some(isPublic));
    for (const name of takers.filter((taker) => taker !== functionOf(sink))) {
      const answer = await deliver(name, pingType, ping.contentType, ping.data);
      expect(answer).toMatchObject({ status: 400 });
    }
  });

  test('the worker takes the event that the API announces a new export by', async () => {
    const { type } = trigger.filter.attributes;
    expect(type).toBe(exportRequestedType);
    const data = JSON.stringify({ jobId: randomUUID(), orgId: randomUUID() });
    const answer = await deliver(functionOf(trigger.subscriber), type, 'application/json', data);
    expect(answer).toMatchObject({ status: 200 });
  });

  test('every function that events go to, dead letters too, takes them at its root', () => {
    const takers = [
      ...pings.map(({ sink }) => sink),
      trigger.subscriber,
      trigger.delivery.deadLetterSink,
    ].map(functionOf);
    for (const taker of takers) expect(routesOf(taker), taker).toContain('POST /');
  });
});

function routesOf(name: string): string[] {
  return apps[name]?.routes.map(({ method, path }) => `${method} ${path}`) ?? [];
}

function isPublic(route: string): boolean {
  return route.includes(' /analytics/v1');
}
