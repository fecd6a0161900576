import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { runPgBouncer } from '../scripts/services/pgbouncer.ts';
import { createSupervisor } from '../scripts/services/supervisor.ts';
import { eventStorage } from '../shared/events/event-storage.ts';
import { ingest } from '../shared/events/ingest.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { migrate } from '../shared/preparation/migrate.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { apiDatabaseUrl } from './support/api-login.ts';
import { createDatabase, emptyDatabase, type TestDatabase } from './support/database.ts';
import { jsonPost } from './support/event-json.ts';
import { directDatabaseUrl, hostedDatabaseUrl } from './support/hosted.ts';
import { Random } from './support/random.ts';
import { rollupDifferences, storageDifferences } from './support/recount.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { randomEvent, usageEvent } from './support/usage-events.ts';

const dayMs = 86_400_000;
/** So few that every statement may meet a session where another client's transaction has been. */
const poolSize = 2;

// Without it (not root, no Debian) nothing here can be tried.
describe.skipIf(!inject('hasPgBouncer'))('behind PgBouncer in transaction mode', () => {
  const supervisor = createSupervisor();
  let server: TestDatabase;
  let database: Database;
  let system: System;
  let pooled: (url: string) => string;

  beforeAll(async () => {
    server = await createDatabase();
    const pooler = await runPgBouncer({
      folder: await supervisor.temporaryFolder('pgbouncer'),
      supervisor,
      databaseUrl: directDatabaseUrl(server.url),
      otherLogins: [apiDatabaseUrl(server.url)],
      poolSize,
    });
    pooled = (url) => hostedDatabaseUrl(pooler.through(directDatabaseUrl(url)));
    const url = pooled(server.url);
    database = openDatabase({ url, patienceMs: 10_000 });
    // Just after midnight no random event may be of today.
    await eventStorage(database).ensureDays([Date.now(), Date.now() - dayMs]);
    system = await startSystem({ stream: false, environment: { DATABASE_URL: url } });
  });
  afterAll(async () => {
    await system?.close();
    await database?.close();
    await supervisor.stop();
    await server?.drop();
  });

  test('an empty database is migrated, by two at once', async () => {
    const empty = await emptyDatabase();
    try {
      const url = pooled(empty.url);
      const reports = await Promise.all([migrate(url), migrate(url)]);
      const applied = reports.flatMap((report) => report.applied);
      expect(applied.length).toBeGreaterThan(0);
      expect(new Set(applied).size).toBe(applied.length);
      expect((await migrate(url)).applied).toEqual([]);
    } finally {
      await empty.drop();
    }
  });

  test('batches of many clients at once are stored once and folded once', async () => {
    const random = new Random(7);
    const nowMs = Date.now();
    const events = Array.from({ length: 2_000 }, () => randomEvent(random, nowMs, 2 * dayMs));
    await eventStorage(database).ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
    // Each has a quarter of its own, and one that another sends too.
    const quarter = events.length / 4;
    const results = await Promise.all(
      [0, 1, 2, 3, 4, 5, 6, 7].map((client) => {
        const from = (client % 4) * quarter;
        const some = events.slice(from, from + quarter);
        const batch = { stream: `s${client}`, events: some, rejected: 0, position: null };
        return ingest(database, batch);
      }),
    );
    expect(results.reduce((sum, { stored }) => sum + stored, 0)).toBe(events.length);
    expect(results.reduce((sum, { duplicates }) => sum + duplicates, 0)).toBe(events.length);
    expect(await storageDifferences(database, events)).toEqual({ missing: [], surplus: [] });
    await Promise.all([foldAll(database), foldAll(database)]);
    await foldAll(database);
    expect(await rollupDifferences(database)).toEqual([]);
  });

  test('a cursor reads one moment, while others store', async () => {
    const orgId = randomUUID();
    const store = async () => {
      const events = Array.from({ length: 50 }, () => usageEvent({ orgId }));
      await ingest(database, { stream: 'cursor', events, rejected: 0, position: null });
    };
    await store();
    const read = await database.transaction({ mode: 'snapshot' }, async (snapshot) => {
      let rows = 0;
      const statement = 'select event_id from analytics.usage_events where org_id = $1';
      for await (const some of snapshot.cursor(statement, [orgId], 20)) {
        rows += some.length;
        await store();
      }
      return rows;
    });
    expect(read).toBe(50);
  });

  test('tenants who take turns on a session see their own rows alone, and leave nothing in it', async () => {
    const orgs: string[] = [randomUUID(), randomUUID()];
    for (const [index, orgId] of orgs.entries()) {
      const events = Array.from({ length: index + 1 }, () => usageEvent({ orgId }));
      await ingest(database, { stream: 'tenants', events, rejected: 0, position: null });
    }
    const api = openDatabase({ url: apiDatabaseUrl(pooled(server.url)), patienceMs: 10_000 });
    const sessions = new Map<number, Set<string>>();
    const look = async (orgId: string, givesUp: boolean) => {
      const rows = await api.transaction({ tenant: orgId }, async (transaction) => {
        await transaction.query('select pg_sleep(0.005)');
        return transaction.query<{ org_id: string; pid: number }>(
          'select org_id, pg_backend_pid() as pid from usage_events',
        );
      });
      expect(rows.map(({ org_id }) => org_id)).toEqual(
        Array.from({ length: orgs.indexOf(orgId) + 1 }, () => orgId),
      );
      const pid = rows[0]?.pid ?? 0;
      sessions.set(pid, (sessions.get(pid) ?? new Set()).add(orgId));
      if (givesUp) {
        const given = api.transaction({ tenant: orgId }, (one) => one.query('select 1 / 0'));
        await expect(given).rejects.toThrow('division by zero');
      }
      const left = await api.query(
        `select current_user as name, nullif(current_setting('app.org', true), '') as org,
                current_setting('search_path') as path`,
      );
      expect(left).toEqual([{ name: inject('apiLogin').user, org: null, path: '"$user", public' }]);
    };
    try {
      await Promise.all(
        orgs.flatMap((orgId) =>
          Array.from({ length: 4 }, async () => {
            for (let turn = 0; turn < 10; turn += 1) await look(orgId, turn % 3 === 0);
          }),
        ),
      );
    } finally {
      await api.close();
    }
    expect(sessions.size).toBeLessThanOrEqual(poolSize);
    for (const served of sessions.values()) expect(served.size).toBe(2);
  });

  test('what is sent is counted, and exported with the same totals', async () => {
    const orgId = randomUUID();
    const sent = { orgId, costEstimateCents: '0.0001' };
    const batch = Array.from({ length: 300 }, () => usageEvent(sent));
    await ingest(database, { stream: 'api', events: batch, rejected: 0, position: null });
    const timeRange = {
      start: new Date(Date.now() - dayMs).toISOString(),
      end: new Date(Date.now() + 60_000).toISOString(),
    };
    const home = `/analytics/v1/orgs/${orgId}`;
    const parameters = new URLSearchParams({ ...timeRange, groupBy: 'none' });
    const usage = await system.get(`${home}/usage?${parameters}`);
    const totals = { invocations: 300, costEstimateCents: 0.03 };
    expect(usage).toMatchObject({ status: 200, body: { totals } });

    const request = jsonPost({ timeRange, granularity: 'hourly' }, adminHeaders);
    expect((await system.app.request(`${home}/exports`, request)).status).toBe(202);
    expect(await system.exports.drain()).toMatchObject({ succeeded: 1, failed: 0 });
    expect(await system.get(`${home}/exports`)).toMatchObject({
      body: { items: [{ status: 'succeeded', totals }] },
    });
  });

  test('days past retention go, which no transaction can do', async () => {
    const old = usageEvent({ occurredAtMs: Date.now() - 40 * dayMs });
    const storage = eventStorage(database);
    await storage.ensureDays([old.occurredAtMs]);
    await ingest(database, { stream: 'old', events: [old], rejected: 0, position: null });
    await foldAll(database);
    const { dropped } = await storage.upkeep(
      { rawRetentionDays: 30, compressAfterDays: 7 },
      Date.now(),
    );
    expect(dropped).toHaveLength(1);
  });

  test('no transaction leaves its settings to the next client', async () => {
    await Promise.all(
      (['write', 'snapshot'] as const).map((mode) =>
        database.transaction({ mode, statementTimeoutMs: 9_999, lockTimeoutMs: 9_999 }, (one) =>
          one.query('select pg_sleep(0.2)'),
        ),
      ),
    );
    const sessions = await Promise.all(
      Array.from({ length: 8 }, () =>
        database.query<{ pid: number; changed: string[] }>(
          `select pg_backend_pid() as pid, pg_sleep(0.1), array(
             select name from pg_settings where setting <> reset_val and name in
               ('jit', 'statement_timeout', 'lock_timeout', 'cursor_tuple_fraction',
                'idle_in_transaction_session_timeout', 'transaction_isolation',
                'transaction_read_only', 'timescaledb.max_tuples_decompressed_per_dml_transaction')
           ) as changed`,
        ),
      ),
    );
    const rows = sessions.flat();
    // All clients were in the same few sessions: else this would have shown nothing.
    expect(new Set(rows.map(({ pid }) => pid)).size).toBeLessThanOrEqual(poolSize);
    expect(rows.flatMap(({ changed }) => changed)).toEqual([]);
  });
});
