import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ExportWorker, WorkReport } from '../functions/export-worker/worker.ts';
import { objectKeysOf } from '../shared/exports/job.ts';
import {
  attemptsMax,
  backoffMs,
  type ClaimedJob,
  claimExportJob,
  completeExportJob,
  failExportAttempt,
  JobLostError,
  releaseExportJob,
  renewExportLease,
  type WrittenExport,
} from '../shared/exports/queue.ts';
import { type Database, openDatabase, type Queryable } from '../shared/platform/database/db.ts';
import type { ObjectStore } from '../shared/platform/object-store/object-store.ts';
import {
  type ExportBench,
  largeOrgEvents,
  startExportBench,
  type WorkerOptions,
} from './support/export-bench.ts';
import { createExportBucket } from './support/export-bucket.ts';
import { type CutRelay, startCutRelay } from './support/export-cut-relay.ts';
import { createGate, type Gate, holdFile, holdManifest } from './support/export-gate.ts';
import { directDatabaseUrl, hostedDatabaseUrl } from './support/hosted.ts';
import { services } from './support/services.ts';
import { startTcpRelay } from './support/tcp-relay.ts';
import { until } from './support/until.ts';

const mebibyte = 1_048_576;
const nothing: WorkReport = { succeeded: 0, retrying: 0, failed: 0 };
const succeeded: WorkReport = { ...nothing, succeeded: 1 };
const retrying: WorkReport = { ...nothing, retrying: 1 };
const failed: WorkReport = { ...nothing, failed: 1 };

let bench: ExportBench;
let database: Database;

beforeAll(async () => {
  bench = await startExportBench();
  ({ database } = bench);
});
afterAll(() => bench.close());

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  await bench.reset();
});

/** Sets a worker off and waits until it stands before the gate, which opens when the test ends. */
async function drainToGate(
  worker: ExportWorker,
  gate: Gate,
): Promise<{ drained: Promise<WorkReport> }> {
  cleanups.push(gate.open);
  const drained = worker.drain();
  const ended = drained.then((report) => {
    throw new Error(`the worker never came to the gate: ${JSON.stringify(report)}`);
  });
  await Promise.race([gate.reached, ended]);
  return { drained };
}

const failure = (name: string) => ({ told: `told ${name}`, reason: `reason ${name}` });

describe('the queue', () => {
  const minute = 60_000;
  const written: WrittenExport = {
    objectKey: 'a/b.csv',
    objectEtag: 'etag',
    rowCount: 3,
    bytes: 100,
    checksum: 'ab',
    totals: {
      invocations: 3,
      errors: 0,
      inputTokens: '1',
      outputTokens: '2',
      costEstimateCents: '0.5',
    },
    completeThrough: null,
  };

  /** Jobs straight into the table, the first the one that has been due longest. */
  async function insertJobs(count: number): Promise<string[]> {
    const rows = await database.query<{ job_id: string }>(
      `insert into analytics.export_jobs
         (job_id, org_id, format, granularity, timezone, range_start, range_end, initiated_by,
          next_attempt_at)
       select gen_random_uuid(), gen_random_uuid(), 'csv', 'day', 'UTC', '2025-01-01', '2025-01-02',
              'test', clock_timestamp() - (1000 - number) * interval '1 s'
       from generate_series(1, $1) number
       order by number
       returning job_id`,
      [count],
    );
    return rows.map(({ job_id }) => job_id);
  }

  async function claim(leaseMs = minute, queue: Queryable = database): Promise<ClaimedJob> {
    const claimed = await claimExportJob(queue, crypto.randomUUID(), leaseMs);
    if (claimed === null) throw new Error('no job was due');
    return claimed;
  }

  async function oneJob(): Promise<string> {
    const [jobId = ''] = await insertJobs(1);
    return jobId;
  }

  test('gives each job to one of many workers that ask at once', async () => {
    const jobs = await insertJobs(300);
    const url = bench.system.environment.DATABASE_URL ?? '';
    const pools = [1, 2, 3].map(() => openDatabase({ url, connectionsMax: 8, patienceMs: 10_000 }));
    cleanups.push(() => Promise.all(pools.map((pool) => pool.close())));
    const claims: string[] = [];
    const workers = pools.flatMap((pool) =>
      Array.from({ length: 8 }, async () => {
        for (;;) {
          const claimed = await claimExportJob(pool, crypto.randomUUID(), minute);
          if (claimed === null) return;
          claims.push(claimed.job.jobId);
        }
      }),
    );
    await Promise.all(workers);
    expect(claims.sort()).toEqual(jobs.sort());
    const [row] = await database.query(
      `select count(distinct lease_owner) as owners, min(attempts) as fewest, max(attempts) as most,
              count(*) filter (where status = 'running') as running
       from analytics.export_jobs`,
    );
    expect(row).toEqual({ owners: 300, fewest: 1, most: 1, running: 300 });
    expect(await bench.failures()).toBe(0);
  });

  test('gives the job first that has been due longest, an abandoned one in its turn', async () => {
    const [first = '', second = '', third = '', later = ''] = await insertJobs(4);
    await database.query(
      `update analytics.export_jobs
       set status = 'running', attempts = 1, lease_expires_at = clock_timestamp() - interval '1 s'
       where job_id = $1`,
      [second],
    );
    await database.query(
      `update analytics.export_jobs set next_attempt_at = clock_timestamp() + interval '1 hour'
       where job_id = $1`,
      [later],
    );
    const claims = [await claim(), await claim(), await claim()];
    expect(claims.map(({ job, wasAbandoned }) => [job.jobId, wasAbandoned])).toEqual([
      [first, false],
      [second, true],
      [third, false],
    ]);
    expect(await claimExportJob(database, 'nobody', minute)).toBeNull();
  });

  test('notes who works on a job, and until when', async () => {
    const jobId = await oneJob();
    const { owner } = await claim(minute);
    const job = await bench.job(jobId);
    expect(job).toMatchObject({ status: 'running', attempts: 1, leaseOwner: owner, error: null });
    expect(job.leaseLeftMs).toBeGreaterThan(minute - 10_000);
    expect(job.leaseLeftMs).toBeLessThanOrEqual(minute);
    expect(job.startedAt).not.toBeNull();
  });

  test('a lease that ran out is another worker’s; the first can change nothing any more', async () => {
    const jobId = await oneJob();
    const first = await claim(1);
    const second = await until('the lease is over', () =>
      claimExportJob(database, 'second', minute),
    );
    expect(second).toMatchObject({ wasAbandoned: true, job: { jobId, attempts: 2 } });
    const before = await database.query('select * from analytics.export_jobs');

    await expect(renewExportLease(database, first, minute)).rejects.toThrow(JobLostError);
    await expect(completeExportJob(database, first, written, 90)).rejects.toThrow(JobLostError);
    expect(await failExportAttempt(database, first, failure('late'), true)).toBeNull();
    expect(await failExportAttempt(database, first, failure('late'), false)).toBeNull();
    await releaseExportJob(database, first);

    expect(await database.query('select * from analytics.export_jobs')).toEqual(before);
    // The abandoned attempt, and not once more when its worker notices at last.
    expect(await bench.failures()).toBe(1);
    await completeExportJob(database, second, written, 90);
    await expect(completeExportJob(database, second, written, 90)).rejects.toThrow(JobLostError);
    expect(await bench.job(jobId)).toMatchObject({ status: 'succeeded', checksum: 'ab' });
  });

  test('a lease that is renewed is nobody else’s', async () => {
    await oneJob();
    const first = await claim(1);
    // It is over, but nobody has claimed the job in between.
    await renewExportLease(database, first, minute);
    expect(await claimExportJob(database, 'second', minute)).toBeNull();
    await completeExportJob(database, first, written, 90);
  });

  test('keeps what was written, and for how long', async () => {
    const jobId = await oneJob();
    const claimed = await claim();
    await failExportAttempt(database, claimed, failure('first'), true);
    await bench.makeDue(jobId);
    await completeExportJob(database, await claim(), written, 90);
    const job = await bench.job(jobId);
    expect(job).toMatchObject({ ...written, status: 'succeeded', error: null, leaseOwner: null });
    const keptMs = (job.expiresAt?.getTime() ?? 0) - (job.completedAt?.getTime() ?? 0);
    expect(Math.round(keptMs / 1_000)).toBe(90 * 86_400);
    expect(await claimExportJob(database, 'nobody', minute)).toBeNull();
  });

  test('waits 10, 30, 90 and 270 s, a fifth less at most', () => {
    expect([1, 2, 3, 4].map((attempts) => backoffMs(attempts, 0))).toEqual([
      10_000, 30_000, 90_000, 270_000,
    ]);
    expect([1, 2, 3, 4].map((attempts) => backoffMs(attempts, 1))).toEqual([
      8_000, 24_000, 72_000, 216_000,
    ]);
  });

  test('a failed attempt waits for its next one, longer each time; the fifth is the last', async () => {
    const jobId = await oneJob();
    for (const [attempts, waitMs] of [
      [1, 10_000],
      [2, 30_000],
      [3, 90_000],
      [4, 270_000],
    ] as const) {
      const claimed = await claim();
      expect(claimed).toMatchObject({ wasAbandoned: false, job: { attempts } });
      expect(await failExportAttempt(database, claimed, failure(`${attempts}`), true)).toBe(
        'retrying',
      );
      const job = await bench.job(jobId);
      const [error, reason] = [`told ${attempts}`, `reason ${attempts}`];
      expect(job).toMatchObject({ status: 'pending', error, reason });
      expect(job).toMatchObject({ leaseOwner: null, completedAt: null });
      const [wait] = await database.query<{ ms: number }>(
        `select extract(epoch from next_attempt_at - clock_timestamp())::float8 * 1000 as ms
         from analytics.export_jobs`,
      );
      expect(wait?.ms).toBeLessThanOrEqual(waitMs);
      expect(wait?.ms).toBeGreaterThan(0.8 * waitMs - 5_000);
      expect(await claimExportJob(database, 'nobody', minute)).toBeNull();
      expect(await bench.failures()).toBe(attempts);
      await bench.makeDue(jobId);
    }
    expect(await failExportAttempt(database, await claim(), failure('last'), true)).toBe('failed');
    const job = await bench.job(jobId);
    expect(job).toMatchObject({ status: 'failed', attempts: 5, error: 'told last' });
    expect(job.completedAt).not.toBeNull();
    await bench.makeDue(jobId);
    expect(await claimExportJob(database, 'nobody', minute)).toBeNull();
    expect(await bench.failures()).toBe(attemptsMax);
  });

  test('what cannot be helped by trying again fails at once', async () => {
    const jobId = await oneJob();
    expect(await failExportAttempt(database, await claim(), failure('gone'), false)).toBe('failed');
    expect(await bench.job(jobId)).toMatchObject({
      status: 'failed',
      attempts: 1,
      error: 'told gone',
    });
    expect(await bench.failures()).toBe(1);
  });

  test('a job that is given back is due at once, its attempt not counted', async () => {
    const jobId = await oneJob();
    await releaseExportJob(database, await claim());
    expect(await bench.job(jobId)).toMatchObject({
      status: 'pending',
      attempts: 0,
      leaseOwner: null,
    });
    expect(await claim()).toMatchObject({ wasAbandoned: false, job: { jobId, attempts: 1 } });
    expect(await bench.failures()).toBe(0);
  });

  test('counts an abandoned attempt once, however many ask for its job at once', async () => {
    await oneJob();
    for (const failures of [1, 2, 3, 4, 5]) {
      await claim(1);
      const claims = await until('the lease is over', async () => {
        const asked = Array.from({ length: 6 }, () => claimExportJob(database, 'w', minute));
        const given = (await Promise.all(asked)).filter((claimed) => claimed !== null);
        return given.length > 0 && given;
      });
      expect(claims).toHaveLength(1);
      expect(await bench.failures()).toBe(failures);
      for (const claimed of claims) await releaseExportJob(database, claimed);
    }
  });
});

describe('a worker', () => {
  test('has no more than EXPORT_WORKER_CONCURRENCY exports under way, however often it is set off', async () => {
    const jobs: string[] = [];
    for (let count = 0; count < 7; count += 1) jobs.push(await bench.order(bench.smallOrg));
    const gate = createGate();
    cleanups.push(gate.open);
    let [now, most] = [0, 0];
    const counting = (store: ObjectStore): ObjectStore => ({
      ...store,
      put: async (...put) => {
        now += 1;
        most = Math.max(most, now);
        await gate.pass();
        return store.put(...put).finally(() => {
          now -= 1;
        });
      },
    });
    const worker = bench.worker({ settings: { EXPORT_WORKER_CONCURRENCY: '3' }, store: counting });
    const drains = [worker.drain(), worker.drain()];
    await until('three are under way', async () => now === 3);
    expect(await worker.drain()).toEqual(nothing);
    const [row] = await database.query(
      `select count(*) as running from analytics.export_jobs where status = 'running'`,
    );
    expect(row).toEqual({ running: 3 });
    gate.open();
    const reports = await Promise.all(drains);
    expect(reports.reduce((sum, report) => sum + report.succeeded, 0)).toBe(7);
    expect(most).toBe(3);
    for (const job of jobs) {
      expect(await bench.expectTrue(job)).toMatchObject({ status: 'succeeded', attempts: 1 });
    }
  });

  test('does not miss a job that arrives just as it finds nothing more to do', async () => {
    let late = '';
    const worker = bench.worker({
      database: (opened) => ({
        ...opened,
        query: async (text, values) => {
          const rows = await opened.query<never>(text, values);
          if (rows.length > 0 || !text.includes('skip locked') || late !== '') return rows;
          // The answer "nothing is due" is on its way back to the worker.
          late = await bench.order(bench.smallOrg);
          expect(await worker.drain()).toEqual(nothing);
          return rows;
        },
      }),
    });
    expect(await worker.drain()).toEqual(succeeded);
    expect(await bench.expectTrue(late)).toMatchObject({ status: 'succeeded' });
  });

  test('that is told to stop gives its job back untried, and leaves nothing', async () => {
    const jobId = await bench.order(bench.largeOrg);
    const gate = createGate();
    const worker = bench.worker({ store: holdFile(gate, 17 * mebibyte) });
    const { drained } = await drainToGate(worker, gate);
    await until('parts are there', async () => (await bench.bucket.left()).length > 0);
    await worker.stop();
    expect(await drained).toEqual(nothing);
    expect(await bench.expectTrue(jobId)).toMatchObject({
      status: 'pending',
      attempts: 0,
      error: null,
      leaseOwner: null,
    });
    expect(await bench.bucket.left()).toEqual([]);
    expect(await worker.drain()).toEqual(nothing);

    expect(await bench.worker().drain()).toEqual(succeeded);
    expect(await bench.expectTrue(jobId)).toMatchObject({ status: 'succeeded', attempts: 1 });
    expect(await bench.failures()).toBe(0);
  });

  test('keeps its lease for as long as an upload takes', async () => {
    const leaseMs = 2_000;
    const jobId = await bench.order(bench.largeOrg);
    const gate = createGate();
    const worker = bench.worker({ leaseMs, store: holdFile(gate, 9 * mebibyte) });
    const { drained } = await drainToGate(worker, gate);
    const { leaseOwner } = await bench.job(jobId);
    const idle = bench.worker({ leaseMs });
    await until('it has been at it for longer than its lease', async () => {
      expect(await idle.drain()).toEqual(nothing);
      const { startedAt } = await bench.job(jobId);
      return Date.now() - (startedAt?.getTime() ?? Date.now()) > 1.3 * leaseMs;
    });
    const job = await bench.job(jobId);
    expect(job).toMatchObject({ status: 'running', attempts: 1, leaseOwner });
    expect(job.leaseLeftMs).toBeGreaterThan(0);
    gate.open();
    expect(await drained).toEqual(succeeded);
    expect(await bench.expectTrue(jobId)).toMatchObject({ status: 'succeeded', attempts: 1 });
  });

  test('whose lease is taken in the middle of an upload breaks it off', async () => {
    const jobId = await bench.order(bench.largeOrg);
    const gate = createGate();
    const worker = bench.worker({ leaseMs: 3_000, store: holdFile(gate, 17 * mebibyte) });
    const { drained } = await drainToGate(worker, gate);
    await database.query(
      `update analytics.export_jobs set lease_owner = 'another',
         lease_expires_at = clock_timestamp() + interval '5 minutes'`,
    );
    // The gate stays closed: it is the lease's renewal that ends the upload.
    expect(await drained).toEqual(nothing);
    expect(await bench.expectTrue(jobId)).toMatchObject({
      status: 'running',
      attempts: 1,
      error: null,
      leaseOwner: 'another',
    });
    expect(await bench.bucket.left()).toEqual([]);
    expect(await bench.failures()).toBe(0);
  });

  /** So that the files of before and after differ. */
  async function addEvent(orgId: string): Promise<void> {
    await bench.insertEvents(orgId, 50_000, 50_000);
    cleanups.push(() =>
      database.query('delete from analytics.usage_events where event_id = $1', [
        '00000000-0000-0000-0000-00000000c350',
      ]),
    );
  }

  test.each<[string, 'smallOrg' | 'largeOrg', number | 'end']>([
    ['a small file', 'smallOrg', 1],
    ['a file of several parts', 'largeOrg', 17 * mebibyte],
    // It asked when all was well and then slept until the other was done.
    ['a file of several parts that lay ready', 'largeOrg', 'end'],
  ])(
    'whose job another has finished does not make %s of its own visible',
    async (_, org, atBytes) => {
      const jobId = await bench.order(bench[org]);
      const gate = createGate();
      // Its lease is a minute: it hears of nothing before it asks at the file's end.
      const worker = bench.worker({ store: holdFile(gate, atBytes) });
      const { drained } = await drainToGate(worker, gate);
      await bench.makeDue(jobId);
      await addEvent(bench[org]);
      expect(await bench.worker().drain()).toEqual(succeeded);
      const job = await bench.expectTrue(jobId);
      expect(job).toMatchObject({ status: 'succeeded', attempts: 2 });

      gate.open();
      expect(await drained).toEqual(nothing);
      expect(await bench.expectTrue(jobId)).toEqual(job);
      const keys = objectKeysOf(job);
      expect((await bench.bucket.left()).sort()).toEqual([keys.file, keys.manifest].sort());
      expect(await bench.failures()).toBe(1);
    },
  );

  test('cannot put its parts together any more once another is at its job', async () => {
    const jobId = await bench.order(bench.largeOrg);
    const [gate, otherGate] = [createGate(), createGate()];
    const worker = bench.worker({ store: holdFile(gate, 'end') });
    const { drained } = await drainToGate(worker, gate);
    await bench.makeDue(jobId);
    await addEvent(bench.largeOrg);
    // Its file is visible, and the job not yet done.
    const other = bench.worker({ store: holdManifest(otherGate) });
    const { drained: otherDrained } = await drainToGate(other, otherGate);

    gate.open();
    expect(await drained).toEqual(nothing);
    otherGate.open();
    expect(await otherDrained).toEqual(succeeded);
    const job = await bench.expectTrue(jobId);
    expect(job).toMatchObject({ status: 'succeeded', attempts: 2, rowCount: largeOrgEvents + 1 });
    expect(await bench.failures()).toBe(1);
  });

  test('whose job another has finished does not record its own result', async () => {
    const jobId = await bench.order(bench.smallOrg);
    const gate = createGate();
    const worker = bench.worker({ store: holdManifest(gate) });
    const { drained } = await drainToGate(worker, gate);
    await bench.makeDue(jobId);
    expect(await bench.worker().drain()).toEqual(succeeded);
    const job = await bench.job(jobId);
    gate.open();
    expect(await drained).toEqual(nothing);
    expect(await bench.expectTrue(jobId)).toEqual(job);
  });
});

describe('what is wrong is told', () => {
  const refused = 'the object store refused the write';

  /** Five attempts with the fault: waiting after four, failed after the fifth. */
  async function expectFailure(
    options: WorkerOptions,
    told: string,
    reason: RegExp,
  ): Promise<void> {
    const jobId = await bench.order(bench.smallOrg);
    const worker = bench.worker(options);
    for (const attempts of [1, 2, 3, 4, 5]) {
      const isLast = attempts === 5;
      expect(await worker.drain()).toEqual(isLast ? failed : retrying);
      const job = await bench.expectTrue(jobId);
      expect(job).toMatchObject({ status: isLast ? 'failed' : 'pending', attempts });
      // Exactly this, so that nothing of endpoints, buckets and settings is in it.
      expect(job.error).toBe(told);
      expect(job.reason).toMatch(reason);
      expect(job.reason).not.toContain(services().S3_SECRET_KEY);
      // Until it is due.
      expect(await worker.drain()).toEqual(nothing);
      await bench.makeDue(jobId);
    }
    const { detail } = await bench.download(jobId);
    expect(detail).toBe(`the export failed, there is no file: ${told}`);
    expect(await bench.failures()).toBe(5);
    expect(await bench.bucket.left()).toEqual([]);
  }

  test.each<[string, Record<string, string>, string, RegExp]>([
    [
      'the store is down',
      { S3_ENDPOINT: 'http://127.0.0.1:1' },
      'the object store is not available',
      /http:\/\/127\.0\.0\.1:1 cannot be reached.*ECONNREFUSED.*check S3_ENDPOINT/,
    ],
    [
      'the secret is wrong',
      { S3_SECRET_KEY: 'x'.repeat(40) },
      refused,
      /refuses the credentials \(SignatureDoesNotMatch\): set S3_ACCESS_KEY and S3_SECRET_KEY/,
    ],
    [
      'the access key is wrong',
      { S3_ACCESS_KEY: 'nobody' },
      refused,
      /refuses the credentials \(InvalidAccessKeyId\): set S3_ACCESS_KEY and S3_SECRET_KEY/,
    ],
    [
      'the bucket is missing',
      { S3_BUCKET: 'never-made' },
      refused,
      /the bucket never-made does not exist.*set S3_BUCKET/,
    ],
  ])('%s', (_, settings, told, reason) => expectFailure({ settings }, told, reason));

  test('the right to write is missing', async () => {
    const bucket = await createExportBucket();
    cleanups.push(() => bucket.remove());
    await bucket.deny('s3:PutObject');
    const reason = new RegExp(
      `does not allow PutObject in the bucket ${bucket.name} \\(AccessDenied\\): give this right`,
    );
    await expectFailure({ settings: { S3_BUCKET: bucket.name } }, refused, reason);
    expect(await bucket.left()).toEqual([]);
  });

  test('until it is well again', async () => {
    const jobId = await bench.order(bench.smallOrg);
    const faulty = bench.worker({ settings: { S3_SECRET_KEY: 'x'.repeat(40) } });
    for (let attempt = 1; attempt < attemptsMax; attempt += 1) {
      expect(await faulty.drain()).toEqual(retrying);
      await bench.makeDue(jobId);
    }
    expect(await bench.job(jobId)).toMatchObject({ status: 'pending', attempts: 4 });
    expect(await bench.worker().drain()).toEqual(succeeded);
    expect(await bench.expectTrue(jobId)).toMatchObject({
      status: 'succeeded',
      attempts: 5,
      error: null,
    });
  });

  test('every worker died: nothing of theirs is left', async () => {
    const jobId = await bench.order(bench.smallOrg);
    const keys = objectKeysOf(await bench.job(jobId));
    await bench.bucket.litter(keys.file);
    await database.query(
      `update analytics.export_jobs
       set status = 'running', attempts = 5, lease_owner = 'dead',
           lease_expires_at = clock_timestamp() - interval '1 s'`,
    );
    expect(await bench.worker().drain()).toEqual(failed);
    expect(await bench.expectTrue(jobId)).toMatchObject({
      status: 'failed',
      attempts: 5,
      error: 'the export was interrupted 5 times: ask for it again, or for a shorter window',
      reason: expect.stringMatching(/^the worker ended 5 times .*: look for its exit reason/),
    });
    expect((await bench.download(jobId)).detail).toContain('the export was interrupted 5 times');
    expect(await bench.bucket.left()).toEqual([]);
    // The fifth death; four were counted before, when their job was claimed again.
    expect(await bench.failures()).toBe(1);
  });
});

describe('a line to the store that breaks', () => {
  let relay: CutRelay;
  let settings: Record<string, string>;

  beforeAll(async () => {
    relay = await startCutRelay(services().S3_ENDPOINT);
    settings = { S3_ENDPOINT: relay.url };
  });
  afterAll(() => relay.stop());

  async function expectFinished(jobId: string, attempts: number): Promise<void> {
    const job = await bench.expectTrue(jobId);
    expect(job).toMatchObject({
      status: 'succeeded',
      attempts,
      error: null,
      rowCount: largeOrgEvents,
    });
    const keys = objectKeysOf(job);
    expect((await bench.bucket.left()).sort()).toEqual([keys.file, keys.manifest].sort());
  }

  test.each([3, 12])('after %i MiB of a file is tried anew', async (mebibytes) => {
    const jobId = await bench.order(bench.largeOrg);
    const worker = bench.worker({ settings });
    relay.cutAfter(mebibytes * mebibyte);
    expect(await worker.drain()).toEqual(retrying);
    expect(relay.hasCut()).toBe(true);
    const job = await bench.expectTrue(jobId);
    expect(job).toMatchObject({ status: 'pending', attempts: 1 });
    expect(job.error).toBe('the object store is not available');
    expect(job.reason).toMatch(/cannot be reached.*check S3_ENDPOINT/);
    relay.mend();
    await bench.makeDue(jobId);
    expect(await worker.drain()).toEqual(succeeded);
    await expectFinished(jobId, 2);
  });

  test('in the middle of a file that is sent in one request leaves nothing of it', async () => {
    const orgId = crypto.randomUUID();
    await bench.insertEvents(orgId, 1, 5_000);
    const jobId = await bench.order(orgId);
    const worker = bench.worker({ settings });
    relay.cutAfter(3 * mebibyte);
    expect(await worker.drain()).toEqual(retrying);
    expect(await bench.bucket.left()).toEqual([]);
    relay.mend();
    await bench.makeDue(jobId);
    expect(await worker.drain()).toEqual(succeeded);
    const job = await bench.expectTrue(jobId);
    expect(job).toMatchObject({ status: 'succeeded', attempts: 2, error: null, rowCount: 5_000 });
    expect(job.bytes).toBeGreaterThan(4 * mebibyte);
    expect(job.bytes).toBeLessThan(8 * mebibyte);
  });

  test.each([
    ['the beginning', /^POST \S+\?uploads/],
    ['the end', /^POST \S+uploadId=/],
    ['a part', /^PUT \S+partNumber=2/],
  ])('before the answer to %s of an upload came leaves no upload', async (_, request) => {
    const jobId = await bench.order(bench.largeOrg);
    const worker = bench.worker({ settings });
    relay.mend();
    relay.loseAnswerTo(request);
    const report = await worker.drain();
    expect(relay.hasCut()).toBe(true);
    relay.mend();
    const attempts = report.retrying + 1;
    if (report.retrying > 0) {
      await bench.expectTrue(jobId);
      await bench.makeDue(jobId);
      expect(await worker.drain()).toEqual(succeeded);
    }
    await expectFinished(jobId, attempts);
  });
});

describe('a database that goes away', () => {
  test.each([
    ['the first rows', 1],
    ['the middle of the file', 12 * mebibyte],
  ])('at %s: the export is tried anew', async (_, atBytes) => {
    const jobId = await bench.order(bench.largeOrg);
    const gate = createGate();
    const worker = bench.worker({ store: holdFile(gate, atBytes) });
    const { drained } = await drainToGate(worker, gate);
    const ended = await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'export-worker'`,
    );
    expect(ended.length).toBeGreaterThan(0);
    gate.open();
    expect(await drained).toEqual(retrying);
    expect(await bench.expectTrue(jobId)).toMatchObject({
      status: 'pending',
      attempts: 1,
      error: 'the database is not available',
      reason: expect.stringMatching(/database/),
    });
    expect(await bench.bucket.left()).toEqual([]);
    await bench.makeDue(jobId);
    expect(await worker.drain()).toEqual(succeeded);
    expect(await bench.expectTrue(jobId)).toMatchObject({ status: 'succeeded', attempts: 2 });
    expect(await bench.failures()).toBe(1);
  });

  test('without a word: the worker lets go of the job when its lease is over', async () => {
    const url = directDatabaseUrl(bench.system.environment.DATABASE_URL);
    const relay = await startTcpRelay(url);
    cleanups.push(() => relay.stop());
    const jobId = await bench.order(bench.largeOrg);
    const gate = createGate();
    const worker = bench.worker({
      leaseMs: 2_000,
      settings: { DATABASE_URL: hostedDatabaseUrl(relay.through(url)) },
      store: holdFile(gate, 17 * mebibyte),
    });
    const { drained } = await drainToGate(worker, gate);
    await until('the lease was renewed: that connection waits for the next time', async () => {
      const renewed = await database.query(
        `select from analytics.export_jobs where lease_expires_at > started_at + interval '2.1 s'`,
      );
      return renewed.length > 0;
    });
    relay.freeze();
    // It cannot even note the failure.
    await expect(drained).rejects.toThrow(/database/);
    expect(await bench.bucket.left()).toEqual([]);
    expect(await bench.expectTrue(jobId)).toMatchObject({ status: 'running', attempts: 1 });
    const other = bench.worker();
    await until('the lease is over', async () => (await other.drain()).succeeded === 1);
    expect(await bench.expectTrue(jobId)).toMatchObject({ status: 'succeeded', attempts: 2 });
    expect(await bench.failures()).toBe(1);
  });
});
