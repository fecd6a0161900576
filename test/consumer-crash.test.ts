import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, onTestFailed, test } from 'vitest';
import { deadLetterQueueOf } from '../shared/dead-letters/dead-letters.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { type ConsumerChild, spawnConsumer } from './support/consumer-child.ts';
import { drainDeadLetters } from './support/dead-letters.ts';
import { offsetRow } from './support/offsets.ts';
import { Random } from './support/random.ts';
import { rollupDifferences, storageDifferences } from './support/recount.ts';
import {
  declare,
  expectedEvents,
  publishTraffic,
  readOffsets,
  type TrafficMessage,
  traffic,
} from './support/stream-traffic.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';

const leaseMs = 900;
const mix = { duplicates: 100, conflicts: 5, restamped: 5, invalid: 5 };

let system: System;
let database: Database;
let url: string;
let stream: string;
let children: ConsumerChild[];

beforeEach(async () => {
  system = await startSystem({ consume: false });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
  url = system.settings.RABBITMQ_URL ?? '';
  stream = system.settings.RABBITMQ_STREAM;
  children = [];
  await declare(url, system.settings);
});
afterEach(async () => {
  for (const child of children) child.signal('SIGKILL');
  await Promise.all(children.map((child) => child.ended));
  await database.close();
  await system.close();
});

function spawn(options: Parameters<typeof spawnConsumer>[1]): ConsumerChild {
  const child = spawnConsumer(system.environment, { leaseMs, ...options });
  children.push(child);
  return child;
}

async function committedOffset(): Promise<number> {
  return (await offsetRow(database, stream))?.committed_offset ?? -1;
}

/** A consumer that nobody kills reads the stream to its end. */
async function finish(lastOffset: number): Promise<void> {
  const child = spawn({});
  await until('the stream is read to its end', async () => (await committedOffset()) >= lastOffset);
  expect(await child.stop()).toBe(0);
}

async function expectExactlyOnce(messages: readonly TrafficMessage[]): Promise<void> {
  const offsets = await readOffsets(url, stream, messages.length);
  const expected = expectedEvents(messages);
  expect(await storageDifferences(database, expected)).toEqual({ missing: [], surplus: [] });

  const rejected = messages.filter(({ event }) => event === null).length;
  const conflicts = conflicting(messages);
  expect(await offsetRow(database, stream)).toMatchObject({
    committed_offset: offsets.at(-1),
    events_stored: expected.length,
    events_duplicate: messages.length - rejected - expected.length,
    events_conflicting: conflicts.size,
    events_rejected: rejected,
  });
  // Batches lie end to end: no stretch of the stream was skipped, none was counted twice.
  const batches = await database.query<{ first_offset: number; last_offset: number }>(
    'select first_offset, last_offset from analytics.ingestion_batches order by first_offset',
  );
  let next = offsets[0];
  for (const { first_offset, last_offset } of batches) {
    expect(first_offset).toBe(next);
    next = last_offset + 1;
  }
  expect(next).toBe((offsets.at(-1) ?? 0) + 1);

  expect(await foldAll(database)).not.toBeNull();
  expect(await rollupDifferences(database)).toEqual([]);

  const letters = await drainDeadLetters(url, deadLetterQueueOf(system.settings));
  const byOffset = new Map(letters.map((letter) => [letter.sourceOffset, letter]));
  messages.forEach(({ content, event }, index) => {
    const isConflict = conflicts.has(index);
    if (event !== null && !isConflict) return;
    const offset = offsets[index] ?? -1;
    expect(byOffset.get(offset)).toMatchObject({
      content,
      messageId: `${stream}:${offset}`,
      sourceStream: stream,
      isConflict,
      reasons: [expect.any(String), ...(byOffset.get(offset)?.reasons.slice(1) ?? [])],
    });
  });
  expect(byOffset.size).toBe(rejected + conflicts.size);
}

/** Places of messages whose id came before with another time or another content. */
function conflicting(messages: readonly TrafficMessage[]): Set<number> {
  // Only the token count and the time are ever changed.
  const contentOf = ({ occurredAtMs, inputTokens }: UsageEvent) => `${occurredAtMs}/${inputTokens}`;
  const first = new Map<string, string>();
  const places = new Set<number>();
  for (const [place, { event }] of messages.entries()) {
    if (event === null) continue;
    const known = first.get(event.eventId);
    if (known === undefined) first.set(event.eventId, contentOf(event));
    else if (known !== contentOf(event)) places.add(place);
  }
  return places;
}

test('a consumer killed ten times at random moments stores each event exactly once', {
  timeout: 180_000,
}, async () => {
  const seed = Date.now() % 1_000_000;
  onTestFailed(() => console.log(`the seed was ${seed}`));
  const random = new Random(seed);
  // The number of kills is what finds faults; more events only take longer.
  const messages = traffic(random, process.env.TEST_FULL === '1' ? 200_000 : 80_000, mix);
  const kills = 10;

  const publishing = publishTraffic(url, stream, messages);
  // Moments spread over the whole run, in the stream's own measure: a clock would have most of
  // them fall into the start of a process, or behind the end of the work.
  const moments = Array.from({ length: kills }, () => random.below(messages.length * 0.97));
  for (const moment of moments.sort((a, b) => a - b)) {
    const child = spawn({ batchSize: 500 + random.below(2_000) });
    await until(`offset ${moment} is committed`, async () => (await committedOffset()) >= moment, {
      everyMs: 5,
      timeoutMs: 40_000,
    });
    await sleep(random.below(40));
    child.signal('SIGKILL');
    expect(await child.ended).toBe('SIGKILL');
    expect(await committedOffset()).toBeLessThan(messages.length - 1);
  }
  await publishing;
  await finish(messages.length - 1);
  await expectExactlyOnce(messages);
});

test('a consumer killed between any two steps of a batch stores each event exactly once', async () => {
  // Rejects in every batch, so that each kill falls among some.
  const messages = traffic(new Random(7), 1_000, { ...mix, invalid: 50 });
  await publishTraffic(url, stream, messages);
  const offsets = await readOffsets(url, stream, messages.length);

  for (const step of ['copy', 'insert', 'offset', 'commit'] as const) {
    const before = await committedOffset();
    const child = spawn({ batchSize: 100, failpoint: `${step}:2:SIGKILL` });
    expect(await child.ended).toBe('SIGKILL');

    const committed = await committedOffset();
    const upto = offsets.indexOf(committed) + 1;
    // One batch is behind it; the second counts only where the kill came after the commit.
    const batches = step === 'commit' ? 2 : 1;
    expect(upto - (offsets.indexOf(before) + 1)).toBeGreaterThan((batches - 1) * 100);
    expect(upto - (offsets.indexOf(before) + 1)).toBeLessThanOrEqual(batches * 100);
    const expected = expectedEvents(messages.slice(0, upto));
    expect(await storageDifferences(database, expected)).toEqual({ missing: [], surplus: [] });
  }
  await finish(messages.length - 1);
  await expectExactlyOnce(messages);
});
