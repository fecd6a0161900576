import { eventStorage } from '../../shared/events/event-storage.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { planWindow, type WindowPlan } from '../../shared/queries/time-window.ts';
import { foldAll } from '../../shared/rollups/rollup.ts';
import { benchDatabase } from './database.ts';
import type { BenchContext } from './figure.ts';
import { makeUsageRows } from './usage-rows.ts';

const dayMs = 86_400_000;
const daysWithEvents = 31;
/** A zone with summer time, whose days are never UTC's. */
export const localZone = 'America/New_York';

export interface UsageData {
  url: string;
  database: Database;
  events: number;
  partitions: number;
  /** The end of the newest day with events, in UTC. */
  endMs: number;
}

let made: Promise<UsageData> | undefined;

/** Stored and folded events of 31 days, made once for all figures that read them. */
export function usageData(context: BenchContext): Promise<UsageData> {
  made ??= make(context);
  return made;
}

async function make({ env, scale, say, atEnd }: BenchContext): Promise<UsageData> {
  const events = { tiny: 20_000, small: 1_000_000, full: 10_000_000 }[scale];
  const partitions = scale === 'full' ? 400 : daysWithEvents;
  say(`making ${events} events of ${daysWithEvents} days`);
  const server = await benchDatabase(env.DATABASE_URL);
  const database = openDatabase({
    url: server.url,
    patienceMs: 5_000,
    statementTimeoutMs: 900_000,
  });
  atEnd(async () => {
    await database.close();
    await server.drop();
  });
  const endMs = Math.floor(Date.now() / dayMs) * dayMs;
  const days = Array.from({ length: partitions }, (_, day) => endMs - (day + 1) * dayMs);
  await eventStorage(database).ensureDays(days);
  await makeUsageRows(database, { fromMs: endMs - daysWithEvents * dayMs, toMs: endMs, events });
  await foldAll(database);
  await database.query('vacuum analyze');
  return { url: server.url, database, events, partitions, endMs };
}

/** Local days that lie within the data; a local zone's newest begin the day before. */
export function localDays({ endMs }: UsageData, days: number, timeZone: string): WindowPlan {
  const ofUtc = { startMs: endMs - days * dayMs, endMs, granularity: 'day' as const };
  if (timeZone === 'UTC') return planWindow({ ...ofUtc, timeZone });
  const { bucketStarts } = planWindow({ ...ofUtc, timeZone });
  const [startMs = ofUtc.startMs, lastMs = endMs] = [bucketStarts[1], bucketStarts.at(-1)];
  return planWindow({ startMs, endMs: lastMs, granularity: 'day', timeZone });
}
