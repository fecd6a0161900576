import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Hono } from 'hono';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { ConnectionLimits } from '../shared/http/connections.ts';
import type { AppEnv } from '../shared/http/context.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { rawBytes } from './support/raw-http.ts';
import { until } from './support/until.ts';

/** More than the system keeps of what a reader does not take. */
const bigBytes = 32 * 1_048_576;
const big = new Uint8Array(bigBytes);

let server: Server;
/** Handlers at work, and the most there were. */
let atWork = 0;
let atWorkMax = 0;
let handled = 0;
/** What `/held` waits for. */
let letGo = () => {};
let held: Promise<void>;
const sockets: Socket[] = [];

function app(): Hono<AppEnv> {
  const routes = new Hono<AppEnv>();
  routes.onError((_, context) => context.text('failed', 500));
  routes.use(async (_, next) => {
    atWork += 1;
    handled += 1;
    atWorkMax = Math.max(atWorkMax, atWork);
    await next();
    atWork -= 1;
  });
  routes.get('/big', (context) => context.body(big));
  routes.get('/held', async (context) => {
    await held;
    return context.text('held');
  });
  routes.get('/begun', (context) => {
    const body = new ReadableStream({
      start: async (controller) => {
        controller.enqueue(new TextEncoder().encode('begun '));
        await held;
        controller.enqueue(new TextEncoder().encode('and ended'));
        controller.close();
      },
    });
    return context.body(body);
  });
  routes.get('/number/:number', async (context) => {
    await new Promise((resolve) => setImmediate(resolve));
    return context.text(`number ${context.req.param('number')}.`);
  });
  routes.post('/echo', async (context) => context.text(await context.req.text()));
  return routes;
}

async function start(limits: Partial<ConnectionLimits> = {}): Promise<void> {
  server = await serve(app(), { PORT: 0, HTTP_PORT: 0, HTTP_HOST: undefined }, '127.0.0.1', limits);
}

beforeEach(() => {
  atWork = 0;
  atWorkMax = 0;
  handled = 0;
  held = new Promise((resolve) => {
    letGo = resolve;
  });
});
afterEach(async () => {
  letGo();
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.close();
});

interface Talk {
  socket: Socket;
  /** What came so far. */
  text(): string;
  closed: Promise<void>;
}

async function talk(): Promise<Talk> {
  const socket = connect(server.port, '127.0.0.1').on('error', () => {});
  sockets.push(socket);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await once(socket, 'connect');
  return { socket, text: () => text, closed };
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('requests sent without waiting for answers', () => {
  test('are worked on one after the other, and answered in their order', async () => {
    await start();
    const { socket, text } = await talk();
    socket.write([1, 2, 3, 4, 5].map((number) => get(`/number/${number}`)).join(''));
    await until('the last answer', async () => text().includes('number 5.'));
    expect(text().match(/number \d\./g)).toEqual([1, 2, 3, 4, 5].map((n) => `number ${n}.`));
    expect(atWorkMax).toBe(1);
  });

  test('150 in one packet hold one answer, and the connection ends with those that may wait', async () => {
    await start();
    const { socket, text, closed } = await talk();
    socket.write(get('/number/1').repeat(150));
    await closed;
    expect(text().match(/number 1\./g)).toHaveLength(9);
    expect({ atWorkMax, handled }).toEqual({ atWorkMax: 1, handled: 9 });
  });

  test('are not begun where nothing is read', async () => {
    await start({ stallMs: 100 });
    const { socket, closed } = await talk();
    socket.pause();
    socket.write(get('/big').repeat(150));
    await givenUp(socket, closed);
    expect(handled).toBe(1);
  });
});

/** Who reads nothing hears of the end when it writes. A byte now and then gains it no time. */
async function givenUp(socket: Socket, closed: Promise<void>): Promise<void> {
  const drip = setInterval(() => socket.write('x'), 50);
  await closed;
  clearInterval(drip);
}

describe('an answer', () => {
  test('that nobody reads is given up', async () => {
    await start({ stallMs: 100 });
    const { socket, text, closed } = await talk();
    socket.pause();
    socket.write(get('/big'));
    await givenUp(socket, closed);
    expect(text().length).toBeLessThan(bigBytes);
  });

  test('that is read slowly comes whole, and so does one that takes long to begin', async () => {
    const stallMs = 1_000;
    await start({ stallMs });
    const { socket, text } = await talk();
    socket.write(get('/held'));
    await new Promise((resolve) => setTimeout(resolve, 2 * stallMs));
    letGo();
    await until('the held answer', async () => text().includes('held'));
    socket.write(get('/big'));
    for (let pause = 0; pause < 6; pause += 1) {
      // So much at a time that the system makes room for more.
      const enough = text().length + bigBytes / 8;
      socket.resume();
      await until('more of it', async () => text().length >= enough, { everyMs: 1 });
      socket.pause();
      await new Promise((resolve) => setTimeout(resolve, stallMs / 2));
    }
    socket.resume();
    await until('all of it', async () => text().length > bigBytes);
  });
});

const problem = z.strictObject({
  type: z.string().startsWith('urn:analytics:problem:'),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  instance: z.string(),
});

describe('what is no request of the app', () => {
  const chunked = 'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  test.each([
    ['headers that are too large', `GET / HTTP/1.1\r\nX-A: ${'a'.repeat(17_000)}\r\n\r\n`, 431],
    ['an address that is too large', `GET /${'a'.repeat(17_000)} HTTP/1.1\r\n\r\n`, 431],
    ['no HTTP at all', 'hello\r\n\r\n', 400],
    ['a method that is none', 'FROB / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 400],
    ['a header without a name', 'GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    ['no Host', 'GET /number/1 HTTP/1.1\r\n\r\n', 400],
    ['a Host that is none', 'GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n', 400],
    ['an expectation', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n', 417],
    ['a chunk that is none', `${chunked}zz\r\n`, 400],
    ['extensions of a chunk', `${chunked}1;${'a'.repeat(20_000)}\r\n`, 413],
  ])('%s is a problem with a request id', async (_, bytes, status) => {
    await start();
    const answer = await rawBytes(server.port, bytes);
    expect(answer.status).toBe(status);
    expect(answer.headers).toMatch(/^Content-Type: application\/problem\+json$/im);
    expect(answer.headers).toMatch(/^X-Request-Id: [\w-]{36}$/im);
    expect(answer.headers).toMatch(/^Connection: close$/im);
    expect(problem.parse(JSON.parse(bodyOf(answer)))).toMatchObject({ status });
  });

  test('bears the id of the caller, where it can be read', async () => {
    await start();
    const id = randomUUID();
    for (const host of ['', 'Host: a/b\r\nConnection: close\r\n']) {
      const answer = await rawBytes(
        server.port,
        `GET / HTTP/1.1\r\n${host}X-Request-Id: ${id}\r\n\r\n`,
      );
      expect(answer.headers.toLowerCase()).toContain(`x-request-id: ${id}`);
    }
  });

  test('waits for the answer before it', async () => {
    await start();
    const { socket, text, closed } = await talk();
    socket.write(`${get('/held')}FROB / HTTP/1.1\r\n\r\n`);
    await until('the first is at work', async () => atWork === 1);
    letGo();
    await closed;
    expect(text().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  });

  test('waits for the answers to all that came whole before it', async () => {
    await start();
    const { socket, text, closed } = await talk();
    socket.write(`${get('/held')}${get('/number/2')}${get('/number/3')}FROB / HTTP/1.1\r\n\r\n`);
    await until('the first is at work', async () => atWork === 1);
    letGo();
    await closed;
    expect(text().match(/HTTP\/1\.1 \d+|number \d/g)).toEqual([
      'HTTP/1.1 200',
      'HTTP/1.1 200',
      'number 2',
      'HTTP/1.1 200',
      'number 3',
      'HTTP/1.1 400',
    ]);
  });
});

/** Of an answer in chunks, too. */
function bodyOf({ body }: { body: string }): string {
  return body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1);
}

describe('closing', () => {
  test('ends at once what rests and what has said nothing', async () => {
    await start();
    const [silent, resting] = [await talk(), await talk()];
    resting.socket.write(get('/number/1'));
    await until('an answer', async () => resting.text().includes('number 1.'));
    await Promise.all([server.close(), silent.closed, resting.closed]);
  });

  test('lets finish what is at work, being received or on its way, and says that it is the last', async () => {
    await start();
    const [working, begun, receiving, heading] = [
      await talk(),
      await talk(),
      await talk(),
      await talk(),
    ];
    working.socket.write(get('/held'));
    begun.socket.write(get('/begun'));
    receiving.socket.write('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello');
    heading.socket.write('GET /number/7 HTTP/1.1\r\nHo');
    await until('all are under way', async () => atWork >= 2 && begun.text().includes('begun'));
    const onItsWay = await talk();
    onItsWay.socket.write(get('/number/8'));
    await until('it was written', async () => onItsWay.socket.writableLength === 0);
    const closed = server.close();
    await onItsWay.closed;
    receiving.socket.write('world');
    heading.socket.write('st: a\r\n\r\n');
    letGo();
    await closed;
    await Promise.all([working.closed, begun.closed, receiving.closed, heading.closed]);
    for (const [one, answer] of [
      [working, 'held'],
      [receiving, 'helloworld'],
      [heading, 'number 7.'],
      [onItsWay, 'number 8.'],
    ] as const) {
      expect(one.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(one.text()).toMatch(/\r\nConnection: close\r\n/i);
      expect(one.text().endsWith(answer)).toBe(true);
    }
    // Its head was sent before.
    expect(begun.text()).toContain('and ended');
    expect(begun.text().endsWith('0\r\n\r\n')).toBe(true);
  });

  test('waits no longer than it may', async () => {
    await start({ drainMs: 100 });
    const { socket, closed } = await talk();
    socket.write(get('/held'));
    await until('it is at work', async () => atWork === 1);
    await Promise.all([server.close(), closed]);
  });
});
