import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Server, serve } from '../shared/http/serve.ts';
import { actorHeaders, eventJson } from './support/event-json.ts';
import { type LogLines, logLines } from './support/log-lines.ts';
import { rawBytes } from './support/raw-http.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';

const headersMs = 10_000;
const requestMs = 20_000;
/** The limits are looked at each second, and this machine may be busy. */
const slackMs = 3_000;

let log: LogLines;
let system: System;
let server: Server;

beforeAll(async () => {
  log = logLines({ LOG_LEVEL: 'info' });
  system = await startSystem({ stream: false, logger: log.logger });
  server = await serve(system.app, { PORT: 0, HTTP_PORT: 0, HTTP_HOST: '127.0.0.1' });
});
afterAll(async () => {
  await server?.close();
  await system?.close();
});

const headerLines = (headers: Record<string, string>) =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');

const postHead = (headers: Record<string, string>) =>
  `POST /analytics/v1/events HTTP/1.1\r\nHost: a\r\n${headerLines({
    ...actorHeaders(['admin']),
    'Content-Type': 'application/json',
    ...headers,
  })}\r\n`;

/** When a connection was cut, and what it was told. */
async function cutOff(bytes: string) {
  const startedMs = performance.now();
  const { status, headers } = await rawBytes(server.port, bytes);
  const isProblem = /^Content-Type: application\/problem\+json$/im.test(headers);
  return { status, isProblem, afterMs: performance.now() - startedMs };
}

describe('a request that is never finished', () => {
  test.concurrent('is cut off after its time, while others are served', async () => {
    const slow = Promise.all([
      // A hundred of each, as one alone keeps nobody waiting.
      Promise.all(
        Array.from({ length: 100 }, () =>
          cutOff('GET /analytics/v1/orgs HTTP/1.1\r\nHost: a\r\nX-A'),
        ),
      ),
      Promise.all(
        Array.from({ length: 100 }, () => cutOff(`${postHead({ 'Content-Length': '1000' })}{"ev`)),
      ),
      Promise.all(
        Array.from({ length: 100 }, () =>
          cutOff(`${postHead({ 'Transfer-Encoding': 'chunked' })}4\r\n{"ev\r\n`),
        ),
      ),
    ]);
    let isOver = false;
    slow.finally(() => {
      isOver = true;
    });
    let served = 0;
    while (!isOver) {
      const response = await fetch(`http://127.0.0.1:${server.port}/analytics/v1/status/healthz`);
      expect(response.status).toBe(200);
      served += 1;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // One that had to wait for the slow ones would be the only one.
    expect(served).toBeGreaterThan(5);
    const [headers, bodies, chunks] = await slow;
    for (const [cut, limitMs] of [
      ...headers.map((one) => [one, headersMs] as const),
      ...[...bodies, ...chunks].map((one) => [one, requestMs] as const),
    ]) {
      expect(cut).toMatchObject({ status: 408, isProblem: true });
      expect(cut.afterMs).toBeGreaterThan(limitMs - 1_000);
      expect(cut.afterMs).toBeLessThan(limitMs + slackMs);
    }
    // It is nothing of ours that went wrong.
    expect(log.saying('request failed')).toEqual([]);
    // Once the connection is gone, which its sender may read the answer before.
    await until('they are logged', async () => {
      return log.saying('request did not come whole').length > 100;
    });
  });

  test.concurrent('gains no time by a byte now and then', async () => {
    const startedMs = performance.now();
    const socket = connect(server.port, '127.0.0.1');
    const drip = setInterval(() => socket.write('X-A: b\r\n'), 200);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n');
    socket.on('error', () => {}).resume();
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(drip);
    expect(performance.now() - startedMs).toBeLessThan(headersMs + slackMs);
  });
});

/** Sends the head of a request and a part of its body, and reads the answer's first bytes. */
async function unfinished(head: string, body: string): Promise<{ status: number; text: string }> {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {}).setEncoding('utf8');
  try {
    socket.write(head + body);
    const text = await new Promise<string>((resolve) => {
      let sofar = '';
      socket.on('data', (chunk: string) => {
        sofar += chunk;
        if (/\r\n\r\n.*\}$/s.test(sofar)) resolve(sofar);
      });
      socket.once('close', () => resolve(sofar));
    });
    return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]), text };
  } finally {
    socket.destroy();
  }
}

const chunkOf = (bytes: number) => `${bytes.toString(16)}\r\n${' '.repeat(bytes)}\r\n`;

describe('a body that is never finished', () => {
  const chunked = 'Host: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
  const declared = 'Host: a\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n';

  test.each([
    ['of nobody', 'POST /analytics/v1/events', 401],
    ['of nobody, to be tried', 'POST /analytics/v1/events/validate', 401],
    ['of nobody, for an export', `POST /analytics/v1/orgs/${randomUUID()}/exports`, 401],
    ['to a path that is none', 'POST /nothing', 404],
    ['to a path that takes none', 'POST /analytics/v1/docs', 405],
    ['beside a GET', 'GET /analytics/v1/orgs', 401],
  ])('%s is answered before it has come', async (_, line, status) => {
    for (const head of [chunked, declared]) {
      const answers = await Promise.all(
        Array.from({ length: 8 }, () =>
          unfinished(`${line} HTTP/1.1\r\n${head}`, head === chunked ? chunkOf(1_000) : ' '),
        ),
      );
      expect(answers.map((answer) => answer.status)).toEqual(Array(8).fill(status));
    }
  });

  test('larger than its route has use for is refused while it comes', async () => {
    const lines = headerLines(actorHeaders(['admin']));
    const path = `/analytics/v1/orgs/${randomUUID()}/exports`;
    const { status, text } = await unfinished(
      `POST ${path} HTTP/1.1\r\n${lines}${chunked}`,
      chunkOf(65_537),
    );
    expect(status).toBe(413);
    expect(text).toContain('at most 65536 bytes');
  });

  test('takes its part of what there is for such bodies, and others are refused meanwhile', async () => {
    const senders = ['a', 'a', 'b', 'b'];
    const head = (subject: string) =>
      `POST /analytics/v1/events HTTP/1.1\r\n${headerLines({
        ...actorHeaders(['admin']),
        'X-Actor-Subject': subject,
      })}${chunked}`;
    const sockets = senders.map((subject) => {
      const socket = connect(server.port, '127.0.0.1').on('error', () => {});
      socket.write(head(subject) + chunkOf(8_000_000));
      return socket;
    });
    try {
      // Half is the most that one may hold: of "a" no more fits, then of nobody.
      for (const subject of ['a', 'c']) {
        const { text } = await until(`no room for ${subject}`, async () => {
          const answer = await unfinished(head(subject), `${chunkOf(2_000_000)}0\r\n\r\n`);
          return answer.status === 503 && answer;
        });
        expect(text).toMatch(/^retry-after: \d+/im);
        expect(text).toContain('too many large bodies are on their way');
      }
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    await until('there is room again', async () => {
      const answer = await unfinished(head('c'), `${chunkOf(2_000_000)}0\r\n\r\n`);
      return answer.status === 400;
    });
  });
});

describe('too much of something', () => {
  const post = (body: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${server.port}/analytics/v1/events`, {
      method: 'POST',
      headers: { ...actorHeaders(['admin']), 'Content-Type': 'application/json', ...headers },
      body,
    });

  test('in headers or in the address is a 431', async () => {
    const long = 'a'.repeat(16_384);
    expect((await cutOff(`GET /?${long} HTTP/1.1\r\nHost: a\r\n\r\n`)).status).toBe(431);
    expect((await cutOff(`GET / HTTP/1.1\r\nHost: a\r\nX-A: ${long}\r\n\r\n`)).status).toBe(431);
  });

  test('in a body is a 413, whether it says its length or not', async () => {
    const body = JSON.stringify(eventJson({ metadata: { note: 'x'.repeat(8_388_608) } }));
    const response = await post(body);
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({
      type: 'urn:analytics:problem:payload-too-large',
      detail: 'the body must be at most 8388608 bytes',
    });
    const chunk = `${'10000'}\r\n${' '.repeat(0x10000)}\r\n`;
    const chunked = `${postHead({ 'Transfer-Encoding': 'chunked', Connection: 'close' })}`;
    expect((await cutOff(`${chunked}${chunk.repeat(129)}0\r\n\r\n`)).status).toBe(413);
  });

  test('in a list of events is a 400', async () => {
    const response = await post(JSON.stringify(Array.from({ length: 1_001 }, () => eventJson())));
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('send at most 1000 at a time');
  });

  test('in depth is a wrong event, and no stack runs over', async () => {
    const response = await post(`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`);
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ accepted: 0, rejected: 1 });
  });
});

test('an actor who asks too often gets a 429, and open routes stay open', async () => {
  const limited = await startSystem({
    stream: false,
    logger: log.logger,
    environment: { RATE_LIMIT_PER_MINUTE: '2' },
  });
  try {
    const ask = (path: string) =>
      limited.app.request(`/analytics/v1${path}`, { headers: actorHeaders(['admin']) });
    const models = `/orgs/${randomUUID()}/models`;
    expect((await ask(models)).status).toBe(200);
    expect((await ask(models)).headers.get('RateLimit')).toMatch(/^"actor";r=0;t=\d+$/);
    const refused = await ask(models);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(50);
    expect(refused.headers.get('Content-Type')).toBe('application/problem+json');
    const open = await limited.app.request('/analytics/v1/status/healthz');
    expect(open.status).toBe(200);
  } finally {
    await limited.close();
  }
});

test.each([
  ['an answer', '/analytics/v1/status/healthz', 200],
  ['a refusal', '/analytics/v1/orgs', 401],
  ['a path that is none', '/nothing', 404],
  ['a path that can be read in two ways', '/analytics/v1//orgs', 400],
])('%s bears the security headers', async (_, path, status) => {
  const response = await system.app.request(path);
  expect(response.status).toBe(status);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
    'strict-transport-security': expect.stringMatching(/max-age=\d{7,}/),
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
  });
  expect(response.headers.get('X-Powered-By')).toBeNull();
});
