import { decimal } from '../decimal-json.ts';
import type { Queryable } from '../platform/database/db.ts';
import type { PendingBatches } from '../rollups/pending-batches.ts';
import type { WindowPlan } from './time-window.ts';
import { sumColumns, type UsageSums, usageSource } from './usage-query.ts';
import { Values, windowRows } from './window-sql.ts';

export interface OrgUsage extends UsageSums {
  orgId: string;
  name: string | null;
}

/** Where a page begins: after this cost (decimal text) and org. */
export interface OrgCursor {
  cost: string;
  orgId: string;
}

/**
 * Every org that is known by name or by an event, with its totals for a window, dearest first. For
 * admins: the one read over all tenants.
 *
 * @returns up to `limit` orgs, and where the next page begins, null after the last
 */
export async function orgsQuery(
  snapshot: Queryable,
  plan: WindowPlan,
  pending: PendingBatches,
  limit: number,
  after: OrgCursor | null,
): Promise<{ items: OrgUsage[]; next: OrgCursor | null }> {
  const values = new Values();
  const everyOrg = { orgId: null, modelIds: [], clientIds: [] };
  const usage = windowRows('usage', plan, pending, everyOrg, usageSource, values);
  const cost = values.bind(after?.cost ?? null, 'numeric');
  const orgId = values.bind(after?.orgId ?? null, 'uuid');
  const rows = await snapshot.query<{
    org_id: string;
    name: string | null;
    invocations: number;
    errors: number;
    input_tokens: string;
    output_tokens: string;
    cost_estimate_cents: string;
  }>(
    `with ${usage}, totals as (
       select org_id, ${sumColumns} from usage group by org_id
     ), known as (
       select org_id from analytics.orgs
       union select org_id from analytics.freshness_status
       union select org_id from totals
     ), ranked as (
       select org_id, orgs.name,
              coalesce(invocations, 0) as invocations, coalesce(errors, 0) as errors,
              coalesce(input_tokens, '0') as input_tokens,
              coalesce(output_tokens, '0') as output_tokens,
              coalesce(cost_estimate_cents, '0') as cost_estimate_cents,
              coalesce(cost_estimate_cents::numeric, 0) as cost
       from known
       left join totals using (org_id)
       left join analytics.orgs using (org_id)
     )
     select * from ranked
     where ${cost} is null or cost < ${cost} or (cost = ${cost} and org_id > ${orgId})
     order by cost desc, org_id
     limit ${values.bind(limit + 1, 'integer')}`,
    values.list,
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map((row) => ({
      orgId: row.org_id,
      name: row.name,
      invocations: row.invocations,
      errors: row.errors,
      inputTokens: decimal(row.input_tokens),
      outputTokens: decimal(row.output_tokens),
      costEstimateCents: decimal(row.cost_estimate_cents),
    })),
    next:
      rows.length > limit && last !== undefined
        ? { cost: last.cost_estimate_cents, orgId: last.org_id }
        : null,
  };
}
