import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FaultName } from '../../../scripts/faults/catalog.ts';
import { writeRecord } from '../../../scripts/faults/record.ts';
import { type LocalService, openService } from '../../../scripts/local/service.ts';
import type { UsageEvent } from '../../../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../../../shared/platform/database/db.ts';
import { readSettings, type Settings } from '../../../shared/platform/env.ts';
import { messageOf } from '../../../shared/platform/errors.ts';
import { createLogger } from '../../../shared/platform/telemetry/telemetry.ts';
import { Random } from '../random.ts';
import { declare } from '../stream-traffic.ts';
import { deleteQueues } from '../system.ts';
import { startTcpRelay, type TcpRelay } from '../tcp-relay.ts';
import { databaseUrl, makeTemplate, withAdmin } from '../template-database.ts';
import { until } from '../until.ts';
import { type Extent, extent, seed } from './form.ts';
import { type ConsumerPod, startPod } from './pod.ts';
import { type SteadyPublisher, startPublisher } from './publisher.ts';
import { type Ask, askOf, startReader, type UsageReader } from './reader.ts';
import { type FaultServers, startFaultServers } from './servers.ts';
import { type Expected, problemsOf } from './settled.ts';

type ServerName = 'postgres' | 'rabbitmq' | 'redis';

export interface FaultOptions {
  /** Servers that consumer, refresh and API reach by way of a relay. */
  relayed?: readonly ServerName[];
  /** Settings over the service's own. */
  environment?: Record<string, string> | (() => Record<string, string>);
  /** A PostgreSQL of the fault's own, in place of the file's. Gives the server's URL. */
  databaseServer?: () => Promise<{ url: string; stop(): Promise<void> }>;
  /** Commits may be undone by the fault, so that usage goes back for a while. */
  mayForget?: boolean;
  /** Why this machine cannot do it, or undefined. */
  skip?: () => string | undefined;
}

/** A system under load, and what a fault does to it. */
export interface FaultRun {
  extent: Extent;
  random: Random;
  servers: FaultServers;
  relays: Record<ServerName, TcpRelay>;
  /** The system's, as its parts see them. */
  settings: Settings;
  environment: Record<string, string>;
  /** Of the broker and the database, past any relay. */
  urls: { rabbitmq: string; database: string };
  /** Past any relay. */
  database: Database;
  service: LocalService;
  ask: Ask;
  publisher: SteadyPublisher;
  consumer: ConsumerPod;
  /** What must be true in the end beside the publisher's events; a fault may change it. */
  expected: Expected;
  /** The fault, as often as this form has it, each time at a random moment. */
  rounds(fault: (round: number) => Promise<void>): Promise<void>;
  /** As long as a state lasts in this form. */
  hold(): Promise<void>;
  /** Another consumer beside the first. */
  addConsumer(environment?: Record<string, string>): ConsumerPod;
  /** What the service counts as stored. */
  storedCount(): Promise<number>;
  /** Waits until something more is stored than now. */
  progress(): Promise<void>;
  /** A fact for the record. */
  note(text: string): void;
}

/** At least 3,000 a second must be offered; what a busy moment costs comes on top. */
const perSecond = 3_300;
const perSecondMin = 3_000;
const everyMs = 500;

let shared: { servers: FaultServers; template: string } | undefined;
let missing: string | undefined;
let isPrepared = false;

/** The name of a migrated database of that server, with nothing else in it. */
async function migratedTemplate(serverUrl: string): Promise<string> {
  const { name } = await makeTemplate(serverUrl, async () => {});
  return name;
}

/** The servers of a file are started before its first fault. */
function prepare(): void {
  if (isPrepared) return;
  isPrepared = true;
  beforeAll(async () => {
    try {
      const servers = await startFaultServers();
      shared = { servers, template: await migratedTemplate(servers.postgres.url) };
    } catch (error) {
      missing = messageOf(error);
      if (!missing.startsWith('cannot start')) throw error;
    }
  });
  afterAll(async () => {
    await shared?.servers.stop();
  });
}

/**
 * A fault of the catalogue: a consumer in a process of its own reads what a steady publisher sends,
 * refreshes and readers run beside it, then comes `fault`. Afterwards, without anybody's help and
 * within a bounded time, every event sent is stored once, rollups equal raw rows, offsets are at the
 * stream's head, leases are held.
 */
export function faultTest(
  name: FaultName,
  options: FaultOptions,
  fault: (run: FaultRun) => Promise<void>,
): void {
  prepare();
  const timeout = extent().form === 'long' ? 900_000 : 180_000;
  test(name, { timeout }, async (context) => {
    const reason = missing ?? options.skip?.();
    if (reason !== undefined || shared === undefined) return context.skip(reason);
    const system = await openSystem(shared, options);
    try {
      expect(await withstand(name, system, fault)).toEqual([]);
    } finally {
      await system.close();
    }
  });
}

interface FaultSystem {
  run: FaultRun;
  reader: UsageReader;
  seed: number;
  pods: readonly ConsumerPod[];
  notes: readonly string[];
  close(): Promise<void>;
}

async function openSystem(
  { servers, template }: { servers: FaultServers; template: string },
  options: FaultOptions,
): Promise<FaultSystem> {
  const limits = extent();
  const chosenSeed = seed();
  const random = new Random(chosenSeed);
  const undoing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const undo of undoing.reverse()) {
      await undo().catch((error: unknown) => console.log(`not undone: ${messageOf(error)}`));
    }
  };
  try {
    const own = await options.databaseServer?.();
    if (own !== undefined) undoing.push(own.stop);
    const server = own?.url ?? servers.postgres.url;
    const database = databaseUrl(server, `fault_${randomBytes(6).toString('hex')}`);
    const source = own === undefined ? template : await migratedTemplate(server);
    const databaseName = new URL(database).pathname.slice(1);
    await withAdmin(server, (admin) =>
      admin.query(`create database ${databaseName} template ${source}`),
    );
    undoing.push(() =>
      withAdmin(server, (admin) => admin.query(`drop database ${databaseName} with (force)`)),
    );

    const urls = { rabbitmq: servers.rabbitmq.url, database };
    const targets = { postgres: database, rabbitmq: urls.rabbitmq, redis: servers.redis.url };
    const relays = {
      postgres: await startTcpRelay(targets.postgres),
      rabbitmq: await startTcpRelay(targets.rabbitmq),
      redis: await startTcpRelay(targets.redis),
    };
    undoing.push(async () => {
      await Promise.all(Object.values(relays).map((relay) => relay.stop()));
    });
    const seenAs = (name: ServerName) =>
      options.relayed?.includes(name) ? relays[name].through(targets[name]) : targets[name];
    const stream = `fault.${randomBytes(6).toString('hex')}`;
    const environment: Record<string, string> = {
      DATABASE_URL: seenAs('postgres'),
      RABBITMQ_URL: seenAs('rabbitmq'),
      REDIS_URL: seenAs('redis'),
      RABBITMQ_STREAM: stream,
      LOG_LEVEL: 'info',
      ENVIRONMENT: 'test',
      RATE_LIMIT_PER_MINUTE: '0',
      FRESHNESS_CACHE_TTL: '2s',
      ...(typeof options.environment === 'function' ? options.environment() : options.environment),
    };
    const settings = readSettings(environment);
    await declare(urls.rabbitmq, settings);
    undoing.push(() => deleteQueues(urls.rabbitmq, settings));

    const direct = openDatabase({
      url: database,
      name: 'fault test',
      // The one it has it keeps, also while others take all that are left.
      connectionsMax: 1,
      patienceMs: 30_000,
      statementTimeoutMs: 120_000,
    });
    undoing.push(() => direct.close());
    const logger = createLogger({ ...settings, LOG_LEVEL: 'silent' }, 'test');
    const service = await openService(settings, logger, {
      consume: false,
      refreshEveryMs: 0,
      exportsEveryMs: 0,
      verifyEveryMs: 0,
      exportsFolder: join(tmpdir(), 'exports-not-used'),
    });
    undoing.push(() => service.close());
    const storedCount = async () => {
      const [row] = await direct.query<{ stored: number }>(
        'select coalesce(sum(events_stored), 0)::float8 as stored from analytics.stream_offsets',
      );
      return row?.stored ?? 0;
    };
    let stored = 0;
    const counting = repeat(async () => {
      stored = await storedCount();
    });
    undoing.push(counting.stop);
    const publisher: SteadyPublisher = startPublisher({
      url: urls.rabbitmq,
      stream,
      perSecond,
      random,
      mayOffer: () => publisher.offered.length - stored < limits.aheadMax,
    });
    undoing.push(() => publisher.stop());
    // As the schedule does, only more often.
    undoing.push(repeat(() => service.refresh()).stop);
    const ask = askOf(service.app);
    const reader = startReader(ask, publisher.offered, options.mayForget === true);
    undoing.push(() => reader.stop());

    const pods: ConsumerPod[] = [];
    const notes: string[] = [];
    const addConsumer = (more: Record<string, string> = {}) => {
      const pod = startPod({ ...environment, ...more }, { leaseMs: limits.leaseMs });
      pods.push(pod);
      undoing.push(() => pod.stop());
      return pod;
    };
    const progress = async () => {
      const before = await storedCount();
      await until('more is stored', async () => (await storedCount()) > before);
    };
    const run: FaultRun = {
      extent: limits,
      random,
      servers,
      relays,
      settings,
      environment,
      urls,
      database: direct,
      service,
      ask,
      publisher,
      consumer: addConsumer(),
      expected: { rejected: 0, mayLose: false, others: [] },
      rounds: async (fault) => {
        for (let round = 0; round < limits.rounds; round += 1) {
          await progress();
          await sleep(random.below(limits.momentMaxMs));
          await fault(round);
        }
      },
      hold: () => sleep(limits.holdMs),
      addConsumer,
      storedCount,
      progress,
      note: (text) => notes.push(text),
    };
    return { run, reader, seed: chosenSeed, pods, notes, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Works again and again; while a store is away it fails, and comes again. */
function repeat(work: () => Promise<unknown>): { stop(): Promise<void> } {
  const ending = new AbortController();
  const working = (async () => {
    while (!ending.signal.aborted) {
      await work().catch(() => {});
      await sleep(everyMs, undefined, { signal: ending.signal }).catch(() => {});
    }
  })();
  return {
    stop: async () => {
      ending.abort();
      await working;
    },
  };
}

/** Does the fault, lets the system settle, writes the record down. Gives what did not hold. */
async function withstand(
  name: FaultName,
  { run, reader, pods, seed: chosenSeed, notes }: FaultSystem,
  fault: (run: FaultRun) => Promise<void>,
): Promise<string[]> {
  const { publisher, extent: limits, database, settings } = run;
  const problems: string[] = [];
  const attempt = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      problems.push(messageOf(error));
      return null;
    }
  };
  await attempt(run.progress);
  const startedMs = performance.now();
  await attempt(() => fault(run));
  const isBack = attempt(() => caughtUp(run));
  // On a machine that others use too, publishing on would make a long wait of a short one.
  if (limits.form === 'long') await isBack;
  await sleep(limits.tailMs);
  await attempt(() => publisher.finish(limits.settleMaxMs));
  const caughtUpSeconds = await isBack;
  const truth: UsageEvent[] = [...publisher.offered, ...run.expected.others];
  const found = await attempt(() => problemsOf(run, truth, limits.settleMaxMs));
  problems.push(...(found ?? []), ...reader.problems);
  problems.push(...pods.flatMap(({ deaths }) => deaths.map((by) => `a consumer ended by ${by}`)));
  if (limits.form === 'long' && publisher.perSecond < perSecondMin) {
    problems.push(`only ${publisher.perSecond} events/s were sent`);
  }
  const [totals] = await database.query<{
    stored: number;
    duplicates: number;
    rejected: number;
    lost: number;
  }>(
    `select events_stored as stored, events_duplicate as duplicates, events_rejected as rejected,
            messages_lost as lost
     from analytics.stream_offsets where stream = $1`,
    [settings.RABBITMQ_STREAM],
  );
  const peaks = pods.flatMap(({ peakMb }) => (peakMb === null ? [] : [peakMb]));
  const record = {
    fault: name,
    form: limits.form,
    seed: chosenSeed,
    sent: publisher.confirmed,
    sentPerSecond: publisher.perSecond,
    stored: totals?.stored ?? 0,
    duplicates: totals?.duplicates ?? 0,
    rejected: totals?.rejected ?? 0,
    lost: totals?.lost ?? 0,
    caughtUpSeconds,
    wholeSeconds: secondsSince(startedMs),
    consumerPeakMb: peaks.length === 0 ? null : Math.max(...peaks),
    consumerRestarts: pods.reduce((sum, { restarts }) => sum + restarts, 0),
    answers: { ...reader.answers },
    notes: [...notes],
    problems,
  };
  console.log(JSON.stringify(record));
  if (problems.length > 0) {
    console.log(`the last that consumers logged:\n${lastLines(pods.map((pod) => pod.log()))}`);
  }
  writeRecord(record);
  return problems;
}

/** Seconds until everything is stored that was sent by now. */
async function caughtUp({ publisher, expected, storedCount, extent }: FaultRun): Promise<number> {
  const sinceMs = performance.now();
  const sent = publisher.offered.length;
  await until(
    'what was sent by the end of the fault is stored',
    async () => expected.mayLose || (await storedCount()) >= sent,
    { timeoutMs: extent.settleMaxMs, everyMs: 100 },
  );
  return secondsSince(sinceMs);
}

function secondsSince(sinceMs: number): number {
  return Math.round((performance.now() - sinceMs) / 100) / 10;
}

function lastLines(logs: readonly string[]): string {
  return logs.map((log) => log.trim().split('\n').slice(-30).join('\n')).join('\n---\n');
}
