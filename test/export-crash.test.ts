import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, onTestFailed, test } from 'vitest';
import { type ExportJob, objectKeysOf } from '../shared/exports/job.ts';
import { attemptsMax } from '../shared/exports/queue.ts';
import { type ExportBench, largeOrgEvents, startExportBench } from './support/export-bench.ts';
import {
  buildExportChildren,
  type ExportChild,
  type ExportChildOptions,
  type ExportChildren,
  type ExportStep,
} from './support/export-child.ts';
import { Random } from './support/random.ts';
import { until } from './support/until.ts';

/** Longer than any test; a dead worker's lease is ended by hand. */
const leaseMs = 120_000;

let bench: ExportBench;
let children: ExportChildren;
/** What every file must be, whoever wrote it: nothing changes in the database. */
let truth: Pick<ExportJob, 'checksum' | 'bytes'>;

beforeAll(async () => {
  [bench, children] = await Promise.all([startExportBench(), buildExportChildren()]);
  const jobId = await bench.order(bench.largeOrg);
  await bench.worker().drain();
  const { checksum, bytes } = await bench.expectTrue(jobId);
  truth = { checksum, bytes };
  await bench.reset();
});
afterEach(async () => {
  await children.end();
  await bench.reset();
});
afterAll(async () => {
  await children.close();
  await bench.close();
});

function spawn(options: ExportChildOptions = {}): ExportChild {
  return children.spawn(bench.system.environment, { leaseMs, ...options });
}

/** What must hold right after a kill. */
async function expectTrueAfterKill(jobId: string): Promise<ExportJob> {
  const job = await bench.expectTrue(jobId);
  if (job.status === 'succeeded') {
    expect(job).toMatchObject(truth);
    return job;
  }
  const { leaseOwner, leaseLeftMs } = await bench.job(jobId);
  expect(job).toMatchObject({ status: 'running', checksum: null, objectKey: null });
  expect(leaseOwner).not.toBeNull();
  expect(leaseLeftMs).toBeGreaterThan(0);
  return job;
}

/** A worker that nobody kills finishes the jobs; then there are their files and nothing else. */
async function expectFinished(jobs: readonly string[]): Promise<void> {
  const worker = bench.worker();
  for (const jobId of jobs) {
    const { status } = await bench.job(jobId);
    if (status !== 'succeeded') await bench.makeDue(jobId);
  }
  await until('all are done', async () => {
    await worker.drain();
    const found = await Promise.all(jobs.map((jobId) => bench.job(jobId)));
    return found.every(({ status }) => status === 'succeeded');
  });
  const expected: string[] = [];
  for (const jobId of jobs) {
    const job = await bench.expectTrue(jobId);
    expect(job).toMatchObject({ ...truth, rowCount: largeOrgEvents, error: null });
    const keys = objectKeysOf(job);
    expected.push(keys.file, keys.manifest);
  }
  expect((await bench.bucket.left()).sort()).toEqual(expected.sort());
}

test('an export whose worker is killed eight times at random moments ends as one whole file', async () => {
  const seed = Date.now() % 1_000_000;
  onTestFailed(() => console.log(`the seed was ${seed}`));
  const random = new Random(seed);
  const kills = 8;
  // Spread over the file in its own measure, from the query to beyond the last byte: by a clock
  // they would all fall into its slowest part.
  const moments = Array.from({ length: kills }, (_, kill) =>
    kill === 0 ? 0 : ((kill + random.unit()) / (kills - 1)) * (truth.bytes ?? 0),
  );
  const jobs: string[] = [];
  let job: ExportJob | null = null;
  let deaths = 0;
  const idle = bench.worker();
  let next = spawn();
  for (const moment of random.shuffled(moments)) {
    const child = next;
    await child.reached((step) => step === 'ready');
    // It starts while this one works.
    next = spawn();
    // One that has died four times has a last attempt left, which is not for dying.
    if (job === null || job.status === 'succeeded' || job.attempts === attemptsMax - 1) {
      jobs.push(await bench.order(bench.largeOrg));
    } else {
      await bench.makeDue(job.jobId);
    }
    const jobId = jobs.at(-1) ?? '';
    child.work();
    await child.reached((step) => step === 'file' || bytesOf(step) >= moment);
    await sleep(random.below(60));
    expect(await child.kill()).toBe('SIGKILL');

    job = await expectTrueAfterKill(jobId);
    if (job.status === 'succeeded') continue;
    deaths += 1;
    // While its lease holds it is nobody else's.
    expect(await idle.drain()).toEqual({ succeeded: 0, retrying: 0, failed: 0 });
  }
  await next.kill();
  await expectFinished(jobs);
  expect(await bench.failures()).toBe(deaths);
});

function bytesOf(step: ExportStep): number {
  return step.startsWith('bytes ') ? Number(step.slice(6)) : -1;
}

test('an export whose worker is killed after each of its steps ends as one whole file', async () => {
  const jobId = await bench.order(bench.largeOrg);
  const { file, manifest } = objectKeysOf(await bench.job(jobId));
  const visibleAfter = {
    begin: [],
    end: [],
    file: [file],
    manifest: [file, manifest],
    done: [file, manifest],
  };
  const steps = ['begin', 'end', 'file', 'manifest', 'done'] as const;
  const waiting = steps.map((failpoint) => ({ failpoint, child: spawn({ failpoint }) }));
  for (const { failpoint, child } of waiting) {
    child.work();
    expect(await child.ended).toBe('SIGKILL');

    const { status } = await expectTrueAfterKill(jobId);
    expect(status).toBe(failpoint === 'done' ? 'succeeded' : 'running');
    const left = (await bench.bucket.left()).filter((key) => !key.startsWith('unfinished'));
    expect(left.sort()).toEqual(visibleAfter[failpoint]);
    // Whole as well, though nobody is told of it yet.
    if (left.includes(file)) {
      const { checksum: sha256, bytes } = truth;
      expect(await bench.bucket.digest(file)).toEqual({ sha256, bytes });
    }
    if (failpoint !== 'done') await bench.makeDue(jobId);
  }
  expect(await bench.job(jobId)).toMatchObject({ attempts: steps.length });
  await expectFinished([jobId]);
  expect(await bench.failures()).toBe(steps.length - 1);
});

test('a job of a dead worker is another’s once its lease is over', async () => {
  const jobId = await bench.order(bench.smallOrg);
  const child = spawn({ leaseMs: 2_000, failpoint: 'end' });
  child.work();
  expect(await child.ended).toBe('SIGKILL');
  await expectTrueAfterKill(jobId);
  const other = bench.worker();
  await until('the lease is over', async () => (await other.drain()).succeeded === 1);
  expect(await bench.expectTrue(jobId)).toMatchObject({ status: 'succeeded', attempts: 2 });
});
