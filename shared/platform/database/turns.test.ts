import { describe, expect, test } from 'vitest';
import { createTurns, type Turns } from './turns.ts';

const waitingMax = 200;

/** Takes turns as they come, and keeps them until told. */
function table(atOnceMax: number) {
  const turns = createTurns({ atOnceMax, waitMaxMs: 60_000, look: async () => {} });
  /** Who had a turn, in their order. */
  const served: string[] = [];
  const refused: string[] = [];
  const come = (share: string) =>
    turns.take(share).then(
      () => void served.push(share),
      () => void refused.push(share),
    );
  return { turns, served, refused, come };
}

/** What was promised comes true. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function giveBack(turns: Turns, ...shares: string[]): Promise<void> {
  for (const share of shares) turns.giveBack(share);
  await settled();
}

describe('turns by share', () => {
  test('one who comes late waits for a single turn of another with many', async () => {
    const { turns, served, come } = table(3);
    for (let count = 0; count < 100; count += 1) come('many');
    come('one');
    await settled();
    expect(served).toEqual(['many', 'many', 'many']);
    await giveBack(turns, 'many');
    expect(served.at(-1)).toBe('one');
  });

  test('go to who has the fewest at work, then to who waited longest for one', async () => {
    const { turns, served, come } = table(4);
    for (const share of ['a', 'a', 'a', 'a', 'a', 'a', 'b', 'b', 'b', 'c', 'c']) come(share);
    await settled();
    await giveBack(turns, 'a', 'a', 'a', 'a');
    expect(served.splice(0)).toEqual(['a', 'a', 'a', 'a', 'b', 'c', 'a', 'b']);
    // Two of b were at work, one of a and one of c, which has waited longer.
    await giveBack(turns, 'b', 'b');
    expect(served).toEqual(['c', 'b']);
  });

  test('of one share go in the order of coming', async () => {
    const turns = createTurns({ atOnceMax: 1, waitMaxMs: 60_000, look: async () => {} });
    const order: number[] = [];
    await turns.take('a');
    for (const one of [1, 2, 3]) turns.take('a').then(() => order.push(one));
    for (let count = 0; count < 3; count += 1) await giveBack(turns, 'a');
    expect(order).toEqual([1, 2, 3]);
  });

  test('a share that fills the queue gives way to others, its newest first, until it has no more', async () => {
    const { served, refused, come } = table(1);
    for (let count = 0; count < 1 + waitingMax; count += 1) come('many');
    await settled();
    expect(refused).toEqual([]);
    come('many');
    for (let count = 0; count < waitingMax; count += 1) come('other');
    await settled();
    expect(served).toEqual(['many']);
    const refusedOf = (share: string) => refused.filter((one) => one === share).length;
    expect(refusedOf('many')).toBe(1 + waitingMax / 2);
    expect(refusedOf('other')).toBe(waitingMax / 2);
    // Every one of a hundred more finds a place.
    for (let count = 0; count < 50; count += 1) come(`tenant ${count}`);
    await settled();
    expect(refused.filter((one) => one.startsWith('tenant'))).toEqual([]);
    expect(refused.length).toBe(1 + waitingMax + 50);
  });

  test('all are sent away at once, and the next ones served', async () => {
    const { turns, served, refused, come } = table(1);
    for (const share of ['a', 'a', 'b', 'c']) come(share);
    turns.refuse(new Error('away'));
    await settled();
    expect(refused).toEqual(['a', 'b', 'c']);
    await giveBack(turns, 'a');
    come('b');
    await settled();
    expect(served).toEqual(['a', 'b']);
  });
});
