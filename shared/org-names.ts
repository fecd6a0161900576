import type { Queryable } from './db.ts';

/**
 * What orgs are called, by id; the id itself where the catalog does not know a name, so that none
 * of them is missing.
 */
export async function orgNames(
  snapshot: Queryable,
  orgIds: readonly string[],
): Promise<Map<string, string>> {
  const names = new Map(orgIds.map((orgId) => [orgId, orgId]));
  const rows = await snapshot.query<{ org_id: string; name: string }>(
    'select org_id, name from analytics.orgs where org_id = any($1::uuid[])',
    [[...names.keys()]],
  );
  for (const { org_id: orgId, name } of rows) names.set(orgId, name);
  return names;
}
