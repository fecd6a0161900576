import type { Transaction } from '../../shared/platform/database/db.ts';
import type { WindowPlan } from '../../shared/queries/time-window.ts';
import { type PendingBatches, pendingBatches } from '../../shared/rollups/pending-batches.ts';
import { compare, type Figure, measureInTurns } from './figure.ts';
import { peakMb, resetPeak } from './memory.ts';
import { localDays, localZone, type UsageData } from './usage-data.ts';
import { busyOrg } from './usage-rows.ts';

export interface QuerySides {
  name: string;
  rounds: number;
  /** How often ours is asked in a round, for one time of the other side. */
  repeats: number;
  goals: { utc: number; local: number };
  what: string;
  /** Asks for the busy org. */
  ours(
    snapshot: Transaction,
    plan: WindowPlan,
    pending: PendingBatches,
  ): Promise<readonly unknown[]>;
  /** The same answer from raw rows: $1 org, $2 and $3 window, $4 time zone. */
  raw: string;
}

/** A question about 31 days, by rollups and from raw rows, in UTC and in a local zone. */
export async function besideRawRows(data: UsageData, sides: QuerySides): Promise<Figure[]> {
  const zones = [
    { name: 'utc', timeZone: 'UTC', goal: sides.goals.utc },
    { name: 'local', timeZone: localZone, goal: sides.goals.local },
  ];
  const figures: Figure[] = [];
  for (const { name, timeZone, goal } of zones) {
    const plan = localDays(data, 31, timeZone);
    await resetPeak();
    const measured = await measureInTurns(sides.rounds, {
      ours: () => perSecond(sides.repeats, () => oursOnce(data, sides, plan)),
      raw: () => perSecond(1, () => rawOnce(data, sides, plan)),
    });
    figures.push({
      name: `${sides.name}-${name}`,
      ...compare(measured.ours, measured.raw),
      unit: 'answers/s',
      goal,
      higherIsBetter: true,
      peakMb: await peakMb('self'),
      what: `${sides.what}, days of ${timeZone}; beside it the same from raw rows`,
    });
  }
  return figures;
}

function oursOnce({ database }: UsageData, sides: QuerySides, plan: WindowPlan) {
  return database.transaction({ mode: 'snapshot' }, async (snapshot) =>
    sides.ours(snapshot, plan, await pendingBatches(snapshot)),
  );
}

function rawOnce({ database }: UsageData, { raw }: QuerySides, { window }: WindowPlan) {
  return database.transaction({ mode: 'snapshot' }, (snapshot) =>
    snapshot.query(raw, [
      busyOrg,
      new Date(window.startMs),
      new Date(window.endMs),
      window.timeZone,
    ]),
  );
}

/** @throws Error when there is no answer: it would be a fast one. */
async function perSecond(times: number, ask: () => Promise<readonly unknown[]>): Promise<number> {
  const startedMs = performance.now();
  for (let time = 0; time < times; time += 1) {
    if ((await ask()).length === 0) throw new Error('the query found nothing');
  }
  return (times * 1_000) / (performance.now() - startedMs);
}
