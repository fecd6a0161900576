import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { verify } from '../functions/verify/verify.ts';
import { type EventStorage, eventStorage } from '../shared/events/event-storage.ts';
import { dropOldRollups } from '../shared/events/retention.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { freshnessLags } from '../shared/freshness/lag.ts';
import { probeHeads } from '../shared/partitions/heads.ts';
import { pipelineMetrics } from '../shared/pipeline-metrics.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { readSettings } from '../shared/platform/env.ts';
import { saveNames } from '../shared/preparation/catalog.ts';
import { recentUsage } from '../shared/rollups/recent-usage.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { directDatabaseUrl } from './support/hosted.ts';
import { byLabel, samplesOf } from './support/metrics-text.ts';
import { Random } from './support/random.ts';
import { type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';

const orgId = '00000000-0000-4000-8000-00000000000a';
const minuteMs = 60_000;
const dayMs = 86_400_000;

let server: TestDatabase;
let database: Database;
let storage: EventStorage;

beforeAll(async () => {
  server = await createDatabase();
  database = openDatabase({ url: server.url, patienceMs: 5_000 });
  storage = eventStorage(database);
  // As the refresh does; verify looks for tomorrow's partition.
  await storage.upkeep({ rawRetentionDays: 400, compressAfterDays: 7 }, Date.now());
});
afterAll(async () => {
  await database?.close();
  await server?.drop();
});
beforeEach(async () => {
  await database.query(
    `truncate analytics.usage_events, analytics.ingestion_batches, analytics.stream_offsets,
              analytics.usage_hourly, analytics.usage_daily, analytics.error_hourly,
              analytics.error_daily, analytics.freshness_status, analytics.job_runs,
              analytics.data_quality_runs`,
  );
});

async function store(events: readonly UsageEvent[], rejected = 0): Promise<void> {
  await storeBatch(database, storage, { stream: 'http', events, rejected, position: null });
}

async function probe(): Promise<void> {
  await probeHeads(database, null, []);
}

const scrape = async () => samplesOf(await pipelineMetrics(database));

const runVerify = () =>
  verify({
    database,
    sink: {
      accept: async (events) => {
        await store(events);
        return [];
      },
      check: async () => {},
    },
    brokers: null,
    settings: readSettings({}),
    logger: pino({ level: 'silent' }),
  });

/** Known latencies and statuses of the last minutes. */
const events = (org: string, count: number, fields: Partial<UsageEvent> = {}) =>
  Array.from({ length: count }, () =>
    usageEvent({ orgId: org, occurredAtMs: Date.now() - minuteMs, ...fields }),
  );

describe('the contract', () => {
  test('has each of its metrics, by its name', async () => {
    await store(events(orgId, 30));
    await probe();
    await foldAll(database);
    await runVerify();
    const samples = await scrape();
    const org = `org_id="${orgId}"`;
    for (const name of [
      ...['stored', 'duplicate', 'rejected'].map(
        (outcome) => `analytics_ingestion_events_total{outcome="${outcome}"}`,
      ),
      'analytics_ingestion_conflicts_total',
      'analytics_ingestion_lag_messages{stream="http"}',
      'analytics_ingestion_lag_seconds{stream="http"}',
      `analytics_freshness_lag_seconds{${org}}`,
      `analytics_org_info{${org},org_name="${orgId}"}`,
      'analytics_freshness_lag_seconds_max',
      'analytics_rollup_last_success_timestamp_seconds',
      'analytics_rollup_duration_seconds',
      'analytics_rollup_pending_batches',
      ...['pending', 'running', 'succeeded', 'failed', 'expired'].map(
        (status) => `analytics_export_jobs{status="${status}"}`,
      ),
      'analytics_export_failures_total',
      'analytics_undelivered_events_total',
      'analytics_export_queue_age_seconds',
      `analytics_usage_error_rate{${org}}`,
      'analytics_usage_error_rate_max',
      ...['0.5', '0.95', '0.99'].flatMap((quantile) => [
        `analytics_usage_latency_ms{${org},quantile="${quantile}"}`,
        `analytics_usage_latency_ms_max{quantile="${quantile}"}`,
      ]),
      'analytics_verify_drift_ratio{grain="hourly"}',
      'analytics_verify_drift_ratio{grain="daily"}',
      'analytics_dedupe_failure_ratio',
      'analytics_verify_last_success_timestamp_seconds',
      'analytics_synthetic_check_last_success_timestamp_seconds',
    ]) {
      expect(samples.has(name), name).toBe(true);
      expect(samples.get(name), name).toBeGreaterThanOrEqual(0);
    }
  });

  test('says nothing of orgs, ratios and checks where there is nothing, and 0 where alerts look', async () => {
    const samples = await scrape();
    const names = [...samples.keys()];
    for (const name of ['org_id', 'verify_drift_ratio', 'dedupe_failure_ratio', 'synthetic']) {
      expect(names.filter((one) => one.includes(name))).toEqual([]);
    }
    expect(samples.get('analytics_usage_error_rate_max')).toBe(0);
    expect(byLabel(samples, 'analytics_usage_latency_ms_max', 'quantile')).toEqual(
      new Map([
        ['0.5', 0],
        ['0.95', 0],
        ['0.99', 0],
      ]),
    );
    expect(samples.get('analytics_freshness_lag_seconds_max')).toBe(0);
    expect(samples.get('analytics_verify_last_success_timestamp_seconds')).toBe(0);
  });

  test('is the same from every replica', async () => {
    await store(events(orgId, 30));
    await foldAll(database);
    await probe();
    const other = openDatabase({ url: server.url });
    try {
      const [one, two] = await Promise.all([scrape(), pipelineMetrics(other).then(samplesOf)]);
      expect([...two.keys()]).toEqual([...one.keys()]);
      for (const [name, value] of one) {
        // Seconds since something: a moment lies between two scrapes.
        expect(Math.abs((two.get(name) ?? Number.NaN) - value), name).toBeLessThan(
          name.includes('_seconds') ? 5 : 1e-9,
        );
      }
    } finally {
      await other.close();
    }
  });
});

describe('counters', () => {
  const counters = async () => {
    const outcomes = byLabel(await scrape(), 'analytics_ingestion_events_total', 'outcome');
    return [outcomes.get('stored'), outcomes.get('duplicate'), outcomes.get('rejected')];
  };

  test('count what became of events, and never fall, whatever is forgotten', async () => {
    const first = events(orgId, 10);
    await store(first, 3);
    await store(first);
    expect(await counters()).toEqual([10, 10, 3]);
    await foldAll(database);
    // As long after: batches, rollups and raw rows are past retention, the stream is another.
    await database.query(
      `update analytics.ingestion_batches set folded_at = clock_timestamp() - interval '36 days'`,
    );
    await dropOldRollups(database, 1, Date.now() + 5 * dayMs);
    await database.query('truncate analytics.usage_events');
    await database.query('update analytics.stream_offsets set retired = true');
    expect(await counters()).toEqual([10, 10, 3]);
    await store(events(orgId, 5));
    expect(await counters()).toEqual([15, 10, 3]);
  });

  test('conflicts are counted among the duplicates, and apart', async () => {
    const conflicts = async () => (await scrape()).get('analytics_ingestion_conflicts_total');
    const [event = usageEvent()] = events(orgId, 1);
    await store([event]);
    expect(await conflicts()).toBe(0);
    await store([event, { ...event, costEstimateCents: '99' }]);
    expect(await counters()).toEqual([1, 2, 0]);
    expect(await conflicts()).toBe(1);
    await database.query('update analytics.stream_offsets set retired = true');
    expect(await conflicts()).toBe(1);
  });
});

describe('freshness', () => {
  const lags = async () => {
    const samples = await scrape();
    return {
      orgs: byLabel(samples, 'analytics_freshness_lag_seconds', 'org_id'),
      max: samples.get('analytics_freshness_lag_seconds_max') ?? Number.NaN,
    };
  };
  const [idle, busy] = [randomUUID(), randomUUID()];

  test('an org that sends nothing is not stale while the stream is read', async () => {
    await store([usageEvent({ orgId: idle, occurredAtMs: Date.now() - 20 * dayMs })]);
    await store(events(busy, 1));
    await foldAll(database);
    await probe();
    const { orgs, max } = await lags();
    expect([...orgs.keys()]).toEqual([busy, idle]);
    for (const seconds of [...orgs.values(), max]) expect(seconds).toBeLessThan(30);
  });

  test('when nothing is probed any more, every org lags', async () => {
    await store([...events(idle, 1), ...events(busy, 1)]);
    await foldAll(database);
    await database.query(
      `update analytics.stream_offsets set complete_through = clock_timestamp() - interval '700 s'`,
    );
    const { orgs, max } = await lags();
    expect(orgs.size).toBe(2);
    for (const seconds of [...orgs.values(), max]) {
      expect(seconds).toBeGreaterThan(699);
      expect(seconds).toBeLessThan(730);
    }
  });

  test('an org whose events wait to be folded lags since they were stored, and no other', async () => {
    await store(events(idle, 1));
    await foldAll(database);
    await store([
      ...events(busy, 1),
      usageEvent({ orgId: busy, occurredAtMs: Date.now() - dayMs }),
    ]);
    await database.query(
      `update analytics.ingestion_batches set committed_at = committed_at - interval '1000 s'
       where folded_at is null`,
    );
    await store(events(busy, 1));
    await probe();
    const { orgs, max } = await lags();
    expect(orgs.get(busy)).toBeGreaterThan(999);
    expect(orgs.get(idle)).toBeLessThan(30);
    expect(max).toBe(orgs.get(busy));
    await foldAll(database);
    expect((await lags()).max).toBeLessThan(30);
  });

  test('a stream that was never complete lags since it is known', async () => {
    await database.query(
      `insert into analytics.stream_offsets (stream, head_offset, committed_offset, created_at)
       values ('never-probed', 1000, 5, clock_timestamp() - interval '10 minutes')`,
    );
    const samples = await scrape();
    for (const name of [
      'analytics_ingestion_lag_seconds{stream="never-probed"}',
      'analytics_freshness_lag_seconds_max',
    ]) {
      expect(samples.get(name), name).toBeGreaterThan(599);
      expect(samples.get(name), name).toBeLessThan(630);
    }
    expect(samples.get('analytics_ingestion_lag_messages{stream="never-probed"}')).toBe(995);
  });
});

describe('the last five minutes', () => {
  /** As percentile_disc: the smallest value that reaches its share. */
  const percentile = (values: readonly number[], share: number) =>
    [...values].sort((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? Number.NaN;

  test('error rate and latency of each org are those of a recount, within 2%', async () => {
    const random = new Random(11);
    const orgs = Array.from({ length: 8 }, () => random.uuid());
    const stored: UsageEvent[] = [];
    for (let batch = 0; batch < 6; batch += 1) {
      const some = Array.from({ length: 200 }, () =>
        usageEvent({
          eventId: random.uuid(),
          orgId: random.pick(orgs),
          // Up to twice as far back as the window.
          occurredAtMs: Date.now() - 5_000 - random.below(9 * minuteMs),
          latencyMs: random.below(20_000),
          status: random.pick(['success', 'success', 'success', 'error', 'timeout', 'throttled']),
        }),
      );
      stored.push(...some);
      await store(some);
      if (batch === 3) await foldAll(database);
    }
    // Nothing of these near the window's edge, which moves on while the test runs.
    const nowMs = Date.now();
    const isNear = ({ occurredAtMs }: UsageEvent) =>
      Math.abs(nowMs - occurredAtMs - 5 * minuteMs) < 20_000;
    await database.query('delete from analytics.usage_events where event_id = any($1)', [
      stored.filter(isNear).map(({ eventId }) => eventId),
    ]);
    const recent = stored.filter((one) => !isNear(one) && nowMs - one.occurredAtMs < 5 * minuteMs);
    const samples = await scrape();
    const rates = byLabel(samples, 'analytics_usage_error_rate', 'org_id');
    expect([...rates.keys()].sort()).toEqual([...orgs].sort());
    expect([...byLabel(samples, 'analytics_org_info', 'org_id').keys()]).toEqual(
      expect.arrayContaining(orgs),
    );
    for (const org of orgs) {
      const own = recent.filter((one) => one.orgId === org);
      expect(own.length).toBeGreaterThan(20);
      const errors = own.filter(({ status }) => status !== 'success').length;
      expect(rates.get(org)).toBeCloseTo(errors / own.length, 12);
      for (const quantile of ['0.5', '0.95', '0.99']) {
        const exact = percentile(
          own.map(({ latencyMs }) => latencyMs),
          Number(quantile),
        );
        const found = samples.get(
          `analytics_usage_latency_ms{org_id="${org}",quantile="${quantile}"}`,
        );
        expect(Math.abs((found ?? 0) - exact)).toBeLessThanOrEqual(exact * 0.02);
      }
    }
    expect(samples.get('analytics_usage_error_rate_max')).toBe(Math.max(...rates.values()));
  });

  test('orgs with fewer than 20 events, and events of before, do not count', async () => {
    const [few, old] = [randomUUID(), randomUUID()];
    await store([
      ...events(orgId, 20, { latencyMs: 1_000 }),
      ...events(few, 19, { status: 'error', latencyMs: 60_000 }),
      ...events(old, 50, { status: 'error', occurredAtMs: Date.now() - 6 * minuteMs }),
      ...events(old, 50, { status: 'error', occurredAtMs: Date.now() + 5 * minuteMs }),
    ]);
    const samples = await scrape();
    expect(byLabel(samples, 'analytics_usage_error_rate', 'org_id')).toEqual(new Map([[orgId, 0]]));
    expect(samples.get('analytics_usage_error_rate_max')).toBe(0);
    expect(samples.get('analytics_usage_latency_ms_max{quantile="0.99"}')).toBeLessThan(1_021);
  });

  test('orgs that share a name have their ids behind it', async () => {
    const twins = [randomUUID(), randomUUID()];
    await saveNames(database, {
      orgs: [...twins.map((id) => ({ id, name: 'Initech' })), { id: orgId, name: 'Acme' }],
      models: [],
    });
    await store([...twins, orgId].flatMap((org) => events(org, 20)));
    const samples = await scrape();
    for (const twin of twins) {
      const name = `Initech (${twin})`;
      expect(samples.get(`analytics_org_info{org_id="${twin}",org_name="${name}"}`)).toBe(1);
    }
    expect(samples.get(`analytics_org_info{org_id="${orgId}",org_name="Acme"}`)).toBe(1);
    await database.query('truncate analytics.orgs');
  });

  test('of many orgs the 50 worst are named, each by its own measure', async () => {
    const orgs = Array.from(
      { length: 60 },
      (_, index) => `00000000-0000-4000-8000-0000000001${String(index).padStart(2, '0')}`,
    );
    await store(
      orgs.flatMap((org, index) => [
        ...events(org, 100 - index, { latencyMs: 1_000 + index * 100 }),
        ...events(org, index, { status: 'error', latencyMs: 1_000 + index * 100 }),
      ]),
    );
    const samples = await scrape();
    const worst = orgs.slice(10).sort();
    const rates = byLabel(samples, 'analytics_usage_error_rate', 'org_id');
    expect([...rates.keys()].sort()).toEqual(worst);
    expect(samples.get('analytics_usage_error_rate_max')).toBeCloseTo(0.59, 12);
    const slow = byLabel(samples, 'analytics_usage_latency_ms', 'org_id');
    expect([...slow.keys()].sort()).toEqual(worst);
    await foldAll(database);
    const lags = byLabel(await scrape(), 'analytics_freshness_lag_seconds', 'org_id');
    expect(lags.size).toBe(50);
  });
});

describe('verify', () => {
  test('drift, failed deduplications and the last success are those of the last run', async () => {
    await store(events(orgId, 100, { occurredAtMs: Date.now() - minuteMs }));
    await foldAll(database);
    await probe();
    const good = await runVerify();
    const samples = await scrape();
    expect(good?.run).toMatchObject({ passed: true, syntheticCheck: 'passed' });
    const at = (good?.run.finishedAt.getTime() ?? 0) / 1_000;
    expect(samples.get('analytics_verify_last_success_timestamp_seconds')).toBeCloseTo(at, 2);
    expect(samples.get('analytics_dedupe_failure_ratio')).toBe(0);

    await database.query('update analytics.usage_hourly set success_count = 80 where org_id = $1', [
      orgId,
    ]);
    const bad = await runVerify();
    const after = await scrape();
    expect(after.get('analytics_verify_drift_ratio{grain="hourly"}')).toBeCloseTo(0.2, 12);
    expect(after.get('analytics_verify_drift_ratio{grain="daily"}')).toBe(0);
    expect(after.get('analytics_dedupe_failure_ratio')).toBeCloseTo(
      1 / (bad?.run.buckets ?? 0),
      12,
    );
    expect(after.get('analytics_verify_last_success_timestamp_seconds')).toBeCloseTo(at, 2);
    expect(after.get('analytics_synthetic_check_last_success_timestamp_seconds')).toBeGreaterThan(
      at,
    );
  });
});

describe('a scrape', () => {
  test('opens few of 400 partitions', async () => {
    const days = Array.from({ length: 400 }, (_, index) => Date.now() - index * dayMs);
    await database.transaction({ statementTimeoutMs: 60_000 }, (transaction) =>
      transaction.query(
        `do $$
         declare day date;
         begin
           for day in select generate_series(current_date - 400, current_date - 3, '1 day') loop
             execute format('create table if not exists analytics.usage_events_%s
                             partition of analytics.usage_events for values from (%L) to (%L)',
                            to_char(day, 'YYYYMMDD'), day, day + 1);
           end loop;
         end $$`,
      ),
    );
    storage.forgetDays();
    await storage.ensureDays(days);
    await store(events(orgId, 30));
    await database.query(
      `update analytics.ingestion_batches set committed_at = committed_at - interval '1000 s'`,
    );
    const opened = await database.transaction({ mode: 'snapshot' }, async (snapshot) => {
      const now = new Date();
      expect((await freshnessLags(snapshot, now)).orgs).toHaveLength(1);
      await recentUsage(snapshot, now);
      return snapshot.query<{ name: string }>(
        `select distinct c.relname as name from pg_locks l join pg_class c on c.oid = l.relation
         where l.pid = pg_backend_pid() and c.relkind = 'r' and c.relname like 'usage\\_events\\_%'`,
      );
    });
    expect(opened.length).toBeGreaterThan(0);
    expect(opened.length).toBeLessThanOrEqual(3);
  });

  test('that cannot read raw events in time gives everything else', async () => {
    await store(events(orgId, 30));
    await foldAll(database);
    // A session of its own: transactions of ours may not rest as long as the statement waits.
    const holder = new pg.Client({ connectionString: directDatabaseUrl(server.url) });
    await holder.connect();
    try {
      await holder.query('begin; lock table analytics.usage_events in access exclusive mode');
      const samples = await scrape();
      expect(samples.get('analytics_ingestion_events_total{outcome="stored"}')).toBeGreaterThan(0);
      expect(samples.has('analytics_verify_last_success_timestamp_seconds')).toBe(true);
      expect(samples.has('analytics_usage_error_rate_max')).toBe(false);
    } finally {
      await holder.end();
    }
    expect((await scrape()).has('analytics_usage_error_rate_max')).toBe(true);
  });
});

describe('with METRICS_TOKEN', () => {
  const token = 'a-token-of-prometheus';
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ stream: false, environment: { METRICS_TOKEN: token } });
  });
  afterAll(async () => {
    await system?.close();
  });

  const ask = async (headers: Record<string, string>) => {
    const response = await system.app.request('/metrics', { headers });
    return { status: response.status, text: await response.text() };
  };

  test('who brings it is told what is kept in tables, by org', async () => {
    const { status, text } = await ask({ Authorization: `Bearer ${token}` });
    expect(status).toBe(200);
    expect(text).toMatch(/^analytics_ingestion_events_total/m);
    expect(text).toMatch(/^process_cpu_seconds_total/m);
  });

  test('who brings none is told of requests and of the process, and of no org', async () => {
    const { status, text } = await ask({});
    expect(status).toBe(200);
    expect(text).toMatch(/^http_requests_total/m);
    expect(text).not.toMatch(/^analytics_/m);
    expect(text).not.toContain('org_id');
  });

  test.each(['Bearer', `Bearer ${token}x`, `Bearer ${token.slice(1)}`, `Basic ${token}`, token])(
    '%s is refused',
    async (Authorization) => {
      expect(await ask({ Authorization })).toMatchObject({ status: 401 });
    },
  );
});
