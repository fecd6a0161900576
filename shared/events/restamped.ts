import type { Queryable } from '../platform/database/db.ts';
import { type Conflict, timeConflict } from './conflict.ts';
import type { IdPrints, RecentIds } from './recent-ids.ts';
import type { UsageEvent } from './usage-event.ts';

export interface Sifted {
  /** Events to be stored; duplicates are still among them. */
  kept: readonly UsageEvent[];
  restamped: readonly Conflict[];
  /** To be called once `kept` is committed, and only then. */
  learn(atMs: number): void;
}

/**
 * Takes out the retries that stamped themselves again: events whose id came within the last hour
 * with another time, which the key would store a second time (DESIGN 3). What memory suspects,
 * storage confirms, so that no event is turned away for one that is not stored.
 *
 * An event that is itself stored is never one of them: however often it comes, and whatever else
 * is stored of its id, it is a plain duplicate.
 */
export async function withoutRestamped(
  database: Queryable,
  ids: RecentIds,
  events: readonly UsageEvent[],
  nowMs: number,
): Promise<Sifted> {
  const prints = ids.prints(events);
  const turnedAway = await confirmed(database, events, knownOtherwise(ids, prints, events, nowMs));
  const within = cameOtherwise(prints, events, turnedAway);
  for (const [place, ms] of await unstored(database, events, within)) turnedAway.set(place, ms);
  const restamped: Conflict[] = [];
  for (const [place, ms] of turnedAway) {
    const event = events[place];
    if (event !== undefined) restamped.push(timeConflict(event, ms));
  }
  return {
    kept: turnedAway.size === 0 ? events : events.filter((_, place) => !turnedAway.has(place)),
    restamped,
    learn: (atMs) => {
      let place = 0;
      for (const { occurredAtMs } of events) {
        if (!turnedAway.has(place)) ids.learn(prints, place, occurredAtMs, atMs);
        place += 1;
      }
    },
  };
}

/** Places of events, each with the other time of its id. */
type OtherTimes = Map<number, number>;

function knownOtherwise(
  ids: RecentIds,
  prints: IdPrints,
  events: readonly UsageEvent[],
  nowMs: number,
): OtherTimes {
  const found: OtherTimes = new Map();
  // Not by entries(), here and below: its pairs took a tenth of the time.
  let place = 0;
  for (const { occurredAtMs } of events) {
    const knownMs = ids.find(prints, place, nowMs);
    if (knownMs !== undefined && knownMs !== occurredAtMs) found.set(place, knownMs);
    place += 1;
  }
  return found;
}

/** Those whose id came earlier among these events, and with another time. */
function cameOtherwise(
  prints: IdPrints,
  events: readonly UsageEvent[],
  leftOut: ReadonlyMap<number, number>,
): OtherTimes {
  const found: OtherTimes = new Map();
  // Places plus one by a part of their print: a Map by text took six times as long.
  const table = new Int32Array(2 ** Math.ceil(Math.log2(events.length * 2 + 1)));
  const mask = table.length - 1;
  let place = -1;
  for (const event of events) {
    place += 1;
    if (leftOut.has(place)) continue;
    let at = (prints[2 * place] ?? 0) & mask;
    let first = firstAt(table, at, events);
    while (first !== undefined && !isSameId(first, event)) {
      at = (at + 1) & mask;
      first = firstAt(table, at, events);
    }
    if (first === undefined) table[at] = place + 1;
    else if (first.occurredAtMs !== event.occurredAtMs) found.set(place, first.occurredAtMs);
  }
  return found;
}

function firstAt(
  table: Int32Array,
  at: number,
  events: readonly UsageEvent[],
): UsageEvent | undefined {
  const entry = table[at] ?? 0;
  // An array asked for its -1st is slow.
  return entry === 0 ? undefined : events[entry - 1];
}

function isSameId(one: UsageEvent, other: UsageEvent): boolean {
  return one.eventId === other.eventId && one.orgId === other.orgId;
}

/** Those that are stored with the other time, and not with their own. */
async function confirmed(
  database: Queryable,
  events: readonly UsageEvent[],
  suspects: OtherTimes,
): Promise<OtherTimes> {
  const others = [...suspects].flatMap(([place, occurredAtMs]) => {
    const event = events[place];
    return event === undefined ? [] : [{ ...event, occurredAtMs }];
  });
  const stored = await areStored(database, others);
  const places = [...suspects.keys()].filter((_, index) => stored[index]);
  return unstored(
    database,
    events,
    new Map(places.map((place) => [place, suspects.get(place) ?? 0])),
  );
}

/** Those that are not stored with their own time. */
async function unstored(
  database: Queryable,
  events: readonly UsageEvent[],
  suspects: OtherTimes,
): Promise<OtherTimes> {
  const own = [...suspects.keys()].flatMap((place) => events[place] ?? []);
  const stored = await areStored(database, own);
  return new Map([...suspects].filter((_, index) => !stored[index]));
}

/**
 * Whether each of these is stored. The bounds are parameters, so that only the partitions in
 * question are opened; with `offset 0` each is looked up by the key, where PostgreSQL might read all
 * rows between the bounds into a hash.
 */
async function areStored(
  database: Queryable,
  identities: readonly Pick<UsageEvent, 'orgId' | 'eventId' | 'occurredAtMs'>[],
): Promise<boolean[]> {
  if (identities.length === 0) return [];
  const times = identities.map(({ occurredAtMs }) => new Date(occurredAtMs));
  const rows = await database.query<{ stored: boolean }>(
    `select exists (
       select from analytics.usage_events as e
       where e.org_id = wanted.org_id and e.occurred_at = wanted.occurred_at
         and e.event_id = wanted.event_id and e.occurred_at >= $4 and e.occurred_at <= $5
       offset 0
     ) as stored
     from unnest($1::uuid[], $2::timestamptz[], $3::uuid[])
          with ordinality as wanted (org_id, occurred_at, event_id, place)
     order by place`,
    [
      identities.map(({ orgId }) => orgId),
      times,
      identities.map(({ eventId }) => eventId),
      times.reduce((a, b) => (b < a ? b : a)),
      times.reduce((a, b) => (b > a ? b : a)),
    ],
  );
  return rows.map(({ stored }) => stored);
}
