import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { checkMetadata, storeBody } from './body.ts';

const chunk = Buffer.from('abc');

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const bytes of chunks) text += bytes.toString();
  return text;
}

async function caught(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => 'nothing',
    (reason: unknown) => reason,
  );
}

describe('a body on its way into a store', () => {
  test('is counted', async () => {
    async function* body() {
      yield chunk;
      yield chunk;
    }
    for (const [given, bytes] of [
      [body(), 6],
      [chunk, 3],
      [new Uint8Array(), 0],
    ] as const) {
      const source = storeBody(given, new AbortController().signal);
      let count = 0;
      for await (const { byteLength } of source.chunks) count += byteLength;
      expect(count).toBe(bytes);
      expect(source).toMatchObject({ bytes, failure: undefined });
    }
  });

  test('keeps its own error, even undefined', async () => {
    for (const reason of [new Error('rows'), undefined]) {
      // biome-ignore lint/correctness/useYield: it fails before
      const body = (async function* (): AsyncGenerator<Uint8Array> {
        throw reason;
      })();
      const source = storeBody(body);
      expect(await caught(readAll(source.chunks))).toBe(reason);
      expect(source.failure).toEqual({ reason });
    }
  });

  test('is closed, and waited for, where the store breaks it off', async () => {
    let isClosed = false;
    async function* body() {
      try {
        yield chunk;
        yield chunk;
      } finally {
        await sleep(20);
        isClosed = true;
      }
    }
    const source = storeBody(body());
    for await (const _ of source.chunks) break;
    expect(isClosed).toBe(true);
    expect(source.failure).toBeUndefined();
  });

  test('ends quietly where its own end goes wrong', async () => {
    async function* body() {
      try {
        yield chunk;
      } finally {
        await Promise.reject(new Error('no rollback'));
      }
    }
    const source = storeBody(body());
    for await (const _ of source.chunks) break;
    expect(source.failure).toBeUndefined();
  });

  test('ends with the reason of the signal, whatever the body makes of it', async () => {
    const stop = new AbortController();
    async function* body() {
      yield chunk;
      stop.abort('stopped');
      throw new Error('cancelled');
    }
    const source = storeBody(body(), stop.signal);
    expect(await caught(readAll(source.chunks))).toBe('stopped');
    expect(source.failure).toEqual({ reason: 'stopped' });
  });

  test('does not wait for one that waits for ever, nor hears of its end', async () => {
    const stop = new AbortController();
    let fail = (_: Error) => {};
    async function* body() {
      yield chunk;
      yield* [await new Promise<Uint8Array>((_, reject) => (fail = reject))];
    }
    const source = storeBody(body(), stop.signal);
    const reading = caught(readAll(source.chunks));
    await sleep(1);
    stop.abort('stopped');
    expect(await reading).toBe('stopped');
    // Unheard it would end the process.
    fail(new Error('at last'));
    await sleep(1);
  });
});

test.each([
  ['row-count', '2'],
  ['note', ''],
  ['note', 'a = "b", 100 %'],
])('metadata %s: %j travels', (name, value) => {
  expect(() => checkMetadata({ [name]: value })).not.toThrow();
});

test.each([
  ['', 'x'],
  ['Upper', 'x'],
  ['under_score', 'x'],
  ['a b', 'x'],
  ['n', 'é'],
  ['n', '日'],
  ['n', 'a\r\nb'],
  ['n', ' x'],
  ['n', 'x '],
  ['n', '\u007f'],
])('metadata %j: %j does not', (name, value) => {
  expect(() => checkMetadata({ [name]: value })).toThrow(TypeError);
});
