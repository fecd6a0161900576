import type { Queryable } from '../platform/database/db.ts';

/** What the catalog calls an org; null where it does not know it. */
export async function orgName(snapshot: Queryable, orgId: string): Promise<string | null> {
  const [org] = await snapshot.query<{ name: string }>('select name from orgs where org_id = $1', [
    orgId,
  ]);
  return org?.name ?? null;
}

/**
 * What orgs are called, by id; with the id behind a name that another org has too, and the id itself
 * where the catalog does not know a name, so that none of them is missing or taken for another.
 */
export async function orgNames(
  snapshot: Queryable,
  orgIds: readonly string[],
): Promise<Map<string, string>> {
  const names = new Map(orgIds.map((orgId) => [orgId, orgId]));
  const rows = await snapshot.query<{ org_id: string; name: string }>(
    `select org_id, case when exists (select from orgs other
                                       where other.name = o.name and other.org_id <> o.org_id)
                         then concat(name, ' (', org_id, ')') else name end as name
     from orgs o
     where org_id = any($1::uuid[])`,
    [[...names.keys()]],
  );
  for (const { org_id: orgId, name } of rows) names.set(orgId, name);
  return names;
}
