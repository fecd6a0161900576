import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { verify } from '../functions/verify/verify.ts';
import {
  syntheticCheck,
  syntheticEvents,
  syntheticFailures,
  syntheticOrgId,
} from '../shared/data-quality/synthetic.ts';
import type { EventSink } from '../shared/events/event-sink.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { ServiceError } from '../shared/platform/errors.ts';
import { hourMs } from '../shared/queries/time-window.ts';
import { jsonPost } from './support/event-json.ts';
import { startLocked } from './support/held-lock.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

const path = '/internal/verify';
const verifyLock = 7_102_004_003;
const runForm = z.object({
  runId: z.string(),
  trigger: z.string(),
  passed: z.boolean(),
  failures: z.array(z.string()),
  syntheticCheck: z.string(),
});

let system: System;
let database: Database;
const lines: string[] = [];

beforeAll(async () => {
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  system = await startSystem({ stream: false, logger });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '' });
  await system.sink.accept(Array.from({ length: 20 }, () => usageEvent()));
  await system.refresh();
});
afterAll(async () => {
  await database?.close();
  await system?.close();
});
beforeEach(async () => {
  await database.query('delete from analytics.data_quality_runs');
  lines.length = 0;
});

const ping = (data: unknown = { job: 'verify' }) =>
  jsonPost(
    {
      specversion: '1.0',
      id: randomUUID(),
      source: '/apis/v1/namespaces/analytics/pingsources/verify',
      type: 'dev.knative.sources.ping',
      datacontenttype: 'application/json',
      data,
    },
    {},
    'application/cloudevents+json',
  );

async function send(init = ping()): Promise<{ status: number; body: unknown }> {
  const response = await system.app.request(path, init);
  return { status: response.status, body: await response.json() };
}

const runs = () =>
  database.query<{ run_id: string; trigger: string; passed: boolean; failures: string[] }>(
    'select run_id, trigger, passed, failures from analytics.data_quality_runs order by started_at',
  );

describe('the function', () => {
  test('takes the schedule’s event, and answers and writes down what it found', async () => {
    const { status, body } = await send();
    expect(status).toBe(200);
    const run = runForm.parse(body);
    expect(run).toMatchObject({ trigger: 'schedule', passed: true, failures: [] });
    expect(await runs()).toEqual([
      { run_id: run.runId, trigger: 'schedule', passed: true, failures: [] },
    ]);
    const [row] = await database.query(
      `select buckets > 0 as compared, drifted_buckets, drift_ratio_hourly, drift_ratio_daily,
              events_24h > 0 as counted, doubled_event_ids, dedupe_failure_ratio, conflicts_24h,
              freshness_lag_seconds < 60 as fresh, offset_gaps, missing_partitions,
              exports_checked, synthetic_check, finished_at >= started_at as ended,
              window_end - window_start = interval '2 days' as two_days,
              details ->> 'drifts' as drifts
       from analytics.data_quality_runs`,
    );
    expect(row).toEqual({
      compared: true,
      drifted_buckets: 0,
      drift_ratio_hourly: 0,
      drift_ratio_daily: 0,
      counted: true,
      doubled_event_ids: 0,
      dedupe_failure_ratio: 0,
      conflicts_24h: 0,
      fresh: true,
      offset_gaps: 0,
      missing_partitions: [],
      exports_checked: 0,
      synthetic_check: 'passed',
      ended: true,
      two_days: true,
      drifts: '[]',
    });
    expect(lines.find((line) => line.includes('"msg":"verified"'))).toContain('"passed":true');
  });

  test('a failed verification is a result, logged as an error, and not a 500', async () => {
    const { orgId } = usageEvent();
    const change = (by: number) =>
      database.query(
        'update analytics.usage_daily set success_count = success_count + $1 where org_id = $2',
        [by, orgId],
      );
    await change(5);
    const { status, body } = await send();
    expect(status).toBe(200);
    const { passed, failures } = runForm.parse(body);
    expect(passed).toBe(false);
    expect(failures).toEqual([
      expect.stringMatching(`of org ${orgId} has success_count 25 where raw events have 20$`),
    ]);
    expect(await runs()).toMatchObject([{ passed: false, failures }]);
    const line = lines.find((one) => one.includes('verify failed'));
    expect(line).toContain('"level":50');
    expect(line).toContain(orgId);
    await change(-5);
    expect(runForm.parse((await send()).body).passed).toBe(true);
  });

  test.each<[string, unknown, string]>([
    ['another job', { job: 'refresh' }, 'data.job'],
    ['no job', {}, 'data.job'],
  ])('%s is a 400, which is not sent again', async (_, data, at) => {
    const { status, body } = await send(ping(data));
    expect(status).toBe(400);
    expect(body).toMatchObject({ errors: [{ path: at }] });
    expect(await runs()).toEqual([]);
  });

  test('from another machine there is nothing here', async () => {
    const response = await system.app.request(path, ping(), {
      incoming: { socket: { remoteAddress: '10.1.2.3' } },
    });
    expect(response.status).toBe(404);
  });

  test('a second run beside one under way does nothing, and says so', async () => {
    const other = await startLocked(system.environment.DATABASE_URL ?? '', verifyLock);
    try {
      const { status, body } = await send();
      expect(status).toBe(200);
      expect(body).toEqual({ passed: null, reason: 'another run is under way' });
      expect(await system.verify()).toBeNull();
      expect(await runs()).toEqual([]);
    } finally {
      await other.release();
    }
    expect(runForm.parse((await send()).body).passed).toBe(true);
  });

  test('of many at once, those that run do so one after another', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => system.verify()));
    const ran = answers.filter((answer) => answer !== null);
    expect(ran.length).toBeGreaterThan(0);
    const spans = await database.query<{ overlaps: boolean }>(
      `select started_at < lag(finished_at) over (order by started_at) as overlaps
       from analytics.data_quality_runs`,
    );
    expect(spans).toHaveLength(ran.length);
    expect(spans.filter(({ overlaps }) => overlaps)).toEqual([]);
  });

  test('runs of more than 90 days ago are removed', async () => {
    const ages = () =>
      database.query(
        `select extract(day from clock_timestamp() - started_at)::int as days
         from analytics.data_quality_runs order by 1`,
      );
    for (const days of [89, 91]) {
      await send();
      await database.query(
        `update analytics.data_quality_runs
         set started_at = started_at - make_interval(days => $1)
         where started_at > clock_timestamp() - interval '1 day'`,
        [days],
      );
    }
    expect(await ages()).toEqual([{ days: 89 }, { days: 91 }]);
    await send();
    expect(await ages()).toEqual([{ days: 0 }, { days: 89 }]);
  });
});

describe('the synthetic check', () => {
  const hour = () => Math.floor(Date.now() / hourMs) * hourMs;
  const orgs = async () =>
    database.query('select count(distinct org_id)::int as orgs from analytics.usage_events');
  const stored = async () =>
    database.query(
      `select count(*)::int as events, sum(cost_estimate_cents)::text as cost
       from analytics.usage_events where org_id = $1`,
      [syntheticOrgId],
    );
  /** A sink that takes everything and stores nothing, as with a consumer that does not run. */
  const deaf: EventSink = { accept: async () => [], check: async () => {} };

  beforeEach(async () => {
    // A check that begins in one hour and ends in the next would compare the two.
    const isEnding = () => Date.now() > hour() + hourMs - 10_000;
    await until('the hour is young enough', async () => !isEnding());
  });
  afterEach(async () => {
    await database.query('delete from analytics.usage_events where org_id = $1', [syntheticOrgId]);
    for (const table of ['usage_hourly', 'usage_daily', 'error_hourly', 'error_daily']) {
      await database.query(`delete from analytics.${table} where org_id = $1`, [syntheticOrgId]);
    }
  });

  test('is the same events each time in the hour, and others the next', () => {
    expect(syntheticEvents(hour())).toEqual(syntheticEvents(hour()));
    const ids = [hour(), hour() + hourMs].flatMap((start) =>
      syntheticEvents(start).map(({ eventId }) => eventId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('sends known events once an hour, which change no other org and no sum of money', async () => {
    const before = await orgs();
    const first = await syntheticCheck(database, system.sink, Date.now());
    expect(first).toMatchObject({ status: 'passed', found: first.expected });
    expect(first.expected).toEqual({
      invocations: 4,
      errors: 2,
      inputTokens: '1020',
      outputTokens: '106',
      costEstimateCents: '0',
    });
    await system.refresh();
    for (let again = 0; again < 3; again += 1) {
      expect((await syntheticCheck(database, system.sink, Date.now())).status).toBe('passed');
    }
    await system.sink.accept(syntheticEvents(hour()));
    expect(await stored()).toEqual([{ events: 4, cost: '0.0000' }]);
    expect(await orgs()).toEqual(
      (before as { orgs: number }[]).map((row) => ({ orgs: Math.max(row.orgs, 2) })),
    );
    const names = await database.query('select name from analytics.orgs where org_id = $1', [
      syntheticOrgId,
    ]);
    expect(names).toEqual([{ name: 'Synthetic check' }]);
  });

  test('fails at once where the answer is another, and tells both', async () => {
    await syntheticCheck(database, system.sink, Date.now());
    await system.sink.accept([
      usageEvent({ orgId: syntheticOrgId, occurredAtMs: hour(), inputTokens: 7, outputTokens: 8 }),
    ]);
    const report = await verify({
      database,
      sink: system.sink,
      brokers: null,
      settings: system.settings,
      logger: pino({ level: 'silent' }),
    });
    expect(report?.run).toMatchObject({ passed: false, syntheticCheck: 'failed' });
    expect(report?.run.failures).toEqual([
      `synthetic check of ${new Date(hour()).toISOString()}: the usage query gives 5 invocations, ` +
        '2 errors, 1027 and 114 tokens where 4 invocations, 2 errors, 1020 and 106 tokens were sent',
    ]);
  });

  test.each([
    'error_count = error_count - 1, success_count = success_count + 1',
    'input_tokens = input_tokens + 1',
    'output_tokens = output_tokens - 1',
    'cost_estimate_cents = 0.0001',
    'success_count = success_count + 1',
  ])('fails where only one measure is off: %s', async (change) => {
    await syntheticCheck(database, system.sink, Date.now());
    await system.refresh();
    await database.query(`update analytics.usage_hourly set ${change} where org_id = $1`, [
      syntheticOrgId,
    ]);
    expect((await syntheticCheck(database, system.sink, Date.now())).status).toBe('failed');
  });

  test('waits for events that do not come, and fails when the next run still sees none', async () => {
    // Of the hour before, so that five minutes ago are within what it looks back on.
    const check = () => syntheticCheck(database, deaf, hour() - 1, 300);
    expect(await check()).toMatchObject({ status: 'waiting', found: { invocations: 0 } });
    await send();
    const earlier = (seconds: number) =>
      database.query(
        `update analytics.data_quality_runs
         set synthetic_check = 'waiting',
             started_at = clock_timestamp() - make_interval(secs => $1)`,
        [seconds],
      );
    await earlier(180);
    expect((await check()).status).toBe('waiting');
    await earlier(300);
    const failed = await check();
    expect(failed.status).toBe('failed');
    expect(syntheticFailures(failed)).toEqual([expect.stringContaining('gives 0 invocations')]);
  });

  test('a sink that is away is waited for as well', async () => {
    const away: EventSink = {
      ...deaf,
      accept: () => Promise.reject(new ServiceError('unavailable', 'RabbitMQ is not available')),
    };
    expect((await syntheticCheck(database, away, Date.now(), 300)).status).toBe('waiting');
  });

  test('is left out where verify cannot send', async () => {
    expect(await syntheticCheck(database, null, Date.now())).toMatchObject({ status: 'off' });
    expect(await stored()).toEqual([{ events: 0, cost: null }]);
  });
});

test('over the stream the known events come through the consumer', async () => {
  const streaming = await startSystem();
  try {
    await streaming.refresh();
    const status = await until('the synthetic check passes', async () => {
      const report = await streaming.verify();
      return report?.run.syntheticCheck === 'waiting' ? null : report?.run.syntheticCheck;
    });
    expect(status).toBe('passed');
  } finally {
    await streaming.close();
  }
});
