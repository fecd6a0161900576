import type { Database } from '../platform/database/db.ts';

export interface CatalogName {
  id: string;
  name: string;
}

/** Names of orgs and models, mirrored from wherever they are kept. */
export interface CatalogNames {
  orgs: readonly CatalogName[];
  models: readonly CatalogName[];
}

/** Adds and renames; what is not named stays. The last of two names for one id wins. */
export async function saveNames(database: Database, { orgs, models }: CatalogNames): Promise<void> {
  await database.transaction({}, async (transaction) => {
    await transaction.query(upsert('orgs', 'org_id'), columnsOf(orgs));
    await transaction.query(upsert('models', 'model_id'), columnsOf(models));
  });
}

function upsert(table: string, key: string): string {
  return `
    insert into analytics.${table} as t (${key}, name)
    select * from unnest($1::uuid[], $2::text[])
    order by 1
    on conflict (${key}) do update set name = excluded.name, updated_at = now()
    where t.name <> excluded.name`;
}

function columnsOf(names: readonly CatalogName[]): [string[], string[]] {
  const unique = new Map(names.map(({ id, name }) => [id.toLowerCase(), name]));
  return [[...unique.keys()], [...unique.values()]];
}
