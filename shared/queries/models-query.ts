import type { Queryable } from '../platform/database/db.ts';
import type { PendingBatches } from '../rollups/pending-batches.ts';

export interface SeenModel {
  modelId: string;
  /** Null where the catalog does not know it. */
  name: string | null;
  firstEventAt: string;
  lastEventAt: string;
}

/** The models that an org has ever used, those of batches not yet folded included. */
export async function modelsQuery(
  snapshot: Queryable,
  orgId: string,
  pending: PendingBatches,
): Promise<SeenModel[]> {
  const rows = await snapshot.query<{
    model_id: string;
    name: string | null;
    first: Date;
    last: Date;
  }>(
    `select model_id, model_name(model_id) as name,
            min(first_event_at) as first, max(last_event_at) as last
     from (
       select model_id, first_event_at, last_event_at
       from freshness_status
       where org_id = $1
       union all
       select model_id, occurred_at, occurred_at
       from usage_events
       where org_id = $1 and occurred_at >= $2 and occurred_at <= $3
         and batch_id in (select unnest($4::bigint[]))
     ) as seen
     group by model_id
     order by name nulls last, model_id`,
    [orgId, new Date(pending.fromMs), new Date(pending.throughMs), pending.ids],
  );
  return rows.map((row) => ({
    modelId: row.model_id,
    name: row.name,
    firstEventAt: row.first.toISOString(),
    lastEventAt: row.last.toISOString(),
  }));
}
