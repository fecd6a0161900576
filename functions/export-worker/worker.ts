import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Span, SpanStatusCode } from '@opentelemetry/api';
import { AttemptError, failureOf } from '../../shared/exports/failure.ts';
import { writeExport } from '../../shared/exports/file.ts';
import { objectKeysOf } from '../../shared/exports/job.ts';
import {
  attemptsMax,
  type ClaimedJob,
  claimExportJob,
  completeExportJob,
  failExportAttempt,
  JobLostError,
  releaseExportJob,
  renewExportLease,
} from '../../shared/exports/queue.ts';
import type { Database, Queryable } from '../../shared/platform/database/db.ts';
import { within } from '../../shared/platform/deadline.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { messageOf, ServiceError } from '../../shared/platform/errors.ts';
import type { ObjectStore } from '../../shared/platform/object-store/object-store.ts';
import type { Logger } from '../../shared/platform/telemetry/telemetry.ts';
import { inSpan, type TraceHeaders } from '../../shared/platform/telemetry/tracing.ts';

export interface WorkerDeps {
  database: Database;
  store: ObjectStore;
  settings: Settings;
  logger: Logger;
  leaseMs?: number;
}

/** What became of the attempts of one run. */
export interface WorkReport {
  succeeded: number;
  retrying: number;
  failed: number;
}

/** A job that a CloudEvent names, and the trace that it was asked for in. */
export interface Announced {
  jobId: string;
  trace?: TraceHeaders | undefined;
}

export interface ExportWorker {
  /**
   * Works on due jobs until there is none; at most `EXPORT_WORKER_CONCURRENCY` at a time. The
   * announced one is found like all others; that it was announced only says which trace it is of.
   */
  drain(announced?: Announced): Promise<WorkReport>;
  /** Gives back what it is working on and takes nothing more. */
  stop(): Promise<void>;
}

/** A dead worker's job is another's after this. */
const defaultLeaseMs = 60_000;
/** One attempt, however slow the store. */
const attemptMaxMs = 3_600_000;
/** After this a run claims nothing more: its request is answered before the platform ends it. */
const claimingMaxMs = 240_000;
/** Another worker may take an announced job: its trace must not stay here forever. */
const tracesMax = 1_000;

export function createExportWorker(deps: WorkerDeps): ExportWorker {
  const { settings, logger, leaseMs = defaultLeaseMs } = deps;
  const attemptDeps = { ...deps, leaseMs, queue: promptly(deps.database, leaseMs / 2) };
  const stopping = new AbortController();
  const lanes = new Set<Promise<void>>();
  const traces = new Map<string, TraceHeaders>();
  let calls = 0;

  function remember({ jobId, trace }: Announced): void {
    if (trace === undefined) return;
    traces.set(jobId, trace);
    const [oldest] = traces.keys();
    if (traces.size > tracesMax && oldest !== undefined) traces.delete(oldest);
  }

  function tracedAttempt(claimed: ClaimedJob): Promise<Outcome> {
    const { jobId } = claimed.job;
    const trace = traces.get(jobId);
    traces.delete(jobId);
    const work = async (span: Span) => {
      const outcome = await attempt(claimed, attemptDeps, stopping.signal);
      if (outcome === 'retrying' || outcome === 'failed') {
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      return outcome;
    };
    return inSpan('export', { attributes: { 'analytics.export.job_id': jobId } }, work, trace);
  }

  /** Claims and works until nothing is due, nor was asked for in the meantime. */
  async function runLane(report: WorkReport): Promise<void> {
    const startedMs = performance.now();
    while (!stopping.signal.aborted && performance.now() - startedMs < claimingMaxMs) {
      const callsBefore = calls;
      const claimed = await claimExportJob(attemptDeps.queue, newOwner(), leaseMs);
      if (claimed !== null) {
        count(report, await tracedAttempt(claimed));
      } else if (calls === callsBefore) return;
    }
  }

  return {
    drain: async (announced) => {
      if (announced !== undefined) remember(announced);
      calls += 1;
      const report = { succeeded: 0, retrying: 0, failed: 0 };
      const started: Promise<void>[] = [];
      while (lanes.size < settings.EXPORT_WORKER_CONCURRENCY) {
        const lane = runLane(report);
        lanes.add(lane);
        started.push(lane);
        const leave = () => void lanes.delete(lane);
        lane.then(leave, leave);
      }
      await Promise.all(started);
      return report;
    },
    stop: async () => {
      stopping.abort(new Error('the worker is stopping'));
      for (const lane of await Promise.allSettled(lanes)) {
        if (lane.status === 'rejected') {
          logger.warn({ reason: messageOf(lane.reason) }, 'export lane ended');
        }
      }
    },
  };
}

function newOwner(): string {
  return `${hostname()}/${randomUUID()}`;
}

interface AttemptDeps extends WorkerDeps {
  queue: Queryable;
  leaseMs: number;
}

/**
 * The queue's statements take milliseconds, but the pool's limit is that of the long selects: with
 * it alone a database that falls silent would hold a worker for half an hour.
 */
function promptly(database: Database, answerMaxMs: number): Queryable {
  return {
    query: (text, values) =>
      within(answerMaxMs, database.query(text, values), 'the database does not answer'),
  };
}

type Outcome = 'succeeded' | 'retrying' | 'failed' | null;

function count(report: WorkReport, outcome: Outcome): void {
  if (outcome !== null) report[outcome] += 1;
}

/** One attempt at one job, from its claim to a true state. */
async function attempt(
  claimed: ClaimedJob,
  deps: AttemptDeps,
  stopping: AbortSignal,
): Promise<Outcome> {
  const { database, queue, store, settings, leaseMs } = deps;
  const { job } = claimed;
  const logger = deps.logger.child({ jobId: job.jobId, orgId: job.orgId, attempt: job.attempts });
  const ending = new AbortController();
  const signal = AbortSignal.any([stopping, ending.signal]);
  const renewing = keepLease(claimed, deps, ending);
  try {
    if (claimed.wasAbandoned) logger.warn('the worker before abandoned this export');
    if (job.attempts > attemptsMax) return await giveUp(claimed, deps, logger);
    const startedMs = performance.now();
    // What an attempt before left half uploaded can then no more be completed, by anyone.
    if (job.attempts > 1) {
      await store.abortUploads(objectKeysOf(job).file, new Date());
    }
    const written = await writeExport(database, store, job, {
      settings,
      signal,
      beforeVisible: () => renewExportLease(queue, claimed, leaseMs),
    });
    await completeExportJob(queue, claimed, written, settings.EXPORT_RETENTION_DAYS);
    const { rowCount, bytes, objectKey } = written;
    const durationMs = Math.round(performance.now() - startedMs);
    logger.info({ rowCount, bytes, objectKey, durationMs }, 'export succeeded');
    await endUploads(claimed, deps, logger);
    return 'succeeded';
  } catch (error) {
    if (stopping.aborted) {
      await releaseExportJob(queue, claimed);
      logger.info('export given back: the worker is stopping');
      return null;
    }
    if (error instanceof JobLostError) {
      logger.warn({ reason: error.message }, 'export lost to another worker');
      return null;
    }
    return await noteFailure(claimed, deps, error, logger);
  } finally {
    ending.abort();
    await renewing;
  }
}

/** Renews the lease while an attempt runs; ends the attempt once the lease cannot be held. */
async function keepLease(
  claimed: ClaimedJob,
  { queue, leaseMs }: AttemptDeps,
  ending: AbortController,
): Promise<void> {
  const startedMs = performance.now();
  let heldUntilMs = startedMs + leaseMs;
  for (;;) {
    await sleep(leaseMs / 4, undefined, { signal: ending.signal }).catch(() => {});
    if (ending.signal.aborted) return;
    const askedMs = performance.now();
    if (askedMs - startedMs > attemptMaxMs) {
      const reason = 'the export took longer than an hour: shorten its window';
      return ending.abort(new AttemptError(reason, reason));
    }
    try {
      await renewExportLease(queue, claimed, leaseMs);
      heldUntilMs = askedMs + leaseMs;
    } catch (error) {
      const isLost = error instanceof JobLostError || performance.now() > heldUntilMs - leaseMs / 4;
      if (isLost) return ending.abort(error);
    }
  }
}

async function noteFailure(
  claimed: ClaimedJob,
  deps: AttemptDeps,
  error: unknown,
  logger: Logger,
): Promise<Outcome> {
  // A request that can no longer be answered, for example as its events are gone by now.
  const canRetry = !(error instanceof ServiceError && error.code === 'invalid_request');
  const failure = failureOf(error);
  const outcome = await failExportAttempt(deps.queue, claimed, failure, canRetry);
  logger.warn({ ...failure, outcome }, 'export attempt failed');
  if (outcome === 'failed') await removeFiles(claimed, deps, logger);
  return outcome;
}

/** A job whose every worker died without a word. */
async function giveUp(claimed: ClaimedJob, deps: AttemptDeps, logger: Logger): Promise<Outcome> {
  const error = new AttemptError(
    `the export was interrupted ${attemptsMax} times: ask for it again, or for a shorter window`,
    `the worker ended ${attemptsMax} times while it wrote this export: look for its exit reason ` +
      '(memory, eviction), then ask for the export again',
  );
  return noteFailure(claimed, deps, error, logger);
}

/**
 * Beside a file that is there, an upload may be left whose beginning was never answered: its id is
 * known to nobody, and no other attempt comes to end it.
 */
async function endUploads(
  { job }: ClaimedJob,
  { store }: WorkerDeps,
  logger: Logger,
): Promise<void> {
  try {
    await store.abortUploads(objectKeysOf(job).file, new Date());
  } catch (error) {
    logger.warn({ reason: messageOf(error) }, 'uploads beside a finished export were not ended');
  }
}

/** A failed job has no file. What cannot be removed now is nobody's to download all the same. */
async function removeFiles(
  { job }: ClaimedJob,
  { store }: WorkerDeps,
  logger: Logger,
): Promise<void> {
  const keys = objectKeysOf(job);
  try {
    await store.abortUploads(keys.file, new Date());
    await store.delete([keys.file, keys.manifest]);
  } catch (error) {
    logger.warn({ reason: messageOf(error) }, 'files of a failed export were not removed');
  }
}
