import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, type Queryable, sqlState } from '../platform/database/db.ts';

/** What keeps the raw events, as the server itself says. */
export type StorageKind = 'native' | 'timescale-apache' | 'timescale-community';

export interface Retention {
  rawRetentionDays: number;
  compressAfterDays: number;
}

export interface StorageUpkeep {
  created: string[];
  compressed: string[];
  dropped: string[];
}

/** The daily partitions or chunks of `usage_events`. */
export interface EventStorage {
  kind(): Promise<StorageKind>;
  /**
   * Makes sure that events of these days (milliseconds, any time of the day) have a place. Cheap
   * once a day is known. Never called inside an ingest transaction: a partition made there would
   * hold its lock until the batch commits.
   */
  ensureDays(occurredAtMs: Iterable<number>): Promise<string[]>;
  /** Asks the database again which days there are. */
  forgetDays(): void;
  /** Days ahead, compression of old days, removal of days past retention. Safe beside itself. */
  upkeep(retention: Retention, nowMs: number): Promise<StorageUpkeep>;
}

const dayMs = 86_400_000;
const daysAhead = 2;
/** An event may be valid when it is read and stored moments later: retention ends a day late. */
const retentionMarginDays = 1;
/** A chunk compressed while it is being written blocks its inserts for as long as that takes. */
const compressedPerRunMax = 2;
const lockTries = 60;

export function eventStorage(database: Database): EventStorage {
  const known = new Set<number>();
  let kind: Promise<StorageKind> | undefined;

  const storage: EventStorage = {
    kind: () => {
      kind ??= askKind(database).catch((error: unknown) => {
        kind = undefined;
        throw error;
      });
      return kind;
    },
    ensureDays: async (occurredAtMs) => {
      const days = new Set<number>();
      for (const ms of occurredAtMs) {
        const day = Math.floor(ms / dayMs);
        if (!known.has(day)) days.add(day);
      }
      if (days.size === 0 || (await storage.kind()) !== 'native') return [];
      const created: string[] = [];
      for (const day of [...days].sort((a, b) => a - b)) {
        if (await createPartition(database, day)) created.push(partitionName(day));
        known.add(day);
      }
      return created;
    },
    forgetDays: () => known.clear(),
    upkeep: async (retention, nowMs) => {
      const ahead = Array.from({ length: daysAhead + 1 }, (_, index) => nowMs + index * dayMs);
      const created = await storage.ensureDays(ahead);
      const cutDay = Math.floor(nowMs / dayMs) - retention.rawRetentionDays - retentionMarginDays;
      const cut = await cutBeforeUnfolded(database, cutDay);
      if ((await storage.kind()) === 'native') {
        return { created, compressed: [], dropped: await dropPartitions(database, cut) };
      }
      const dropped = await dropChunks(database, cut);
      const compressed =
        (await storage.kind()) === 'timescale-community'
          ? await compressChunks(database, Math.floor(nowMs / dayMs) - retention.compressAfterDays)
          : [];
      return { created, compressed, dropped };
    },
  };
  return storage;
}

async function askKind(database: Queryable): Promise<StorageKind> {
  const [table] = await database.query<{ relkind: string; license: string | null }>(
    `select relkind, current_setting('timescaledb.license', true) as license
     from pg_class where oid = 'analytics.usage_events'::regclass`,
  );
  if (table?.relkind === 'p') return 'native';
  return table?.license === 'timescale' ? 'timescale-community' : 'timescale-apache';
}

/** Midnight UTC of a day number, as SQL and file names like it. */
function dayText(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}

function partitionName(day: number): string {
  return `usage_events_${dayText(day).replaceAll('-', '')}`;
}

/**
 * Creates and attaches a day's partition; false when it is there. Built beside the table and then
 * attached: `create table … partition of` would block inserts for as long as any reader runs (3 s
 * behind a 3 s reader, where this took 9 ms). DDL takes no parameters; the names are dates of ours.
 */
async function createPartition(database: Database, day: number): Promise<boolean> {
  const name = `analytics.${partitionName(day)}`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await database.transaction({ lockTimeoutMs: 200 }, async (transaction) => {
        await transaction.query(`select pg_advisory_xact_lock(hashtext('usage_events_day'), $1)`, [
          day,
        ]);
        const [there] = await transaction.query<{ exists: boolean }>(
          'select to_regclass($1) is not null as exists',
          [name],
        );
        if (there?.exists === true) return false;
        await transaction.query(`create table ${name} (like analytics.usage_events including all)`);
        await transaction.query(
          `alter table analytics.usage_events attach partition ${name}
           for values from ('${dayText(day)}T00:00:00Z') to ('${dayText(day + 1)}T00:00:00Z')`,
        );
        return true;
      });
    } catch (error) {
      const lockNotAvailable = '55P03';
      if (sqlState(error) !== lockNotAvailable || attempt === lockTries) throw error;
      await sleep(50 + Math.random() * 100);
    }
  }
}

/** The day number before which days may go: never one with rows that are not in the rollups yet. */
async function cutBeforeUnfolded(database: Queryable, cutDay: number): Promise<number> {
  const [oldest] = await database.query<{ at: Date | null }>(
    'select min(min_occurred_at) as at from analytics.ingestion_batches where folded_at is null',
  );
  return oldest?.at ? Math.min(cutDay, Math.floor(oldest.at.getTime() / dayMs)) : cutDay;
}

async function dropPartitions(database: Queryable, cutDay: number): Promise<string[]> {
  const partitions = await database.query<{ name: string; attached: boolean; pending: boolean }>(
    `select c.relname as name, i.inhrelid is not null as attached,
            coalesce(i.inhdetachpending, false) as pending
     from pg_class c
     left join pg_inherits i
       on i.inhrelid = c.oid and i.inhparent = 'analytics.usage_events'::regclass
     where c.relnamespace = 'analytics'::regnamespace
       and c.relkind = 'r'
       and c.relname ~ '^usage_events_[0-9]{8}$'
       and c.relname < $1
     order by 1`,
    [partitionName(cutDay)],
  );
  for (const { name, attached, pending } of partitions) {
    // Detached concurrently first: dropping an attached partition locks the whole table. A detach
    // that was interrupted is finished, and a partition detached before a crash is only dropped.
    if (attached) {
      await database.query(
        `alter table analytics.usage_events detach partition analytics.${name}
         ${pending ? 'finalize' : 'concurrently'}`,
      );
    }
    await database.query(`drop table if exists analytics.${name}`);
  }
  return partitions.map(({ name }) => name);
}

async function dropChunks(database: Queryable, cutDay: number): Promise<string[]> {
  const dropped = await database.query<{ name: string }>(
    `select drop_chunks('analytics.usage_events', older_than => $1::timestamptz)::text as name`,
    [new Date(cutDay * dayMs)],
  );
  return dropped.map(({ name }) => name);
}

/** Compresses the oldest days that are due, a few at a time: 432 MB became 73. */
async function compressChunks(database: Database, cutDay: number): Promise<string[]> {
  const [table] = await database.query<{ enabled: boolean }>(
    `select compression_enabled as enabled from timescaledb_information.hypertables
     where hypertable_schema = 'analytics' and hypertable_name = 'usage_events'`,
  );
  if (table?.enabled !== true) {
    await database.query(
      `alter table analytics.usage_events set (
         timescaledb.compress,
         timescaledb.compress_segmentby = 'org_id',
         timescaledb.compress_orderby = 'occurred_at, event_id')`,
    );
  }
  const due = await database.query<{ name: string }>(
    `select format('%I.%I', chunk_schema, chunk_name) as name
     from timescaledb_information.chunks
     where hypertable_schema = 'analytics' and hypertable_name = 'usage_events'
       and not is_compressed and range_end <= $1
     order by range_end limit $2`,
    [new Date(cutDay * dayMs), compressedPerRunMax],
  );
  for (const { name } of due) {
    await database.transaction({ statementTimeoutMs: 600_000 }, (transaction) =>
      transaction.query('select compress_chunk($1::regclass, if_not_compressed => true)', [name]),
    );
  }
  return due.map(({ name }) => name);
}
