import { eventStorage } from '../../shared/events/event-storage.ts';
import { encodeEvent } from '../../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { migrate } from '../../shared/preparation/migrate.ts';
import { startTimescale } from '../../test/support/timescale.ts';
import { benchEvents } from './events.ts';
import { alone, type Bench, type Figure } from './figure.ts';
import { usageData } from './usage-data.ts';
import { makeUsageRows } from './usage-rows.ts';

const dayMs = 86_400_000;

/** What an event takes on disk. */
export const storageBench: Bench = {
  name: 'storage',
  needs: ['postgres'],
  run: async (context) => {
    const { database, events } = await usageData(context);
    const shape = `${events.toLocaleString('en-US')} events of 20 orgs over 31 days`;
    const raw = await bytesOf(database, '^usage_events_');
    const rollups = await bytesOf(database, '^(usage|error)_(hourly|daily)$');
    const compressed = await compressedBytes(context.scale === 'tiny' ? 20_000 : 200_000, context);
    const messages = [...benchEvents(10_000, Date.now() - dayMs, Date.now())].map(encodeEvent);
    const messageBytes = messages.reduce((sum, { length }) => sum + length, 0) / messages.length;
    return [
      bytes(
        'storage-message',
        messageBytes,
        'bytes/event',
        'an event as JSON, as it lies in the stream',
      ),
      bytes('storage-event', raw / events, 'bytes/event', `raw with its indexes; ${shape}`),
      bytes(
        'storage-rollups',
        (rollups / events) * 1_000_000,
        'bytes/million events',
        `all rollups; ${shape}, 40 models, 5 clients: an hour of an org has at most 200 rows`,
      ),
      bytes(
        'storage-event-compressed',
        compressed.perEvent,
        'bytes/event',
        `raw on TimescaleDB ${compressed.version} after compression, ${compressed.before.toFixed(0)} before; one day`,
      ),
    ];
  },
};

function bytes(name: string, value: number, unit: string, what: string): Figure {
  return {
    name,
    ...alone([value]),
    unit,
    goal: null,
    higherIsBetter: false,
    peakMb: null,
    what,
  };
}

async function bytesOf(database: Database, names: string): Promise<number> {
  const [row] = await database.query<{ bytes: number }>(
    `select sum(pg_total_relation_size(oid))::float8 as bytes
     from pg_class
     where relnamespace = 'analytics'::regnamespace and relkind = 'r' and relname ~ $1`,
    [names],
  );
  return row?.bytes ?? Number.NaN;
}

async function compressedBytes(events: number, { say }: { say(line: string): void }) {
  say(`storage: making ${events} events of a day on TimescaleDB`);
  const server = await startTimescale();
  const options = { url: server.url, patienceMs: 60_000, connectionsMax: 1 };
  const database = openDatabase({ ...options, statementTimeoutMs: 900_000 });
  try {
    await database.query('create extension if not exists timescaledb');
    await migrate(server.url);
    const dayStart = (Math.floor(Date.now() / dayMs) - 10) * dayMs;
    await makeUsageRows(database, { fromMs: dayStart, toMs: dayStart + dayMs, events });
    await database.query('update analytics.ingestion_batches set folded_at = clock_timestamp()');
    const before = await hypertableBytes(database);
    const retention = { rawRetentionDays: 400, compressAfterDays: 7 };
    const { compressed } = await eventStorage(database).upkeep(retention, Date.now());
    if (compressed.length === 0) throw new Error('nothing was compressed');
    const [{ version = '' } = {}] = await database.query<{ version: string }>(
      `select extversion as version from pg_extension where extname = 'timescaledb'`,
    );
    const after = await hypertableBytes(database);
    return { perEvent: after / events, before: before / events, version };
  } finally {
    await database.close();
    await server.stop();
  }
}

async function hypertableBytes(database: Database): Promise<number> {
  const [row] = await database.query<{ bytes: number }>(
    `select hypertable_size('analytics.usage_events')::float8 as bytes`,
  );
  return row?.bytes ?? Number.NaN;
}
