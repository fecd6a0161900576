import type { Queryable } from '../platform/database/db.ts';
import { dayMs } from '../queries/time-window.ts';

/**
 * Of today and tomorrow (UTC), the days whose events would have no partition. None where
 * TimescaleDB makes its chunks itself. Ingest would make a missing one too, but only if it may:
 * the refresh, whose work this is, is not at work.
 */
export async function missingPartitions(snapshot: Queryable, now: Date): Promise<string[]> {
  const days = [0, dayMs].map((ms) => new Date(now.getTime() + ms).toISOString().slice(0, 10));
  const missing = await snapshot.query<{ day: string }>(
    `select day
     from unnest($1::text[]) as day
     where (select relkind = 'p' from pg_class where oid = 'analytics.usage_events'::regclass)
       and not exists (
         select from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'analytics.usage_events'::regclass and not i.inhdetachpending
           and c.relname = 'usage_events_' || replace(day, '-', ''))
     order by day`,
    [days],
  );
  return missing.map(({ day }) => day);
}
