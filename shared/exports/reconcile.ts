import type { Database, Queryable } from '../platform/database/db.ts';
import { dayMs, planWindow } from '../queries/time-window.ts';
import { usageTotals } from '../queries/usage-query.ts';
import { Values, withinWindow } from '../queries/window-sql.ts';
import { type PendingBatches, pendingBatches } from '../rollups/pending-batches.ts';
import { fromScaled, toScaled } from './format.ts';
import { type ExportJob, type ExportTotals, toExportJob } from './job.ts';

/** An export whose totals are no longer those of its window. */
export interface ExportDifference {
  job: ExportJob;
  exported: ExportTotals;
  now: ExportTotals;
  /** Now less exported, by measure. */
  change: { invocations: number; costEstimateCents: string };
  /**
   * `restated`: the window was closed, and events that arrived after the export account for the
   * change. `open`: so they do, but the window was not over when it was exported. `wrong`: they do
   * not; the file or the rollups are at fault.
   */
  kind: 'restated' | 'open' | 'wrong';
}

export interface ExportReconciliation {
  checked: number;
  differences: ExportDifference[];
}

const jobsMax = 200;
/** Batches are remembered for 35 days; what came late is not told from what is wrong without them. */
export const exportDaysMax = 30;

/**
 * Compares the totals of exports of the last `days` with what their windows hold now, to the last
 * decimal. The newest 200 at most.
 *
 * @param days at most 30
 * @param rawRetentionDays exports that reach back further are left out
 */
export async function reconcileExports(
  database: Database,
  days: number,
  rawRetentionDays: number,
): Promise<ExportReconciliation> {
  const oldest = new Date((Math.floor(Date.now() / dayMs) - rawRetentionDays) * dayMs);
  return database.transaction(
    { mode: 'snapshot', statementTimeoutMs: 300_000 },
    async (snapshot) => {
      const pending = await pendingBatches(snapshot);
      const rows = await snapshot.query(
        `select * from analytics.export_jobs
         where status = 'succeeded' and range_start >= $1
           and completed_at > clock_timestamp() - make_interval(days => $2)
         order by completed_at desc
         limit $3`,
        [oldest, Math.min(days, exportDaysMax), jobsMax],
      );
      const differences: ExportDifference[] = [];
      for (const job of rows.map(toExportJob)) {
        const difference = await compare(snapshot, pending, job);
        if (difference !== null) differences.push(difference);
      }
      return { checked: rows.length, differences };
    },
  );
}

async function compare(
  snapshot: Queryable,
  pending: PendingBatches,
  job: ExportJob,
): Promise<ExportDifference | null> {
  const { totals: exported, granularity, timezone: timeZone } = job;
  if (exported === null) return null;
  const plan = planWindow({ ...job.range, granularity, timeZone }, { anyHours: true });
  const filter = { orgId: job.orgId, modelIds: job.models ?? [], clientIds: [] };
  const now = await usageTotals(snapshot, plan, pending, filter);
  const changes = measuresOf(now).map(
    (value, index) => value - (measuresOf(exported)[index] ?? 0n),
  );
  if (changes.every((change) => change === 0n)) return null;
  const late = measuresOf(await lateTotals(snapshot, job));
  return {
    job,
    exported,
    now,
    change: {
      invocations: now.invocations - exported.invocations,
      costEstimateCents: fromScaled(changes.at(-1) ?? 0n),
    },
    kind: !changes.every((change, index) => change >= 0n && change <= (late[index] ?? 0n))
      ? 'wrong'
      : wasClosed(job)
        ? 'restated'
        : 'open',
  };
}

function wasClosed({ completeThrough, range }: ExportJob): boolean {
  return completeThrough !== null && completeThrough.getTime() >= range.endMs;
}

/**
 * At most what an export cannot have seen: events of batches committed after its attempt began,
 * some of which its snapshot may have held.
 */
async function lateTotals(snapshot: Queryable, job: ExportJob): Promise<ExportTotals> {
  const values = new Values();
  const [row] = await snapshot.query<ExportTotals>(
    `select count(*)::float8 as "invocations",
            count(*) filter (where status <> 'success')::float8 as "errors",
            coalesce(sum(input_tokens), 0)::text as "inputTokens",
            coalesce(sum(output_tokens), 0)::text as "outputTokens",
            trim_scale(coalesce(sum(cost_estimate_cents), 0))::text as "costEstimateCents"
     from analytics.usage_events e
     where ${withinWindow(job, job.range, values)}
       and batch_id in (select batch_id from analytics.ingestion_batches
                        where committed_at >= ${values.bind(job.startedAt, 'timestamptz')})`,
    values.list,
  );
  if (row === undefined) throw new Error('an aggregate returned no row');
  return row;
}

/** Every measure as a whole number, cost last. */
function measuresOf(totals: ExportTotals): bigint[] {
  return [
    BigInt(totals.invocations),
    BigInt(totals.errors),
    BigInt(totals.inputTokens),
    BigInt(totals.outputTokens),
    toScaled(totals.costEstimateCents),
  ];
}
