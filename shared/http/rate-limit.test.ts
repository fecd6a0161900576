import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ServiceError } from '../platform/errors.ts';
import type { AppEnv } from './context.ts';
import { limitRate } from './rate-limit.ts';

beforeEach(() => vi.useFakeTimers({ toFake: ['Date', 'setTimeout'] }));
afterEach(() => vi.useRealTimers());

const passSeconds = (seconds: number) => vi.advanceTimersByTime(seconds * 1_000);

/** An app that may be asked so often, and how to ask it. */
function limited(perMinute: number, actorsMax?: number) {
  const app = new Hono<AppEnv>();
  const audited: Record<string, unknown>[] = [];
  const logger = pino({}, { write: (line) => audited.push(JSON.parse(line).audit) });
  let answers = 0;
  app.use((context, next) => {
    const subject = context.req.header('X-Subject');
    const nobody = new ServiceError('unauthenticated', 'nobody');
    context.set('requestId', randomUUID());
    context.set('logger', logger);
    context.set('actor', subject === undefined ? nobody : { subject, roles: [], orgs: [] });
    return next();
  });
  app.use(limitRate(perMinute, actorsMax));
  app.get('/', (context) => {
    answers += 1;
    return context.text('OK');
  });
  app.get('/fails', () => {
    throw new Error('on purpose');
  });
  app.onError((_, context) => context.text('failed', 500));
  const ask = async (subject?: string, path = '/') => {
    const headers = subject === undefined ? undefined : { 'X-Subject': subject };
    const response = await app.request(path, headers && { headers });
    return {
      status: response.status,
      body: await response.text(),
      policy: response.headers.get('RateLimit-Policy'),
      left: response.headers.get('RateLimit'),
      retryAfter: response.headers.get('Retry-After'),
    };
  };
  return { ask, answers: () => answers, audited };
}

test('the answers say how often one may ask, how much is left, and until when', async () => {
  const { ask } = limited(3);
  expect(await ask('a')).toEqual({
    status: 200,
    body: 'OK',
    policy: '"actor";q=3;w=60',
    left: '"actor";r=2;t=60',
    retryAfter: null,
  });
  passSeconds(20);
  expect((await ask('a')).left).toBe('"actor";r=1;t=40');
});

test('one that is over the limit is a 429 that says when to ask again, and is not served', async () => {
  const { ask, answers } = limited(2);
  await ask('a');
  passSeconds(15);
  await ask('a');
  const { status, body, retryAfter, left } = await ask('a');
  expect(status).toBe(429);
  expect(retryAfter).toBe('45');
  expect(left).toBe('"actor";r=0;t=45');
  expect(JSON.parse(body)).toEqual({
    type: 'urn:analytics:problem:rate-limited',
    title: 'Asked too often',
    status: 429,
    detail: 'more than 2 requests in a minute: ask again in 45 s',
    instance: '/',
  });
  expect(answers()).toBe(2);
});

test('after the time it says, it is served again', async () => {
  const { ask } = limited(1);
  await ask('a');
  passSeconds(59);
  expect((await ask('a')).status).toBe(429);
  passSeconds(1);
  expect(await ask('a')).toMatchObject({ status: 200, left: '"actor";r=0;t=60' });
});

test('each actor has a minute of its own', async () => {
  const { ask } = limited(1);
  await ask('a');
  passSeconds(30);
  expect((await ask('b')).status).toBe(200);
  expect((await ask('b')).retryAfter).toBe('60');
  expect((await ask('a')).retryAfter).toBe('30');
});

test('requests that fail count too', async () => {
  const { ask } = limited(1);
  expect((await ask('a', '/fails')).status).toBe(500);
  expect((await ask('a')).status).toBe(429);
});

test('nobody in particular is not counted, nor anybody where the limit is 0', async () => {
  const { ask } = limited(1);
  const { ask: askUnlimited } = limited(0);
  for (let request = 0; request < 5; request += 1) {
    expect(await ask()).toMatchObject({ status: 200, policy: null });
    expect(await askUnlimited('a')).toMatchObject({ status: 200, policy: null });
  }
});

test('however many actors there are, only the last of them are kept in memory', async () => {
  const { ask } = limited(1, 10);
  await ask('first');
  for (let actor = 0; actor < 10; actor += 1) await ask(`actor-${actor}`);
  expect((await ask('actor-0')).status).toBe(429);
  expect((await ask('first')).status).toBe(200);
});

test('what is refused leaves one audit line at once, and one at the end that says how many', async () => {
  const { ask, audited } = limited(1);
  const refused = (reason: string) => ({
    timestamp: expect.any(String),
    requestId: expect.any(String),
    subject: 'a',
    roles: [],
    action: 'rate:limit',
    orgId: null,
    allowed: false,
    reason,
  });
  await ask('a');
  expect(audited).toEqual([]);
  const first = refused('more than 1 requests in a minute');
  for (let request = 0; request < 1_000; request += 1) await ask('a');
  expect(audited).toEqual([first]);
  passSeconds(60);
  const all = refused('more than 1 requests in a minute: 1000 were refused');
  expect(audited).toEqual([first, all]);
  // The next minute is one of its own, and a single refusal is told once.
  await ask('a');
  await ask('a');
  expect(audited).toEqual([first, all, first]);
  passSeconds(120);
  expect(audited).toEqual([first, all, first]);
});
