import { describe, expect, test } from 'vitest';
import type { Outgoing, Refusal, Target } from './outgoing.ts';
import { sendAll } from './send.ts';

function event(number: number, more: Partial<Outgoing> = {}): Outgoing {
  const label = `line ${number}`;
  return { label, eventId: label, orgId: 'org', content: Buffer.from('{}'), ...more };
}

function recorder(refused: (batch: readonly Outgoing[]) => Refusal[] = () => []) {
  const batches: (readonly Outgoing[])[] = [];
  const times: number[] = [];
  const target: Target = {
    name: 'recorder',
    send: async (batch) => {
      batches.push(batch);
      times.push(Date.now());
      return { refused: refused(batch), wasRepeated: batches.length === 1 };
    },
    close: async () => {},
  };
  return { target, batches, times };
}

describe('sendAll', () => {
  test('keeps the order, in batches of at most a thousand', async () => {
    const { target, batches } = recorder();
    const events = Array.from({ length: 2_500 }, (_, index) => event(index));
    const sent: number[] = [];
    const report = await sendAll(target, events, { onSent: (count) => sent.push(count) });
    expect(batches.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
    expect(batches.flat()).toEqual(events);
    expect(sent).toEqual([1_000, 1_000, 500]);
    expect(report).toEqual({ sent: 2_500, refused: 0, repeated: 1_000 });
  });

  test('keeps a batch below what a request may hold', async () => {
    const { target, batches } = recorder();
    const content = Buffer.alloc(1_000_000);
    await sendAll(
      target,
      Array.from({ length: 7 }, (_, index) => event(index, { content })),
    );
    expect(batches.map(({ length }) => length)).toEqual([3, 3, 1]);
  });

  test('sends nothing before it is due, and then without waiting for a full batch', async () => {
    const { target, batches, times } = recorder();
    const dueMs = Date.now() + 150;
    await sendAll(target, [event(1, { dueMs: 0 }), event(2, { dueMs }), event(3)]);
    expect(batches.map(({ length }) => length)).toEqual([1, 2]);
    expect(times[0]).toBeLessThan(dueMs);
    expect(times[1]).toBeGreaterThanOrEqual(dueMs);
  });

  test('names every refused event', async () => {
    const { target } = recorder((batch) => [{ label: batch[0]?.label ?? '', reason: 'no' }]);
    const refusals: Refusal[] = [];
    const report = await sendAll(target, [event(1), event(2)], {
      onRefused: (refusal) => refusals.push(refusal),
    });
    expect(report).toMatchObject({ sent: 2, refused: 1 });
    expect(refusals).toEqual([{ label: 'line 1', reason: 'no' }]);
  });

  test('sends nothing where there is nothing', async () => {
    const { target, batches } = recorder();
    expect(await sendAll(target, [])).toEqual({ sent: 0, refused: 0, repeated: 0 });
    expect(batches).toEqual([]);
  });
});
