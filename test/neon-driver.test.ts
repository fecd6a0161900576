import { neonConfig } from '@neondatabase/serverless';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Database, openDatabase } from '../shared/db.ts';
import { eventStorage } from '../shared/event-storage.ts';
import { ingest } from '../shared/ingest.ts';
import { pendingBatches } from '../shared/pending-batches.ts';
import { foldAll } from '../shared/rollup.ts';
import { planWindow } from '../shared/time-window.ts';
import { usageQuery } from '../shared/usage-query.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { usageEvent } from './support/usage-events.ts';
import { startWebSocketRelay } from './support/websocket-relay.ts';

let created: TestDatabase;
let relay: Awaited<ReturnType<typeof startWebSocketRelay>>;
let database: Database;

beforeAll(async () => {
  created = await createDatabase();
  const { hostname, port } = new URL(created.url);
  relay = await startWebSocketRelay(hostname, Number(port));
  neonConfig.wsProxy = () => relay.address;
  neonConfig.useSecureWebSocket = false;
  neonConfig.pipelineConnect = false;
  database = openDatabase({ url: created.url, driver: 'neon', patienceMs: 5_000 });
});

afterAll(async () => {
  await database.close();
  await relay.stop();
  await created.drop();
});

test("by Neon's driver events are stored, folded and answered as by node-postgres", async () => {
  const storage = eventStorage(database);
  const orgId = crypto.randomUUID();
  const nowMs = Date.now();
  const events = Array.from({ length: 300 }, (_, index) =>
    usageEvent({ orgId, occurredAtMs: nowMs - index * 60_000, costEstimateCents: '0.0001' }),
  );
  await storage.ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
  const batch = { stream: 'http', events, rejected: 0, position: null };
  expect(await ingest(database, batch)).toMatchObject({ stored: 300, duplicates: 0 });
  expect(await ingest(database, batch)).toMatchObject({ stored: 0, duplicates: 300 });

  const totals = () =>
    database.transaction({ mode: 'snapshot' }, async (snapshot) => {
      const window = {
        startMs: nowMs - 86_400_000,
        endMs: nowMs + 1,
        granularity: 'day' as const,
        timeZone: 'Asia/Kathmandu',
      };
      const filter = { orgId, modelIds: [], clientIds: [] };
      const pending = await pendingBatches(snapshot);
      return (await usageQuery(snapshot, planWindow(window), pending, filter, 'none')).totals;
    });
  const expected = { invocations: 300, costEstimateCents: '\u00000.03' };
  expect(await totals()).toMatchObject(expected);
  expect(await foldAll(database)).toMatchObject({ batches: 1 });
  expect(await totals()).toMatchObject(expected);
});

test('a closed relay is a store that is away', async () => {
  const gone = await startWebSocketRelay('127.0.0.1', 1);
  await gone.stop();
  neonConfig.wsProxy = () => gone.address;
  const away = openDatabase({ url: created.url, driver: 'neon' });
  try {
    await expect(away.query('select 1')).rejects.toMatchObject({ code: 'unavailable' });
  } finally {
    neonConfig.wsProxy = () => relay.address;
    await away.close();
  }
});
