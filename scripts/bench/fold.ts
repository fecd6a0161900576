import { ingest } from '../../shared/events/ingest.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { migrate } from '../../shared/preparation/migrate.ts';
import { foldAll } from '../../shared/rollups/rollup.ts';
import { startTimescale } from '../../test/support/timescale.ts';
import { benchDatabase } from './database.ts';
import { benchEvents } from './events.ts';
import { type Bench, type BenchContext, type Figure, interleave } from './figure.ts';
import { peakMb, resetPeak } from './memory.ts';
import { makeUsageRows } from './usage-rows.ts';

const hourMs = 3_600_000;
const newEvents = 60_000;
const batchSize = 5_000;

/**
 * Bringing the rollups up to date after new events in a full hour, beside TimescaleDB's continuous
 * aggregates, and beside itself in a hour that is nearly empty.
 */
export const foldBench: Bench = {
  name: 'fold',
  needs: ['postgres'],
  run: async (context) => [
    await besideContinuousAggregates(context),
    await besideSmallHour(context),
  ],
};

async function besideContinuousAggregates({ scale, rounds, say }: BenchContext): Promise<Figure> {
  const native = process.env.TIMESCALE_DATABASE_URL;
  const small = scale === 'tiny' ? 20_000 : 500_000;
  const inHour = scale === 'full' && native !== undefined ? 5_000_000 : small;
  say(`fold: making ${inHour} events of an hour on TimescaleDB`);
  const server = native === undefined ? await webAssembly() : await nativeServer(native);
  await onOne(server.url, (admin) => admin.query('create extension if not exists timescaledb'));
  const { storage } = await migrate(server.url);
  if (storage !== 'timescaledb') throw new Error('the server has no TimescaleDB');
  const database = open(server.url);
  try {
    const [{ version = '' } = {}] = await database.query<{ version: string }>(
      `select extversion as version from pg_extension where extname = 'timescaledb'`,
    );
    const hour = lastHour();
    await makeUsageRows(database, { fromMs: hour, toMs: hour + hourMs, events: inHour });
    await foldAll(database);
    await createAggregates(database);
    await resetPeak();
    const measured = await interleave(
      rounds,
      {
        ours: () => timed(() => foldAll(database)),
        ceiling: () => timed(() => refreshAggregates(database, hour)),
      },
      () => ingestNew(database, hour),
    );
    return {
      name: 'fold',
      ...measured,
      unit: 'ms',
      goal: scale === 'full' && native !== undefined ? 0.1 : 0.7,
      higherIsBetter: false,
      peakMb: await peakMb('self'),
      what:
        `rollups up to date after ${newEvents} new events in an hour of ` +
        `${inHour.toLocaleString('en-US')}, percentiles, days and errors included, on TimescaleDB ` +
        `${version} (${native === undefined ? 'WebAssembly, in the measuring process' : 'native'}); ` +
        'ceiling: refresh_continuous_aggregate of an hourly view with the same sums and a ' +
        'histogram, and of a daily one above it',
    };
  } finally {
    await database.close();
    await server.stop();
  }
}

async function webAssembly() {
  const { url, stop } = await startTimescale();
  return { url, stop };
}

async function nativeServer(url: string) {
  const server = await benchDatabase(url, { isEmpty: true });
  return { url: server.url, stop: server.drop };
}

async function besideSmallHour({ env, scale, rounds, say }: BenchContext): Promise<Figure> {
  const large = { tiny: 20_000, small: 500_000, full: 5_000_000 }[scale];
  const small = large / 10;
  say(`fold: making ${large} events of an hour on PostgreSQL`);
  const server = await benchDatabase(env.DATABASE_URL);
  const database = open(server.url);
  try {
    const hour = lastHour();
    const smallHour = hour - hourMs;
    const from = (fromMs: number, events: number, firstBatch: number) =>
      makeUsageRows(database, { fromMs, toMs: fromMs + hourMs, events, firstBatch });
    await from(hour, large, 1_000_000_000);
    await from(smallHour, small, 1_500_000_000);
    await foldAll(database);
    await database.query('vacuum analyze');
    await resetPeak();
    const foldIn = async (hourStart: number) => {
      await ingestNew(database, hourStart);
      return timed(() => foldAll(database));
    };
    const measured = await interleave(rounds, {
      ours: () => foldIn(hour),
      ceiling: () => foldIn(smallHour),
    });
    return {
      name: 'fold-flat',
      ...measured,
      unit: 'ms',
      goal: 1.3,
      higherIsBetter: false,
      peakMb: await peakMb('self'),
      what:
        `the same fold on plain PostgreSQL in an hour of ${large.toLocaleString('en-US')} events; ` +
        `beside it in one of ${small.toLocaleString('en-US')}`,
    };
  } finally {
    await database.close();
    await server.drop();
  }
}

function open(url: string): Database {
  // One connection: the WebAssembly build has one server process.
  return openDatabase({
    url,
    patienceMs: 60_000,
    statementTimeoutMs: 900_000,
    connectionsMax: 1,
  });
}

async function onOne(url: string, work: (database: Database) => Promise<unknown>): Promise<void> {
  const database = open(url);
  try {
    await work(database);
  } finally {
    await database.close();
  }
}

/** The last whole hour that does not end a day. */
function lastHour(): number {
  const hour = Math.floor(Date.now() / hourMs) * hourMs - hourMs;
  return hour % (24 * hourMs) === 0 ? hour - hourMs : hour;
}

async function ingestNew(database: Database, hour: number): Promise<void> {
  const events = [...benchEvents(newEvents, hour, hour + hourMs)];
  for (let start = 0; start < events.length; start += batchSize) {
    const batch = events.slice(start, start + batchSize);
    await ingest(database, { stream: 'bench', events: batch, rejected: 0, position: null });
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

/** What a user of TimescaleDB would have in place of our rollups. */
async function createAggregates(database: Database): Promise<void> {
  const counts = ['success', 'error', 'timeout', 'throttled'];
  const sums = ['input_tokens', 'output_tokens', 'cost_estimate_cents'];
  await database.query(
    `create materialized view public.bench_hourly with (timescaledb.continuous) as
     select time_bucket('1 hour', occurred_at) as bucket, org_id, model_id, client_id,
            ${counts.map((name) => `count(*) filter (where status = '${name}') as ${name}_count`).join(', ')},
            ${sums.map((name) => `sum(${name}) as ${name}`).join(', ')},
            histogram((25 * ln(greatest(latency_ms, 1)))::float8, 0, 402, 402) as latency
     from analytics.usage_events
     group by 1, 2, 3, 4 with no data`,
  );
  await database.query(
    `create materialized view public.bench_daily with (timescaledb.continuous) as
     select time_bucket('1 day', bucket) as day, org_id, model_id, client_id,
            ${counts.map((name) => `sum(${name}_count) as ${name}_count`).join(', ')},
            ${sums.map((name) => `sum(${name}) as ${name}`).join(', ')}
     from public.bench_hourly
     group by 1, 2, 3, 4 with no data`,
  );
}

/** Whole buckets alone are refreshed, so the day's window is wider. */
async function refreshAggregates(database: Database, hour: number): Promise<void> {
  const day = 24 * hourMs;
  const dayStart = Math.floor(hour / day) * day;
  const refresh = (view: string, fromMs: number, toMs: number) =>
    database.query(
      `call refresh_continuous_aggregate('public.${view}', '${iso(fromMs)}', '${iso(toMs)}')`,
    );
  await refresh('bench_hourly', hour, hour + hourMs);
  await refresh('bench_daily', dayStart, dayStart + day);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
