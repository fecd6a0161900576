import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { copyLine } from '../../shared/events/ingest.ts';
import type { UsageEvent } from '../../shared/events/usage-event.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { benchDatabase } from './database.ts';
import { drain, forgetDrained } from './drain.ts';
import { benchEvents, benchStream } from './events.ts';
import { type Bench, compare, measureInTurns, median } from './figure.ts';
import { bundleOf, scriptOf } from './program.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const batchSize = 5_000;

/**
 * The consumer's bundle, from a full stream to committed, deduplicated rows, beside a bare COPY of
 * the same rows, and beside itself when it inserts a row at a time.
 */
export const ingestBench: Bench = {
  name: 'ingest',
  needs: ['postgres', 'rabbitmq'],
  run: async ({ env, scale, rounds, say }) => {
    const events = { tiny: 10_000, small: 200_000, full: 1_000_000 }[scale];
    const byRowEvents = { tiny: 5_000, small: 15_000, full: 50_000 }[scale];
    say(`ingest: publishing ${events} events`);
    const midnight = Math.floor(Date.now() / dayMs) * dayMs;
    const published = [...benchEvents(events, midnight - hourMs, midnight)];
    const stream = await benchStream(env.RABBITMQ_URL, published);
    const server = await benchDatabase(env.DATABASE_URL);
    const database = openDatabase({ url: server.url, patienceMs: 5_000 });
    const bare = await openBareTable(server.url);
    const settings = { ...stream.settings, DATABASE_URL: server.url };
    const peaks: number[] = [];
    try {
      const measured = await measureInTurns(rounds, {
        ours: async () => {
          const drained = await drain(bundleOf('consumer'), settings, database, events);
          peaks.push(drained.peakMb);
          await forgetDrained(database);
          return drained.eventsPerSecond;
        },
        copy: async () => (events * 1_000) / (await bare.copyMs(published)),
        byRow: async () => {
          const drained = await drain(scriptOf('row-consumer.ts'), settings, database, byRowEvents);
          await forgetDrained(database);
          return drained.eventsPerSecond;
        },
      });
      const common = { unit: 'events/s', higherIsBetter: true, peakMb: median(peaks) };
      return [
        {
          name: 'ingest',
          ...common,
          ...compare(measured.ours, measured.copy),
          goal: 0.25,
          what:
            `${events.toLocaleString('en-US')} events from a full stream to committed, deduplicated ` +
            'rows by the consumer’s bundle; ceiling: COPY of the same rows from memory, encoding ' +
            'included, over one connection into a table without index or constraint',
        },
        {
          name: 'ingest-by-row',
          ...common,
          ...compare(measured.ours, measured.byRow),
          goal: 12,
          what: 'the same; beside it the same consumer when each event is an INSERT of its own',
        },
      ];
    } finally {
      await bare.close();
      await database.close();
      await server.drop();
      await stream.delete();
    }
  },
};

/** A table with the columns of `usage_events` and nothing else. */
async function openBareTable(url: string) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    'create table public.bare as select * from analytics.usage_events with no data',
  );
  return {
    copyMs: async (events: readonly UsageEvent[]): Promise<number> => {
      await client.query('truncate public.bare');
      const startedMs = performance.now();
      await pipeline(
        Readable.from(encoded(events)),
        client.query(copyFrom('copy public.bare from stdin')),
      );
      return performance.now() - startedMs;
    },
    close: () => client.end(),
  };
}

/** As the consumer encodes a batch, with a batch's number at the end of each line. */
function* encoded(events: readonly UsageEvent[]): Generator<Buffer> {
  for (let start = 0; start < events.length; start += batchSize) {
    const lines = events.slice(start, start + batchSize).map(copyLine);
    yield Buffer.from(lines.join('').replaceAll('\n', '\t1\n'));
  }
}
