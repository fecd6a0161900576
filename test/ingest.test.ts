import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type EventStorage, eventStorage } from '../shared/events/event-storage.ts';
import { type IngestResult, ingest } from '../shared/events/ingest.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { isHosted } from './support/hosted.ts';
import { offsetRow } from './support/offsets.ts';
import { Random } from './support/random.ts';
import { storageDifferences } from './support/recount.ts';
import { randomEvent, usageEvent } from './support/usage-events.ts';

const dayMs = 86_400_000;

let server: TestDatabase;
let database: Database;
let storage: EventStorage;

beforeAll(async () => {
  server = await createDatabase();
  database = openDatabase({ url: server.url });
  storage = eventStorage(database);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});
beforeEach(async () => {
  await database.query(
    'truncate analytics.usage_events, analytics.ingestion_batches, analytics.stream_offsets',
  );
});

async function store(
  events: readonly UsageEvent[],
  into: Database = database,
): Promise<IngestResult> {
  await storage.ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
  return ingest(into, { stream: 'test', events, rejected: 0, position: null });
}

function randomEvents(count: number): UsageEvent[] {
  const random = new Random(count);
  return Array.from({ length: count }, () => randomEvent(random, Date.now(), 2 * dayMs));
}

test('a known day that another process dropped is made anew', async () => {
  const event = usageEvent({ occurredAtMs: Date.now() - 9 * dayMs });
  await store([event]);
  const elsewhere = eventStorage(database);
  await database.query(
    'update analytics.ingestion_batches set folded_at = clock_timestamp() where true',
  );
  const upkeep = { rawRetentionDays: 3, compressAfterDays: 7 };
  expect((await elsewhere.upkeep(upkeep, Date.now())).dropped).toHaveLength(1);

  const late = usageEvent({ occurredAtMs: Date.now() - 9 * dayMs });
  const batch = { stream: 'test', events: [late], rejected: 0, position: null };
  await expect(store([late])).rejects.toThrow('no partition of relation');
  expect(await storeBatch(database, storage, batch)).toMatchObject({ stored: 1 });
});

test('the comparison of these tests sees each field that is stored', async () => {
  const event = usageEvent({ metadata: { team: 'a' } });
  await store([event]);
  const others: Partial<UsageEvent>[] = [
    { modelId: '00000000-0000-4000-8000-0000000000b9' },
    { actorId: '00000000-0000-4000-8000-0000000000c1' },
    { clientId: 'other' },
    { latencyMs: 121 },
    { status: 'error' },
    { errorCode: 'overloaded' },
    { inputTokens: 11 },
    { outputTokens: 21 },
    { costEstimateCents: '0.1235' },
    { inputCostCents: '0.1', outputCostCents: '0.0234' },
    { metadata: { team: 'b' } },
    { metadata: null },
  ];
  for (const fields of others) {
    const { missing, surplus } = await storageDifferences(database, [{ ...event, ...fields }]);
    expect([missing.length, surplus.length], JSON.stringify(fields)).toEqual([1, 1]);
  }
});

describe('deduplication', () => {
  test('a redelivered batch changes nothing', async () => {
    const events = randomEvents(500);
    expect(await store(events)).toMatchObject({ stored: 500, duplicates: 0, conflicts: 0 });
    expect(await store(events)).toMatchObject({ stored: 0, duplicates: 500, conflicts: 0 });
    expect(await storageDifferences(database, events)).toEqual({ missing: [], surplus: [] });
    expect(await offsetRow(database, 'test')).toMatchObject({
      events_stored: 500,
      events_duplicate: 500,
      events_conflicting: 0,
    });
  });

  test('a batch that overlaps an earlier one stores only what is new', async () => {
    const events = randomEvents(300);
    await store(events.slice(0, 200));
    expect(await store(events.slice(100))).toMatchObject({ stored: 100, duplicates: 100 });
    expect(await storageDifferences(database, events)).toEqual({ missing: [], surplus: [] });
  });

  test('of equal keys within a batch the first is kept and the rest are counted', async () => {
    const event = usageEvent();
    const other = usageEvent();
    const result = await store([event, other, event, event]);
    expect(result).toMatchObject({ stored: 2, duplicates: 2, conflicts: 0 });
  });

  const otherPayloads: [string, Partial<UsageEvent>][] = [
    ['cost', { costEstimateCents: '0.1235' }],
    ['status', { status: 'error' }],
    ['model', { modelId: '00000000-0000-4000-8000-0000000000b9' }],
    ['actor', { actorId: '00000000-0000-4000-8000-0000000000c1' }],
    ['metadata', { metadata: { team: 'b' } }],
    ['split of its cost', { inputCostCents: '0.1', outputCostCents: '0.0234' }],
  ];

  test.each(otherPayloads)(
    'a stored key with another %s is a conflict and changes nothing',
    async (_, fields) => {
      const event = usageEvent({ metadata: { team: 'a' } });
      await store([event]);
      const other = { ...event, ...fields };
      const message = 'differs from what is stored of this event';
      expect(await store([other])).toMatchObject({
        stored: 0,
        duplicates: 1,
        conflicts: 1,
        conflicting: [
          { event: other, faults: Object.keys(fields).map((path) => ({ path, message })) },
        ],
      });
      expect(await storageDifferences(database, [event])).toEqual({ missing: [], surplus: [] });
    },
  );

  test.each(otherPayloads)(
    'within one batch too, a key with another %s is a conflict',
    async (_, fields) => {
      const event = usageEvent({ metadata: { team: 'a' } });
      const batch = [event, { ...event, ...fields }, event];
      expect(await store(batch)).toMatchObject({ stored: 1, duplicates: 2, conflicts: 1 });
      expect(await storageDifferences(database, [event])).toEqual({ missing: [], surplus: [] });
    },
  );

  test('a batch is stored though telling of its conflicts takes longer than 5 s', async () => {
    const event = usageEvent();
    const events = [event, { ...event, latencyMs: 121 }];
    const batch = { stream: 'test', events, rejected: 0, position: null };
    await storage.ensureDays([event.occurredAtMs]);
    // The server ends any other transaction that does nothing for so long.
    const onConflicts = () => sleep(5_500);
    expect(await ingest(database, batch, { onConflicts })).toMatchObject({
      stored: 1,
      conflicts: 1,
    });
  });

  test('the same payload written otherwise is no conflict', async () => {
    const event = usageEvent({ costEstimateCents: '1.5', metadata: { a: '1', b: '2' } });
    await store([event]);
    const rewritten = { ...event, costEstimateCents: '1.5000', metadata: { b: '2', a: '1' } };
    expect(await store([rewritten])).toMatchObject({ stored: 0, duplicates: 1, conflicts: 0 });
  });

  test('one event id at two times or in two orgs is two events', async () => {
    const event = usageEvent();
    const later = { ...event, occurredAtMs: event.occurredAtMs + 1 };
    const elsewhere = { ...event, orgId: '00000000-0000-4000-8000-00000000000b' };
    expect(await store([event, later, elsewhere])).toMatchObject({ stored: 3, duplicates: 0 });
  });

  test('what was altered and came first is what stays', async () => {
    const event = usageEvent();
    const altered = { ...event, inputTokens: event.inputTokens + 1 };
    await store([altered, event]);
    expect(await storageDifferences(database, [altered])).toEqual({ missing: [], surplus: [] });
  });

  test('ingesters that share events store each once, without a deadlock', async () => {
    const events = randomEvents(4_000);
    const random = new Random(3);
    await storage.ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
    const results = await Promise.all(
      Array.from({ length: 4 }, async () => {
        let stored = 0;
        const mine = random.shuffled(events);
        for (let start = 0; start < mine.length; start += 500) {
          stored += (await store(mine.slice(start, start + 500))).stored;
        }
        return stored;
      }),
    );
    expect(results.reduce((sum, stored) => sum + stored, 0)).toBe(4_000);
    expect(await storageDifferences(database, events)).toEqual({ missing: [], surplus: [] });
    expect(await offsetRow(database, 'test')).toMatchObject({
      events_stored: 4_000,
      events_duplicate: 12_000,
    });
  });
});

// Neon's driver carries no COPY.
const ways: [string, boolean][] = [['unnest', false]];
if (!isHosted()) ways.push(['COPY', true]);

describe.each(ways)('by %s', (_, canCopy) => {
  const into = (): Database => ({ ...database, canCopy });

  test('every field comes back as it was sent', async () => {
    const text =
      'tab\t back\\slash \\N \\. new\nline \r\n "quotes" \'single\' {a,b} NULL 🦉 é \u2028';
    const events = [
      usageEvent({
        clientId: text,
        status: 'error',
        errorCode: text,
        actorId: '00000000-0000-4000-8000-0000000000c1',
        inputCostCents: '0.1',
        outputCostCents: '0.0234',
        metadata: { [text]: text, empty: '' },
      }),
      usageEvent({ clientId: '\\N', status: 'timeout', errorCode: '\\' }),
      usageEvent({ clientId: '', metadata: {} }),
      usageEvent({
        latencyMs: dayMs,
        inputTokens: Number.MAX_SAFE_INTEGER,
        outputTokens: 0,
        costEstimateCents: '99999999999999.9999',
      }),
      usageEvent({ latencyMs: 0, costEstimateCents: '0.0001' }),
    ];
    expect(await store(events, into())).toMatchObject({ stored: events.length });
    const rows = await database.query(
      `select event_id as "eventId", org_id as "orgId", model_id as "modelId",
              actor_id as "actorId", client_id as "clientId",
              (extract(epoch from occurred_at) * 1000)::float8 as "occurredAtMs",
              latency_ms as "latencyMs", status, error_code as "errorCode",
              input_tokens as "inputTokens", output_tokens as "outputTokens",
              trim_scale(cost_estimate_cents)::text as "costEstimateCents",
              trim_scale(input_cost_cents)::text as "inputCostCents",
              trim_scale(output_cost_cents)::text as "outputCostCents", metadata
       from analytics.usage_events`,
    );
    expect(rows).toHaveLength(events.length);
    expect(rows).toEqual(expect.arrayContaining(events));
  });

  test('an event that the database refuses fails the whole batch, and the next one succeeds', async () => {
    const bad = usageEvent({ modelId: 'no uuid' });
    await expect(store([usageEvent(), bad], into())).rejects.toMatchObject({ code: '22P02' });
    expect(await database.query('select from analytics.usage_events')).toEqual([]);
    expect(await offsetRow(database, 'test')).toBeUndefined();
    expect(await store([usageEvent()], into())).toMatchObject({ stored: 1 });
  });
});

test('a session that has staged more rows than an integer counts goes on', async () => {
  const session = openDatabase({ url: server.url, connectionsMax: 1 });
  try {
    const events = randomEvents(20);
    await store(events.slice(0, 1), session);
    await session.query(
      `select setval(pg_get_serial_sequence('pg_temp.usage_stage_2', 'position'), $1)`,
      [2 ** 31 - 10],
    );
    const altered = events.map((event) => ({ ...event, latencyMs: event.latencyMs + 1 }));
    expect(await store(events, session)).toMatchObject({ stored: 19, duplicates: 1 });
    const { conflicting } = await store(altered, session);
    expect(conflicting.map(({ event }) => event).sort(byId)).toEqual(altered.sort(byId));
    expect(await storageDifferences(database, events)).toEqual({ missing: [], surplus: [] });
  } finally {
    await session.close();
  }
});

function byId(a: UsageEvent, b: UsageEvent): number {
  return a.eventId < b.eventId ? -1 : 1;
}

describe('a missing day', () => {
  const longAgo = () => Date.now() - Math.floor(20 + Math.random() * 300) * dayMs;

  test('gets its partition while readers of the whole table are open', async () => {
    const event = usageEvent({ occurredAtMs: longAgo() });
    await database.transaction({ mode: 'snapshot' }, async (reader) => {
      const [before] = await reader.query(
        'select count(*)::int as events from analytics.usage_events',
      );
      expect(before).toEqual({ events: 0 });
      expect(await store([event])).toMatchObject({ stored: 1 });
      // The reader goes on, and still sees its own moment.
      expect(await reader.query('select from analytics.usage_events')).toEqual([]);
    });
    expect(await storageDifferences(database, [event])).toEqual({ missing: [], surplus: [] });
  });

  test('is made once by many who need it at the same time', async () => {
    const occurredAtMs = longAgo();
    const made = await Promise.all(
      Array.from({ length: 6 }, () => eventStorage(database).ensureDays([occurredAtMs])),
    );
    expect(made.flat().length).toBeLessThanOrEqual(1);
    expect(await store([usageEvent({ occurredAtMs })])).toMatchObject({ stored: 1 });
  });

  test('holds its first and its last millisecond', async () => {
    const midnight = Math.floor(longAgo() / dayMs) * dayMs;
    const events = [midnight - 1, midnight, midnight + dayMs - 1, midnight + dayMs].map(
      (occurredAtMs) => usageEvent({ occurredAtMs }),
    );
    expect(await store(events)).toMatchObject({ stored: 4 });
    expect(await storageDifferences(database, events)).toEqual({ missing: [], surplus: [] });
  });
});

test('a frozen ingester is ended by the database, and those who wait for its rows go on', async () => {
  const event = usageEvent();
  await storage.ensureDays([event.occurredAtMs]);
  let thaw = () => {};
  const thawed = new Promise<void>((resolve) => {
    thaw = resolve;
  });
  let holdsItsRow = () => {};
  const held = new Promise<void>((resolve) => {
    holdsItsRow = resolve;
  });
  const frozen = ingest(
    database,
    { stream: 'test', events: [event], rejected: 0, position: null },
    {
      failpoint: (step) => {
        if (step !== 'insert') return;
        holdsItsRow();
        return thawed;
      },
    },
  ).catch((error: unknown) => error);
  // Not merely idle in its transaction: it is that between its earlier statements too.
  await Promise.race([held, frozen]);
  expect(await store([event])).toMatchObject({ stored: 1 });
  thaw();
  expect(await frozen).toMatchObject({ code: 'unavailable' });
  expect(await storageDifferences(database, [event])).toEqual({ missing: [], surplus: [] });
});
