import type { Queryable } from '../../shared/platform/database/db.ts';

/** Where the committed snapshot is; `UPDATE_SNAPSHOT=1` writes it anew. */
export const snapshotFile = new URL('../../migrations/schema.txt', import.meta.url);

/**
 * The schemas `analytics` and `analytics_tenant` as text, from the catalogs: the same on every PostgreSQL version and
 * storage. Left out are partitions and chunks, what TimescaleDB keeps elsewhere, and how a table
 * is partitioned.
 */
export async function schemaSnapshot(database: Queryable): Promise<string> {
  const sections = [
    await enums(database),
    await tables(database),
    await views(database),
    await functions(database),
  ];
  return `${sections.flat().join('\n\n')}\n`;
}

const ours = `(select oid from pg_namespace where nspname = 'analytics')`;

async function enums(database: Queryable): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select format('type %s: %s', t.typname,
                   string_agg(e.enumlabel, ', ' order by e.enumsortorder)) as line
     from pg_type t join pg_enum e on e.enumtypid = t.oid
     where t.typnamespace = ${ours}
     group by t.typname
     order by t.typname`,
  );
  return rows.map(({ line }) => line);
}

async function tables(database: Queryable): Promise<string[]> {
  const found = await database.query<{ oid: number; name: string; options: string | null }>(
    `select c.oid::int8 as oid, relname as name,
            (select string_agg(o, ', ' order by o) from unnest(reloptions) as o) as options
     from pg_class c
     where relnamespace = ${ours} and relkind in ('r', 'p') and not relispartition
     order by relname`,
  );
  return Promise.all(
    found.map(async ({ oid, name, options }) =>
      [
        `table ${name}${options === null ? '' : ` (${options})`}`,
        ...(await columns(database, oid)),
        ...(await constraints(database, oid)),
        ...(await indexes(database, oid)),
        ...(await triggers(database, oid)),
      ].join('\n'),
    ),
  );
}

async function columns(database: Queryable, table: number): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select concat('  ', attname, ' ', format_type(atttypid, atttypmod),
                   case when attnotnull then ' not null' end,
                   case attidentity when 'a' then ' identity always'
                                    when 'd' then ' identity by default' end,
                   ' ' || case attgenerated when '' then 'default ' else 'generated ' end
                       || pg_get_expr(d.adbin, d.adrelid)) as line
     from pg_attribute a
     left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where attrelid = $1 and attnum > 0 and not attisdropped
     order by attnum`,
    [table],
  );
  return rows.map(({ line }) => line);
}

/** From version 18 on, NOT NULL is a constraint too (`n`); it is already said of the column. */
async function constraints(database: Queryable, table: number): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select format('  constraint %s %s', conname, pg_get_constraintdef(oid)) as line
     from pg_constraint
     where conrelid = $1 and contype in ('p', 'u', 'f', 'c', 'x')
     order by conname`,
    [table],
  );
  return rows.map(({ line }) => line);
}

async function indexes(database: Queryable, table: number): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select format('  index %s', replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')) as line
     from pg_index join pg_class c on c.oid = indexrelid
     where indrelid = $1
       and not exists (select from pg_constraint where conindid = indexrelid and contype <> 'f')
     order by c.relname`,
    [table],
  );
  return rows.map(({ line }) => line);
}

/** TimescaleDB guards a hypertable with a trigger of its own. */
async function triggers(database: Queryable, table: number): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select format('  %s', pg_get_triggerdef(oid)) as line
     from pg_trigger
     where tgrelid = $1 and not tgisinternal and tgname not like 'ts\\_%'
     order by tgname`,
    [table],
  );
  return rows.map(({ line }) => line);
}

/** Up to version 15 the columns of a view of one table, here of the same name, are qualified. */
async function views(database: Queryable): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select format(E'view %s%s%s\\n%s', nullif(nspname, 'analytics') || '.', relname,
                   ' (' || array_to_string(reloptions, ', ') || ')',
                   replace(pg_get_viewdef(c.oid, true), relname || '.', '')) as line
     from pg_class c join pg_namespace n on n.oid = relnamespace
     where nspname in ('analytics', 'analytics_tenant') and relkind in ('v', 'm')
     order by nspname, relname`,
  );
  return rows.map(({ line }) => line);
}

async function functions(database: Queryable): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `select rtrim(pg_get_functiondef(p.oid)) as line
     from pg_proc p join pg_namespace n on n.oid = pronamespace
     where nspname in ('analytics', 'analytics_tenant')
     order by nspname, proname, pg_get_function_identity_arguments(p.oid)`,
  );
  return rows.map(({ line }) => line.trimEnd());
}
