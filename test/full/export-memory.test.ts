import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { type ExportBench, rangeFrom, startExportBench } from '../support/export-bench.ts';
import { buildExportChildren, type ExportChildren } from '../support/export-child.ts';
import { until } from '../support/until.ts';

const mebibyte = 1_048_576;
const rowsTotal = 2_000_000;
const growthMax = 200 * mebibyte;
const days = 400;
const models = 40;
const dayMs = 86_400_000;
const startMs = Math.floor(Date.now() / dayMs - days) * dayMs;
const orgId = randomUUID();

let bench: ExportBench;
let children: ExportChildren;

beforeAll(async () => {
  const kept = { RAW_RETENTION_DAYS: '500', ROLLUP_RETENTION_DAYS: '500' };
  [bench, children] = await Promise.all([startExportBench(kept), buildExportChildren()]);
  const database = openDatabase({
    url: bench.system.environment.DATABASE_URL ?? '',
    patienceMs: 5_000,
    statementTimeoutMs: 300_000,
  });
  // Each hour and model has five clients, some of them a sixth; a dozen bins of latency each.
  const hours = days * 24;
  await database.query(
    `insert into analytics.usage_hourly
     select $1, $2::timestamptz + number % $3 * interval '1 hour',
            lpad((number / $3 % $4)::text, 32, '0')::uuid, 'client-' || number / ($3 * $4),
            1000 + number % 1000, number % 7, 0, 1, 1000000 + number, 2000000 + number,
            (number % 100000) / 16.0,
            (select array_agg((1 + number % 90) * 512 + bin order by bin)
             from generate_series(100, 155, 5) bin)
     from generate_series(0::bigint, $5) number`,
    [orgId, new Date(startMs), hours, models, rowsTotal - 1],
  );
  await database.query('analyze analytics.usage_hourly');
  await database.close();
});
afterAll(async () => {
  await children.close();
  await bench.close();
});

/** Of VmRSS, what is held now, or VmHWM, the most since it was last reset. */
async function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, kibibytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  return Number(kibibytes) * 1_024;
}

test.skipIf(process.platform !== 'linux')(
  'an export of two million rows takes less than 200 MiB of memory',
  async () => {
    const child = children.spawn(bench.system.environment);
    child.work();
    await until('the worker waits for jobs', async () => {
      const sessions = await bench.database.query(
        `select from pg_stat_activity
         where datname = current_database() and application_name = 'export-worker'`,
      );
      return sessions.length > 0;
    });
    const idle = await memoryOf(child.pid, 'VmRSS');
    await writeFile(`/proc/${child.pid}/clear_refs`, '5');

    const startedMs = performance.now();
    const timeRange = rangeFrom(startMs, days);
    const jobId = await bench.order(orgId, { timeRange, granularity: 'hourly', format: 'csv' });
    await child.reached((step) => step === 'done');
    const seconds = (performance.now() - startedMs) / 1_000;
    const peak = await memoryOf(child.pid, 'VmHWM');

    const job = await bench.expectTrue(jobId);
    expect(job).toMatchObject({ status: 'succeeded', attempts: 1, rowCount: rowsTotal });
    const inMiB = (bytes: number) => Math.round(bytes / mebibyte);
    console.log(
      `${rowsTotal} rows, ${inMiB(job.bytes ?? 0)} MiB in ${seconds.toFixed(1)} s: ` +
        `${inMiB(idle)} MiB idle, ${inMiB(peak)} MiB at most`,
    );
    expect(peak - idle).toBeLessThan(growthMax);
  },
);
