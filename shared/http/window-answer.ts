import type { Context } from 'hono';
import { overallFreshness, readOrgTimes } from '../freshness/freshness.ts';
import type { Database, Transaction } from '../platform/database/db.ts';
import { localTime, type WindowPlan } from '../queries/time-window.ts';
import { type PendingBatches, pendingBatches } from '../rollups/pending-batches.ts';
import type { AppEnv } from './context.ts';
import { json } from './json.ts';

/**
 * Answers a window of an org: what was asked, what `query` found, and how complete it is, all of
 * it read in one snapshot.
 *
 * @param echo parameters to repeat beside the window's own
 */
export async function answerWindow(
  context: Context<AppEnv>,
  database: Database,
  orgId: string,
  plan: WindowPlan,
  echo: Record<string, string>,
  query: (snapshot: Transaction, pending: PendingBatches) => Promise<object>,
): Promise<Response> {
  const reach = { mode: 'snapshot', tenant: orgId } as const;
  const { answer, times } = await database.transaction(reach, async (snapshot) => {
    const pending = await pendingBatches(snapshot);
    return {
      answer: await query(snapshot, pending),
      times: await readOrgTimes(snapshot, orgId, pending),
    };
  });
  const { granularity, timeZone, startMs, endMs } = plan.window;
  return json(context, {
    orgId,
    granularity,
    timezone: timeZone,
    start: localTime(startMs, timeZone),
    end: localTime(endMs, timeZone),
    ...echo,
    ...answer,
    freshness: overallFreshness(times, Date.now()),
  });
}
