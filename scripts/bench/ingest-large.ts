import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { type BenchDatabase, benchDatabase } from './database.ts';
import { drain, forgetDrained } from './drain.ts';
import { benchEvents, benchStream } from './events.ts';
import { type Bench, interleave, median } from './figure.ts';
import { bundleOf } from './program.ts';
import { makeUsageRows } from './usage-rows.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const days = 5;

/** The consumer's rate where a large table is, beside its rate on an empty one. */
export const ingestLargeBench: Bench = {
  name: 'ingest-large',
  needs: ['postgres', 'rabbitmq'],
  run: async ({ env, scale, rounds, say }) => {
    const events = { tiny: 10_000, small: 200_000, full: 1_000_000 }[scale];
    const there = { tiny: 50_000, small: 5_000_000, full: 50_000_000 }[scale];
    const midnight = Math.floor(Date.now() / dayMs) * dayMs;
    say(`ingest-large: making ${there} rows, publishing ${events} events`);
    const stream = await benchStream(
      env.RABBITMQ_URL,
      benchEvents(events, midnight - hourMs, midnight),
    );
    const [large, empty] = [await open(env.DATABASE_URL), await open(env.DATABASE_URL)];
    const peaks: number[] = [];
    const rate = async ({ server, database }: Opened) => {
      const settings = { ...stream.settings, DATABASE_URL: server.url };
      const drained = await drain(bundleOf('consumer'), settings, database, events);
      await forgetDrained(database);
      peaks.push(drained.peakMb);
      return drained.eventsPerSecond;
    };
    try {
      // The newest events of the stream fall where the rows of the last day end, as they would.
      const range = { fromMs: midnight - days * dayMs, toMs: midnight, events: there };
      await makeUsageRows(large.database, range);
      await large.database.query('truncate analytics.ingestion_batches');
      await large.database.query('vacuum analyze analytics.usage_events');
      const measured = await interleave(rounds, {
        ours: () => rate(large),
        ceiling: () => rate(empty),
      });
      return [
        {
          name: 'ingest-large',
          ...measured,
          unit: 'events/s',
          goal: 0.9,
          higherIsBetter: true,
          peakMb: median(peaks),
          what:
            `the same with ${there.toLocaleString('en-US')} rows of the last ${days} days there; ` +
            'beside it the same on an empty table',
        },
      ];
    } finally {
      for (const { database, server } of [large, empty]) {
        await database.close();
        await server.drop();
      }
      await stream.delete();
    }
  },
};

interface Opened {
  server: BenchDatabase;
  database: Database;
}

async function open(url: string): Promise<Opened> {
  const server = await benchDatabase(url);
  const database = openDatabase({
    url: server.url,
    patienceMs: 5_000,
    statementTimeoutMs: 600_000,
  });
  return { server, database };
}
