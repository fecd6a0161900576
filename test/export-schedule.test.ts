import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type ExportJob, objectKeysOf, readExportJob, toExportJob } from '../shared/exports/job.ts';
import { closedMonths, requestMonthlyExports } from '../shared/exports/monthly.ts';
import { reconcileExports } from '../shared/exports/reconcile.ts';
import { endStaleUploads, expireExports } from '../shared/exports/retention.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { readSettings } from '../shared/platform/env.ts';
import type { ObjectStore } from '../shared/platform/object-store/object-store.ts';
import { openS3Store } from '../shared/platform/object-store/s3-store.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { downloaded, exported } from './support/export-file.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';
import { batchStore } from './support/window-property.ts';

const dayMs = 86_400_000;
const nowMs = Date.now();
const now = new Date(nowMs);
const monthMs = (back: number) => Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back);
const settings = readSettings({});

let system: System;
let database: Database;
let objects: ObjectStore;
let store: (events: readonly UsageEvent[]) => Promise<void>;

beforeAll(async () => {
  system = await startSystem({ stream: false });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
  objects = openS3Store(system.settings);
  store = batchStore(database);
});
afterAll(async () => {
  objects.close();
  await database.close();
  await system.close();
});
beforeEach(async () => {
  await database.query(
    `truncate analytics.usage_events, analytics.ingestion_batches, analytics.stream_offsets,
              analytics.usage_hourly, analytics.usage_daily, analytics.export_jobs`,
  );
});

async function storeFolded(events: readonly UsageEvent[]): Promise<void> {
  await store(events);
  await foldAll(database);
}

async function completeThrough(ms: number): Promise<void> {
  await database.query('update analytics.stream_offsets set complete_through = $1', [new Date(ms)]);
}

async function jobsOf(orgId: string): Promise<ExportJob[]> {
  const rows = await database.query(
    'select * from analytics.export_jobs where org_id = $1 order by range_start, revision',
    [orgId],
  );
  return rows.map(toExportJob);
}

describe('monthly exports', () => {
  const request = () => requestMonthlyExports(database, settings, nowMs);
  /** Two months ago: closed on every day of a month. */
  const month = { startMs: monthMs(2), endMs: monthMs(1) };
  const inMonth = (fields: Partial<UsageEvent> = {}) =>
    usageEvent({ occurredAtMs: month.startMs + 5 * dayMs, ...fields });

  test('are made once for each org of a closed month, under the month’s name', async () => {
    const orgs = [randomUUID(), randomUUID()];
    await storeFolded(orgs.flatMap((orgId) => [inMonth({ orgId }), inMonth({ orgId })]));
    await completeThrough(nowMs);
    expect(await request()).toBe(2);
    expect(await request()).toBe(0);
    expect(await system.exports.drain()).toEqual({ succeeded: 2, retrying: 0, failed: 0 });
    for (const orgId of orgs) {
      const [job, ...others] = await jobsOf(orgId);
      expect(others).toEqual([]);
      const name = new Date(month.startMs).toISOString().slice(0, 7).replace('-', '');
      expect(job).toMatchObject({
        format: 'csv',
        timezone: 'UTC',
        range: month,
        initiatedBy: 'schedule',
        objectKey: `analytics/exports/${orgId}/${name}.csv`,
      });
      const { rows } = await downloaded(system, job as ExportJob);
      expect(rows.map((row) => row.invocations)).toEqual(['2']);
    }
  });

  test('wait until all that was received by the month’s end is stored', async () => {
    await storeFolded([inMonth()]);
    expect(await request()).toBe(0);
    await completeThrough(month.endMs - 1);
    expect(await request()).toBe(0);
    await completeThrough(month.endMs);
    expect(await request()).toBe(1);
  });

  test('are restated under a new name when late events changed the month', async () => {
    const orgId = randomUUID();
    await storeFolded([inMonth({ orgId })]);
    await completeThrough(nowMs);
    await request();
    await system.exports.drain();
    await storeFolded([inMonth({ orgId })]);
    // Not again within a day: late events trickle in.
    expect(await request()).toBe(0);
    await database.query(
      `update analytics.export_jobs set completed_at = completed_at - interval '25 hours'`,
    );
    expect(await request()).toBe(1);
    await system.exports.drain();
    const [first, second] = await jobsOf(orgId);
    expect(second?.objectKey).toBe(first?.objectKey?.replace('.csv', '.r2.csv'));
    expect((await downloaded(system, first as ExportJob)).rows[0]?.invocations).toBe('1');
    expect((await downloaded(system, second as ExportJob)).rows[0]?.invocations).toBe('2');
    await database.query(
      `update analytics.export_jobs set completed_at = completed_at - interval '25 hours'`,
    );
    expect(await request()).toBe(0);
  });

  test('that failed for good are tried anew the next day', async () => {
    await storeFolded([inMonth()]);
    await completeThrough(nowMs);
    await request();
    const fail = (hours: number) =>
      database.query(
        `update analytics.export_jobs set status = 'failed', attempts = 5, error = 'x',
           completed_at = clock_timestamp() - make_interval(hours => $1)`,
        [hours],
      );
    await fail(23);
    await request();
    expect(await system.exports.drain()).toMatchObject({ succeeded: 0 });
    await fail(25);
    await request();
    expect(await system.exports.drain()).toMatchObject({ succeeded: 1 });
  });

  test('are of months past their 48 hours, within what is kept', () => {
    const starts = (time: string, more = {}) =>
      closedMonths(Date.parse(time), { ...settings, ...more }).map(({ start }) =>
        start.toISOString().slice(0, 7),
      );
    expect(starts('2026-11-02T23:59:59Z')).toEqual(['2026-09', '2026-08']);
    expect(starts('2026-11-03T00:00:00Z')).toEqual(['2026-10', '2026-09', '2026-08']);
    expect(starts('2026-01-03T00:00:00Z', { EXPORT_RETENTION_DAYS: 3 })).toEqual(['2025-12']);
    expect(starts('2026-01-05T00:00:00Z', { EXPORT_RETENTION_DAYS: 3 })).toEqual([]);
    // A month whose rollups are partly gone would read as changed.
    expect(starts('2026-01-03T00:00:00Z', { ROLLUP_RETENTION_DAYS: 33 })).toEqual(['2025-12']);
    expect(starts('2026-01-03T00:00:01Z', { ROLLUP_RETENTION_DAYS: 33 })).toEqual([]);
  });
});

const everything = (orgId: string, more = {}) => ({
  orgId,
  format: 'csv' as const,
  granularity: 'day' as const,
  timezone: 'UTC',
  models: null,
  range: { startMs: nowMs - 10 * dayMs, endMs: nowMs },
  ...more,
});

describe('expiry', () => {
  /** Not as the job reads: past its time it reads as expired, whether or not its file is gone. */
  const storedStatus = async ({ jobId }: ExportJob) => {
    const [row] = await database.query<{ status: string }>(
      'select status from analytics.export_jobs where job_id = $1',
      [jobId],
    );
    return row?.status;
  };

  test('removes file and manifest, then says so', async () => {
    const orgId = randomUUID();
    await store([usageEvent({ orgId })]);
    const { job } = await exported(system, database, everything(orgId));
    expect(job.expiresAt?.getTime()).toBeCloseTo(nowMs + 90 * dayMs, -6);
    const keys = objectKeysOf(job);
    expect(await expireExports(database, objects)).toBe(0);
    expect(await objects.head(keys.file)).not.toBeNull();
    await database.query(
      `update analytics.export_jobs set expires_at = clock_timestamp() - interval '1 s'`,
    );
    expect(await expireExports(database, objects)).toBe(1);
    expect(await objects.head(keys.file)).toBeNull();
    expect(await objects.head(keys.manifest)).toBeNull();
    expect((await readExportJob(database, orgId, job.jobId))?.status).toBe('expired');
    const path = `/analytics/v1/orgs/${orgId}/exports/${job.jobId}/download`;
    expect((await system.app.request(path, { headers: adminHeaders })).status).toBe(410);
    expect(await expireExports(database, objects)).toBe(0);
  });

  test('leaves the job as it is while the store cannot remove its file', async () => {
    const { job } = await exported(system, database, everything(randomUUID()));
    await database.query(
      `update analytics.export_jobs set expires_at = clock_timestamp() - interval '1 s'`,
    );
    const away = openS3Store({ ...system.settings, S3_ENDPOINT: 'http://127.0.0.1:9' });
    await expect(expireExports(database, away)).rejects.toThrow('S3_ENDPOINT');
    expect(await storedStatus(job)).toBe('succeeded');
    away.close();
  });

  test('comes once an hour with the sweep, whatever the store does', async () => {
    const orgId = randomUUID();
    await database.query(`delete from analytics.job_runs`);
    const { job } = await exported(system, database, everything(orgId));
    await system.exports.sweep();
    await database.query(
      `update analytics.export_jobs set expires_at = clock_timestamp() - interval '1 s'`,
    );
    await system.exports.sweep();
    expect(await storedStatus(job)).toBe('succeeded');
    await database.query(
      `update analytics.job_runs set last_success_at = last_success_at - interval '61 minutes'`,
    );
    await system.exports.sweep();
    expect(await storedStatus(job)).toBe('expired');
  });

  test('uploads that are under way are left alone', async () => {
    expect(await endStaleUploads(objects, nowMs)).toBe(0);
  });
});

describe('reconciliation', () => {
  const check = () => reconcileExports(database, 30, 400);
  const closed = { range: { startMs: nowMs - 10 * dayMs, endMs: nowMs - 3_600_000 } };
  const early = (orgId: string) => usageEvent({ orgId, occurredAtMs: nowMs - 2 * dayMs });

  test('exports tie to the last decimal, in every format, before and after folding', async () => {
    const orgId = randomUUID();
    await store([early(orgId), early(orgId)]);
    for (const format of ['csv', 'events', 'focus'] as const) {
      await exported(system, database, everything(orgId, { format }));
    }
    expect(await check()).toEqual({ checked: 3, differences: [] });
    await foldAll(database);
    expect(await check()).toEqual({ checked: 3, differences: [] });
  });

  test('a late event is a restatement: which export, and by how much', async () => {
    const orgId = randomUUID();
    await storeFolded([early(orgId)]);
    await completeThrough(nowMs);
    const { job } = await exported(system, database, everything(orgId, closed));
    await store([early(orgId)]);
    const { differences } = await check();
    expect(differences).toMatchObject([
      {
        kind: 'restated',
        job: { jobId: job.jobId },
        exported: { costEstimateCents: '0.1234' },
        now: { costEstimateCents: '0.2468' },
        change: { invocations: 1, costEstimateCents: '0.1234' },
      },
    ]);
  });

  test('a window that was still open is nobody’s fault', async () => {
    const orgId = randomUUID();
    await storeFolded([early(orgId)]);
    const { job } = await exported(system, database, everything(orgId));
    expect(job.completeThrough).toBeNull();
    await store([early(orgId)]);
    expect((await check()).differences.map(({ kind }) => kind)).toEqual(['open']);
  });

  test('rollups that lost an event, or gained what none brought, are wrong', async () => {
    for (const change of ['success_count - 1', 'success_count + 1']) {
      const orgId = randomUUID();
      await database.query('truncate analytics.export_jobs');
      await storeFolded([early(orgId), early(orgId)]);
      await completeThrough(nowMs);
      await exported(system, database, everything(orgId, closed));
      await database.query(
        `update analytics.usage_daily set success_count = ${change} where org_id = $1`,
        [orgId],
      );
      expect((await check()).differences.map(({ kind }) => kind)).toEqual(['wrong']);
    }
  });
});
