import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleFunction } from '../scripts/build.ts';
import { type FunctionProcess, startFunctionProcess } from './support/function-process.ts';
import { samplesOf } from './support/metrics-text.ts';
import { services } from './support/services.ts';
import { until } from './support/until.ts';

/** What 48 unfinished bodies took beside the 60 MiB of an idle function: 336 MiB, all of it kept. */
const senders = 48;
const chunkBytes = 1_048_576;
const chunks = 7;
/** An idle function and this fit into the 256 MiB of its pod. */
const growthMaxBytes = 128 * 1_048_576;

let folder: string;
let events: FunctionProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-bodies-'));
  events = await startFunctionProcess(await bundleFunction('events', folder), {
    RABBITMQ_URL: services().RABBITMQ_URL,
    LOG_LEVEL: 'silent',
  });
});
afterAll(async () => {
  await events?.terminate();
  await rm(folder, { recursive: true, force: true });
});

async function memory(): Promise<number> {
  const text = await (await fetch(`${events.url}/metrics`)).text();
  const bytes = samplesOf(text).get('process_resident_memory_bytes');
  if (bytes === undefined) throw new Error('the function does not tell its memory');
  return bytes;
}

const actor = 'X-Actor-Subject: a\r\nX-Actor-Roles: admin\r\n';

test.each([
  ['of nobody', '', 401],
  ['of an actor', actor, 503],
])('bodies %s that are never finished do not fill the memory', async (_, who, status) => {
  const before = await memory();
  const answers: string[] = [];
  const sockets: Socket[] = [];
  const chunk = `${chunkBytes.toString(16)}\r\n${' '.repeat(chunkBytes)}\r\n`;
  for (let sender = 0; sender < senders; sender += 1) {
    const socket = connect(Number(new URL(events.url).port), '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {}).once('data', (bytes) => answers.push(bytes.toString('latin1')));
    socket.write(
      `POST /analytics/v1/events HTTP/1.1\r\nHost: a\r\n${who}` +
        'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    for (let part = 0; part < chunks; part += 1) socket.write(chunk);
  }
  try {
    // Of an actor two find room, and are waited for.
    const refused = status === 401 ? senders : senders - 4;
    await until('the others are answered', async () => answers.length >= refused);
    for (const answer of answers) expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    const grown = (await memory()) - before;
    expect(grown).toBeLessThan(growthMaxBytes);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

test('a body that comes byte by byte takes no more than one that comes whole', async () => {
  const before = await memory();
  const socket = connect(Number(new URL(events.url).port), '127.0.0.1').on('error', () => {});
  try {
    const answer = once(socket, 'data');
    socket.write(
      `POST /analytics/v1/events HTTP/1.1\r\nHost: a\r\n${actor}` +
        'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const some = '1\r\n \r\n'.repeat(10_000);
    for (let part = 0; part < 100; part += 1) {
      if (!socket.write(some)) await once(socket, 'drain');
    }
    socket.write('0\r\n\r\n');
    expect(String(await answer)).toMatch(/^HTTP\/1.1 400 /);
    expect((await memory()) - before).toBeLessThan(growthMaxBytes);
  } finally {
    socket.destroy();
  }
});
