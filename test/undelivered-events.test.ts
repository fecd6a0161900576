import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { undeliveredApp } from '../functions/status/undelivered.ts';
import { httpApp } from '../shared/http/app.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { jsonPost } from './support/event-json.ts';
import { samplesOf } from './support/metrics-text.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';

const path = '/internal/status';

let system: System;
let database: Database;
const lines: Record<string, unknown>[] = [];
const logger = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line)) });

beforeAll(async () => {
  system = await startSystem({ stream: false, logger });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '' });
  const day = (days: number) => new Date(Math.floor(Date.now() / 86_400_000 - days) * 86_400_000);
  const order = { timeRange: { start: day(2), end: day(1) } };
  const asked = await system.app.request('/analytics/v1/exports', jsonPost(order, adminHeaders));
  ({ jobId: data.jobId } = z.object({ jobId: z.uuid() }).parse(await asked.json()));
});
afterAll(async () => {
  await database?.close();
  await system?.close();
});
beforeEach(async () => {
  await database.query(`delete from analytics.counters where name = 'undelivered_events'`);
  lines.length = 0;
});

/** As Knative's dispatcher gives it to a dead-letter sink, after its last try. */
const event = () => ({
  specversion: '1.0',
  id: randomUUID(),
  type: 'ai.analytics.export.requested.v1',
  source: '/analytics/exports',
  subject: 'all',
  time: '2026-11-22T20:00:00Z',
  knativeerrordest: 'http://analytics-export-worker.analytics.svc.cluster.local',
  knativeerrorcode: 503,
});
const data = { jobId: '', orgId: null };

const ceHeaders = (attributes: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, `${value}`]));
const binary = (attributes: Record<string, unknown>) => jsonPost(data, ceHeaders(attributes));
const structured = (attributes: Record<string, unknown>) =>
  jsonPost({ ...attributes, data }, {}, 'application/cloudevents+json');

async function counted(): Promise<number | undefined> {
  const response = await system.app.request('/metrics');
  return samplesOf(await response.text()).get('analytics_undelivered_events_total');
}

describe('an event that nobody took', () => {
  test.each([
    ['binary', binary],
    ['structured', structured],
  ])('leaves a line that says what, and who did not take it, in %s mode', async (_, request) => {
    const { specversion: __, knativeerrorcode, ...told } = event();
    const sent = { specversion: '1.0', knativeerrorcode, ...told };
    const response = await system.app.request(path, request(sent));
    expect(response.status).toBe(204);
    expect(lines).toEqual([
      expect.objectContaining({
        level: 50,
        msg: 'event not delivered',
        ...told,
        knativeerrorcode: '503',
      }),
    ]);
    // What it was about may be anybody's.
    expect(lines[0]).not.toHaveProperty('data');
  });

  test('is counted, one by one, where Prometheus looks', async () => {
    expect(await counted()).toBe(0);
    for (const total of [1, 2, 3]) {
      await system.app.request(path, binary(event()));
      expect(await counted()).toBe(total);
    }
  });

  test('is taken at / by the function that is deployed by itself', async () => {
    const app = httpApp({ logger, routes: [undeliveredApp(database)] });
    const response = await app.request('/', binary(event()));
    expect(response.status).toBe(204);
    expect(await counted()).toBe(1);
  });
});

describe('a letter about no export', () => {
  test.each([
    ['an export that there is not', () => jsonPost({ jobId: randomUUID() }, ceHeaders(event()))],
    ['nothing', () => jsonPost({}, ceHeaders(event()))],
    ['no uuid', () => jsonPost({ jobId: 'x' }, ceHeaders(event()))],
    ['something else', () => jsonPost([data], ceHeaders(event()))],
  ])('about %s is taken with a warning, and counts nothing', async (_, request) => {
    expect((await system.app.request(path, request())).status).toBe(204);
    expect(lines).toEqual([
      expect.objectContaining({ level: 40, msg: 'a dead letter about no export' }),
    ]);
    expect(await counted()).toBe(0);
  });
});

test('what is no CloudEvent is refused, and not counted', async () => {
  const { id: _, ...anonymous } = event();
  for (const request of [jsonPost(data, {}), binary(anonymous), structured(anonymous)]) {
    expect((await system.app.request(path, request)).status).toBe(400);
  }
  expect(await counted()).toBe(0);
  expect(lines).toEqual([]);
});

test('the local run takes them from this machine alone', async () => {
  const statusFrom = async (remoteAddress: string) => {
    const socket = { incoming: { socket: { remoteAddress } } };
    return (await system.app.request(path, binary(event()), socket)).status;
  };
  expect(await statusFrom('10.1.2.3')).toBe(404);
  expect(await statusFrom('127.0.0.1')).toBe(204);
});

test('what could not be counted is told so, for the platform to send it again', async () => {
  const away = openDatabase({ url: 'postgres://nobody@127.0.0.1:1/nothing' });
  const app = httpApp({ logger, routes: [undeliveredApp(away)] });
  const response = await app.request('/', binary(event()));
  expect(response.status).toBe(503);
  // Said all the same.
  expect(lines).toContainEqual(expect.objectContaining({ msg: 'event not delivered' }));
  await away.close();
});
