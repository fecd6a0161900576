import { expect } from 'vitest';
import * as z from 'zod';
import { openWorkerDatabase } from '../../functions/export-worker/database.ts';
import { createExportWorker, type ExportWorker } from '../../functions/export-worker/worker.ts';
import { eventStorage } from '../../shared/events/event-storage.ts';
import { type ExportJob, objectKeysOf, toExportJob } from '../../shared/exports/job.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { readSettings } from '../../shared/platform/env.ts';
import type { ObjectStore } from '../../shared/platform/object-store/object-store.ts';
import { openS3Store } from '../../shared/platform/object-store/s3-store.ts';
import { createLogger } from '../../shared/platform/telemetry/telemetry.ts';
import { createExportBucket, type Digest, digestOf, type ExportBucket } from './export-bucket.ts';
import { adminHeaders, type System, startSystem } from './system.ts';

export interface WorkerOptions {
  /** Settings that differ from the system's. */
  settings?: Record<string, string>;
  leaseMs?: number;
  store?: (store: ObjectStore) => ObjectStore;
  database?: (database: Database) => Database;
}

export interface Downloaded extends Digest {
  status: number;
  /** Why there is no file. */
  detail: string;
}

/** The service with a bucket of its own, two orgs with events, and workers as a test wants them. */
/** With what the worker alone reads and writes. */
type BenchJob = ExportJob & {
  leaseOwner: string | null;
  leaseLeftMs: number;
  reason: string | null;
};

export interface ExportBench {
  system: System;
  bucket: ExportBucket;
  database: Database;
  /** Has 20 events: its export is a single PutObject. */
  smallOrg: string;
  /** Has 20,000 long ones: its export is 20 MB, so a multipart upload of three parts. */
  largeOrg: string;
  insertEvents(orgId: string, fromNumber: number, throughNumber: number): Promise<void>;
  /** Asks the API for an export: of the raw events of an org, unless told otherwise. */
  order(orgId: string, request?: object): Promise<string>;
  job(jobId: string): Promise<BenchJob>;
  /** A job's waiting or lease is over. */
  makeDue(jobId: string): Promise<void>;
  /** A worker like the function's; stopped by `reset`. */
  worker(options?: WorkerOptions): ExportWorker;
  failures(): Promise<number>;
  /**
   * Whatever happened, this holds of a job: it gives a file when it has succeeded, whose bytes are
   * those of its checksum, and none otherwise.
   */
  expectTrue(jobId: string): Promise<BenchJob>;
  download(jobId: string): Promise<Downloaded>;
  /** No jobs, no failures, no files: for the next test. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export const largeOrgEvents = 20_000;
const dayMs = 86_400_000;
const startMs = Math.floor(Date.now() / dayMs - 1) * dayMs;
const problem = z.object({ detail: z.string() });
const orgOfJob = z.object({ jobId: z.string() });

export async function startExportBench(
  environment: Record<string, string> = {},
): Promise<ExportBench> {
  const bucket = await createExportBucket();
  const system = await startSystem({
    stream: false,
    environment: { S3_BUCKET: bucket.name, ...environment },
  });
  const url = system.environment.DATABASE_URL ?? '';
  const database = openDatabase({ url, patienceMs: 5_000 });
  const [smallOrg, largeOrg] = [1, 2].map((n) => `00000000-0000-4000-8000-00000000000${n}`) as [
    string,
    string,
  ];
  let stops: (() => Promise<void>)[] = [];

  const bench: ExportBench = {
    system,
    bucket,
    database,
    smallOrg,
    largeOrg,

    insertEvents: async (orgId, fromNumber, throughNumber) => {
      // A long client id makes a large file of few rows, which are quick to insert.
      await database.query(
        `insert into analytics.usage_events
         select $1, $2::timestamptz + number * interval '1 ms', lpad(to_hex(number), 32, '0')::uuid,
                '00000000-0000-4000-8000-0000000000a1', null, rpad('client-', 850, 'x'), 120,
                'success', null, 10, 20, 0.1234, null, null, null, 1
         from generate_series($3::int, $4) number`,
        [orgId, new Date(startMs), fromNumber, throughNumber],
      );
    },

    order: async (orgId, request = { timeRange: rangeFrom(startMs, 1), format: 'events' }) => {
      const response = await system.app.request(`/analytics/v1/orgs/${orgId}/exports`, {
        method: 'POST',
        headers: { ...adminHeaders, 'Content-Type': 'application/json' },
        body: JSON.stringify(request),
      });
      expect(response.status).toBe(202);
      return orgOfJob.parse(await response.json()).jobId;
    },

    job: async (jobId) => {
      const [row] = await database.query<{
        lease_owner: string | null;
        left: number | null;
        error_reason: string | null;
      }>(
        `select *, extract(epoch from lease_expires_at - clock_timestamp())::float8 * 1000 as left
         from analytics.export_jobs where job_id = $1`,
        [jobId],
      );
      if (row === undefined) throw new Error(`there is no job ${jobId}`);
      return {
        ...toExportJob(row),
        leaseOwner: row.lease_owner,
        leaseLeftMs: row.left ?? 0,
        reason: row.error_reason,
      };
    },

    makeDue: async (jobId) => {
      await database.query(
        `update analytics.export_jobs
         set next_attempt_at = clock_timestamp(),
             lease_expires_at = case when status = 'running' then clock_timestamp() end
         where job_id = $1`,
        [jobId],
      );
    },

    worker: ({ settings: changes = {}, leaseMs, store: wrap, database: wrapDatabase } = {}) => {
      // One at a time unless asked for: which of two gets a job would be left to chance.
      const one = { EXPORT_WORKER_CONCURRENCY: '1' };
      const settings = readSettings({ ...system.environment, ...one, ...changes });
      const opened = openWorkerDatabase(settings.DATABASE_URL ?? '', settings);
      const store = openS3Store(settings);
      const worker = createExportWorker({
        database: wrapDatabase?.(opened) ?? opened,
        store: wrap?.(store) ?? store,
        settings,
        logger: createLogger(settings, 'test-worker'),
        ...(leaseMs === undefined ? {} : { leaseMs }),
      });
      stops.push(async () => {
        await worker.stop();
        store.close();
        await opened.close();
      });
      return worker;
    },

    failures: async () => {
      const [row] = await database.query<{ value: number }>(
        `select value from analytics.counters where name = 'export_failures'`,
      );
      return row?.value ?? 0;
    },

    expectTrue: async (jobId) => {
      const job = await bench.job(jobId);
      const { status, sha256, bytes } = await bench.download(jobId);
      if (job.status !== 'succeeded') {
        expect(status).toBe(404);
        return job;
      }
      const { checksum } = job;
      expect({ status, sha256, bytes }).toEqual({
        status: 302,
        sha256: checksum,
        bytes: job.bytes,
      });
      expect(JSON.parse(await bucket.text(objectKeysOf(job).manifest))).toMatchObject({
        jobId,
        rowCount: job.rowCount,
        checksum: { value: checksum },
      });
      return job;
    },

    download: async (jobId) => {
      const { orgId } = await bench.job(jobId);
      const path = `/analytics/v1/orgs/${orgId}/exports/${jobId}/download`;
      const response = await system.app.request(path, { headers: adminHeaders });
      const { status } = response;
      if (status !== 302) {
        const { detail } = problem.parse(await response.json());
        return { status, detail, sha256: '', bytes: 0 };
      }
      const file = await fetch(response.headers.get('Location') ?? '');
      expect(file.status).toBe(200);
      return { status, detail: '', ...(await digestOf(file.body ?? new ReadableStream())) };
    },

    reset: async () => {
      for (const stop of stops.reverse()) await stop();
      stops = [];
      await database.query('delete from analytics.export_jobs');
      await database.query('delete from analytics.counters');
      await bucket.empty();
    },

    close: async () => {
      await bench.reset();
      await database.close();
      await system.close();
      await bucket.remove();
    },
  };

  await eventStorage(database).ensureDays([startMs]);
  await bench.insertEvents(smallOrg, 1, 20);
  await bench.insertEvents(largeOrg, 1, largeOrgEvents);
  return bench;
}

/** A time range as requests name it. */
export function rangeFrom(startMs: number, days: number): { start: string; end: string } {
  return {
    start: new Date(startMs).toISOString(),
    end: new Date(startMs + days * dayMs).toISOString(),
  };
}
