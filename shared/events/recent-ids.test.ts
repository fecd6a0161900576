import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idsRoom } from './ids-room.ts';
import { type RecentIds, recentIds, rememberedMs } from './recent-ids.ts';

const startMs = 1_800_000_000_000;
const orgs = [randomUUID(), randomUUID()];
const known = Array.from({ length: 40 }, (_, index) => ({
  orgId: orgs[index % 2] ?? '',
  // Pairs of one event id in two orgs.
  eventId: `${String(index >> 1).padStart(8, '0')}-0000-4000-8000-${'0'.repeat(12)}`,
}));

const find = (ids: RecentIds, event: (typeof known)[number], nowMs: number) =>
  ids.find(ids.prints([event]), 0, nowMs);
const learn = (ids: RecentIds, event: (typeof known)[number], ms: number, atMs: number) =>
  ids.learn(ids.prints([event]), 0, ms, atMs);
const some = (count: number) =>
  Array.from({ length: count }, () => ({ orgId: orgs[0] ?? '', eventId: randomUUID() }));

const steps = fc.oneof(
  { weight: 12, arbitrary: fc.record({ learn: fc.nat(39), occurredAtMs: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ passMs: fc.integer({ min: 1, max: rememberedMs / 2 }) }) },
  { weight: 1, arbitrary: fc.record({ limit: fc.integer({ min: 1, max: 30 }) }) },
);

test('knows what a plain list of the newest ids of an hour knows', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.array(steps, { maxLength: 400 }),
      (idsMax, all) => {
        const ids = recentIds(idsMax);
        let list: { index: number; occurredAtMs: number; atMs: number }[] = [];
        let max = idsMax;
        let nowMs = startMs;
        // Times are kept in seconds, rounded up.
        const isFresh = ({ atMs }: { atMs: number }) =>
          nowMs - Math.ceil(atMs / 1_000) * 1_000 < rememberedMs;
        for (const step of all) {
          if ('passMs' in step) {
            nowMs += step.passMs;
          } else if ('limit' in step) {
            max = step.limit;
            ids.limit(max);
            list = list.slice(-max);
          } else {
            const { learn: index, occurredAtMs } = step;
            const entry = list.find((one) => one.index === index);
            if (entry === undefined) {
              list = [...list.filter(isFresh), { index, occurredAtMs, atMs: nowMs }].slice(-max);
            } else if (!isFresh(entry)) {
              list = list.filter((one) => one !== entry && isFresh(one));
              list.push({ index, occurredAtMs, atMs: nowMs });
            }
            learn(ids, known[index] ?? { orgId: '', eventId: '' }, occurredAtMs, nowMs);
          }
          const fresh = list.filter(isFresh);
          for (const [index, event] of known.entries()) {
            expect(find(ids, event, nowMs)).toBe(
              fresh.find((one) => one.index === index)?.occurredAtMs,
            );
          }
          expect(ids.size).toBeLessThanOrEqual(max);
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('one event id in two orgs is two ids', () => {
  const ids = recentIds(10);
  const eventId = randomUUID();
  const [one = '', other = ''] = orgs;
  learn(ids, { orgId: one, eventId }, 1, startMs);
  expect(find(ids, { orgId: other, eventId }, startMs)).toBeUndefined();
  learn(ids, { orgId: other, eventId }, 2, startMs);
  expect(find(ids, { orgId: one, eventId }, startMs)).toBe(1);
});

test('the time that came first is the one it keeps, for an hour', () => {
  const ids = recentIds(10);
  const [event = { orgId: '', eventId: '' }] = some(1);
  learn(ids, event, 1, startMs);
  learn(ids, event, 2, startMs + rememberedMs - 1);
  expect(find(ids, event, startMs + rememberedMs - 1)).toBe(1);
  expect(find(ids, event, startMs + rememberedMs)).toBeUndefined();
  learn(ids, event, 2, startMs + rememberedMs);
  expect(find(ids, event, startMs + rememberedMs)).toBe(2);
});

describe('a bound', () => {
  test('lets the oldest go, and says how many it forgot early and how old', () => {
    // Enough for it to grow several times.
    const ids = recentIds(30_000);
    const events = some(50_000);
    const atMs = (place: number) => startMs + place * 100;
    for (const [place, event] of events.entries()) learn(ids, event, place, atMs(place));
    expect(ids).toMatchObject({
      size: 30_000,
      forgottenEarly: 20_000,
      forgottenAtAgeMs: 2_999_900,
    });
    const known = events.map((event) => find(ids, event, atMs(50_000)));
    expect(known.slice(0, 20_000).every((ms) => ms === undefined)).toBe(true);
    expect(known.slice(20_000)).toEqual(Array.from({ length: 30_000 }, (_, at) => at + 20_000));
  });

  test('is not reached by ids that expired', () => {
    const ids = recentIds(100);
    for (let hour = 0; hour < 5; hour += 1) {
      for (const event of some(100)) learn(ids, event, 1, startMs + hour * (rememberedMs + 1_000));
    }
    expect(ids).toMatchObject({ size: 100, forgottenEarly: 0 });
  });

  test('of a process is divided among its partitions, and given back', () => {
    const room = idsRoom(90);
    const one = room.open();
    const events = some(60);
    for (const event of events) learn(one, event, 1, startMs);
    expect(room.takeForgotten().ids).toBe(0);
    const [two, three] = [room.open(), room.open()];
    expect([one, two, three].map(({ idsMax }) => idsMax)).toEqual([30, 30, 30]);
    expect(events.filter((event) => find(one, event, startMs) !== undefined)).toEqual(
      events.slice(30),
    );
    expect(room.takeForgotten().ids).toBe(30);
    expect(room.takeForgotten().ids).toBe(0);
    room.close(two);
    room.close(three);
    expect(one.idsMax).toBe(90);
  });
});
