import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { pingType } from '../../shared/http/ping.ts';
import { declareStreams } from '../../shared/partitions/topology.ts';
import { connectBroker } from '../../shared/platform/broker/stream.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { benchDatabase } from '../bench/database.ts';
import { type Program, startProgram } from '../bench/program.ts';
import { storageFaults } from './check.ts';
import { bystanderLimitMb, consumerLimitMb, publisherLimitMb } from './limits.ts';
import { treeMb } from './memory.ts';
import { type Offer, startOffer } from './offer.ts';
import type { Offered } from './offered.ts';
import { peakOf, type Series, sampleEverySecond, slopeOf } from './samples.ts';

export interface SoakOptions {
  /** Events per second, and for how long. */
  rate: number;
  seconds: number;
  batchSize: number;
  env: { DATABASE_URL: string; RABBITMQ_URL: string };
  /** Servers of this machine whose memory is told too: the process that all of it descends from. */
  servers: Readonly<Record<string, number>>;
  /** The arguments by which Node.js runs a function as it is deployed. */
  bundleOf(name: 'consumer' | 'refresh' | 'status'): string[];
  /** The consumer starts once all is offered, so that everything waits in the stream first. */
  isBacklog?: boolean;
  say(line: string): void;
}

/** Memory of a process, or of a server's processes together, in MB. */
export interface Memory {
  name: string;
  peakMb: number;
  /** Over the second half of the offering. */
  slopeMbPerMinute: number;
  /** Null where only growth is judged. */
  limitMb: number | null;
}

export interface SoakResult {
  offered: Offered;
  stored: number;
  /** From the first event offered to the last one stored. */
  tookSeconds: number;
  /** Most events that were confirmed and not yet stored. */
  lagMax: number;
  /** From the end of the offering to the last one stored. */
  drainedAfterSeconds: number;
  memory: Memory[];
  /** What is wrong with what is stored. */
  faults: string[];
}

const refreshEveryMs = 10_000;
const progressEveryMs = 60_000;

/** Offers events and drains them with the functions as they are deployed, and watches their memory. */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const { env, batchSize } = options;
  const server = await benchDatabase(env.DATABASE_URL);
  const database = openDatabase({ url: server.url, patienceMs: 10_000, connectionsMax: 3 });
  const stream = { RABBITMQ_URL: env.RABBITMQ_URL, RABBITMQ_STREAM: `soak.${randomUUID()}` };
  const settings = {
    ...stream,
    DATABASE_URL: server.url,
    INGESTION_BATCH_SIZE: String(batchSize),
    REDIS_URL: '',
  };
  try {
    await makeStream(stream);
    return await offerAndDrain(options, database, stream, settings);
  } finally {
    await database.close();
    await server.drop();
    await deleteStream(stream);
  }
}

type Stream = Readonly<Record<'RABBITMQ_URL' | 'RABBITMQ_STREAM', string>>;

async function makeStream({ RABBITMQ_URL, RABBITMQ_STREAM }: Stream): Promise<void> {
  const broker = await connectBroker(RABBITMQ_URL, { name: 'soak' });
  await declareStreams(broker, {
    RABBITMQ_STREAM,
    RABBITMQ_STREAM_PARTITIONS: 1,
    RABBITMQ_STREAM_MAX_AGE: '1D',
    RABBITMQ_STREAM_MAX_BYTES: 100_000_000_000,
  });
  await broker.close();
}

async function deleteStream({ RABBITMQ_URL, RABBITMQ_STREAM }: Stream): Promise<void> {
  const { connect } = await import('amqplib');
  const connection = await connect(RABBITMQ_URL);
  const channel = await connection.createChannel();
  for (const queue of [RABBITMQ_STREAM, `${RABBITMQ_STREAM}.dlq`]) await channel.deleteQueue(queue);
  await connection.close();
}

async function offerAndDrain(
  options: SoakOptions,
  database: Database,
  stream: Stream,
  settings: Readonly<Record<string, string>>,
): Promise<SoakResult> {
  const { rate, seconds, servers, bundleOf, isBacklog = false, say } = options;
  const programs = new Map<string, Program>();
  const start = async (name: 'consumer' | 'refresh' | 'status') => {
    programs.set(name, await startProgram(bundleOf(name), settings));
  };
  let offer: Offer | undefined;
  try {
    await start('refresh');
    await start('status');
    if (!isBacklog) await start('consumer');
    const startedMs = performance.now();
    const running = startOffer({ rate, seconds }, stream);
    offer = running;
    const residentMb = (name: string) => async () =>
      (await programs.get(name)?.residentMb()) ?? Number.NaN;
    const samples = sampleEverySecond(startedMs, {
      publisher: () => treeMb(running.pid),
      consumer: residentMb('consumer'),
      refresh: residentMb('refresh'),
      status: residentMb('status'),
      ...Object.fromEntries(
        Object.entries(servers).map(([name, pid]) => [name, () => treeMb(pid)]),
      ),
      lag: async () => running.offered().confirmed - (await storedCount(database)),
    });
    const stopRefreshing = refreshRegularly(programs);
    const stopTelling = tellProgress(running, database, say);
    let series: Series[];
    try {
      await running.ended;
      const offeredMs = performance.now();
      say(`offered ${running.offered().sent} events`);
      if (isBacklog) await start('consumer');
      const { sent } = running.offered();
      await drained(database, sent, seconds * 4_000 + 120_000);
      const storedMs = performance.now();
      stopTelling();
      stopRefreshing();
      series = await samples.stop();
      await foldRest(programs, database);
      return {
        offered: running.offered(),
        stored: await storedCount(database),
        tookSeconds: (storedMs - startedMs) / 1_000,
        drainedAfterSeconds: (storedMs - offeredMs) / 1_000,
        lagMax: peakOf(series.find(({ name }) => name === 'lag') ?? { name: 'lag', points: [] }),
        memory: series.filter(({ name }) => name !== 'lag').map((one) => memoryOf(one, options)),
        faults: await storageFaults(database, sent),
      };
    } finally {
      stopTelling();
      stopRefreshing();
      await samples.stop();
    }
  } finally {
    offer?.stop();
    await Promise.all([...programs.values()].map((program) => program.stop()));
  }
}

function memoryOf(series: Series, { seconds, batchSize }: SoakOptions): Memory {
  const limits: Record<string, number> = {
    publisher: publisherLimitMb,
    consumer: consumerLimitMb(batchSize),
    refresh: bystanderLimitMb,
    status: bystanderLimitMb,
  };
  return {
    name: series.name,
    peakMb: peakOf(series),
    slopeMbPerMinute: slopeOf(series, seconds / 2, seconds),
    limitMb: limits[series.name] ?? null,
  };
}

async function storedCount(database: Database): Promise<number> {
  const [row] = await database.query<{ events: number }>(
    'select coalesce(sum(events_stored), 0)::float8 as events from analytics.stream_offsets',
  );
  return row?.events ?? 0;
}

async function drained(database: Database, sent: number, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const stored = await storedCount(database);
    if (stored >= sent) return;
    if (performance.now() > deadline) {
      throw new Error(`${stored} of ${sent} events are stored, and the time is over`);
    }
    await sleep(100);
  }
}

/** The schedule's event, more often than a schedule would send it. */
async function refreshOnce(programs: ReadonlyMap<string, Program>): Promise<void> {
  const response = await fetch(`${programs.get('refresh')?.url}/`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'ce-specversion': '1.0',
      'ce-id': randomUUID(),
      'ce-source': '/soak',
      'ce-type': pingType,
    },
    body: JSON.stringify({ job: 'refresh' }),
  });
  if (!response.ok) throw new Error(`refresh answered ${response.status}`);
  await response.text();
}

function refreshRegularly(programs: ReadonlyMap<string, Program>): () => void {
  const once = async () => {
    await refreshOnce(programs).catch(() => {});
    const metrics = await fetch(`${programs.get('status')?.url}/metrics`).catch(() => undefined);
    await metrics?.text();
  };
  const timer = setInterval(() => void once(), refreshEveryMs);
  return () => clearInterval(timer);
}

async function foldRest(programs: ReadonlyMap<string, Program>, database: Database): Promise<void> {
  const roundsMax = 60;
  for (let round = 0; round < roundsMax; round += 1) {
    await refreshOnce(programs);
    const [pending] = await database.query<{ batches: number }>(
      `select count(*)::int as batches from analytics.ingestion_batches where folded_at is null`,
    );
    if (pending?.batches === 0) return;
    await sleep(1_000);
  }
  throw new Error('the rollups are not up to date, and the time is over');
}

function tellProgress(offer: Offer, database: Database, say: (line: string) => void): () => void {
  const timer = setInterval(() => {
    storedCount(database).then(
      (stored) => say(`${JSON.stringify(offer.offered())}, ${stored} stored`),
      () => {},
    );
  }, progressEveryMs);
  return () => clearInterval(timer);
}
