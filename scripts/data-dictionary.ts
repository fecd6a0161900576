import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openDatabase, type Queryable } from '../shared/platform/database/db.ts';
import { readSettings } from '../shared/platform/env.ts';
import { localDatabaseUrl } from './local/database-url.ts';
import { runScript } from './run-script.ts';

export const dictionaryFile = new URL('../docs/data-dictionary.md', import.meta.url);

const views = ['usage_by_hour', 'usage_by_day', 'ingestion_by_hour', 'export_history'];
const grants = [...views, 'data_quality_runs'].map((name) => `  analytics.${name}`).join(',\n');

const introduction = `# Data dictionary

Written by \`npm run data-dictionary\` from the comments in the schema; a test compares the two. Times
are UTC instants. Costs are NUMERIC, in hundredths of \`BILLING_CURRENCY\`.

People and tools that read with SQL get the views, which stay when tables change. They show every
tenant: give them to people who may see all.

\`\`\`sql
create role analyst login;
grant usage on schema analytics to analyst;
grant select on
${grants}
to analyst;
alter role analyst set jit = off;
\`\`\`

Always bound \`bucket_start\` (or \`occurred_at\`) by constants or parameters: bounds that SQL computes
open every partition. The org \`73796e74-6865-4000-8000-000000000001\` is reserved for the synthetic
check of \`verify\`; its events cost nothing.
`;

interface Relation {
  name: string;
  is_view: boolean;
  meaning: string | null;
}

interface Column {
  relation: string;
  name: string;
  type: string;
  nullable: boolean;
  meaning: string | null;
}

/**
 * The schema's tables, views and functions with the meanings that their comments give. The same on
 * every PostgreSQL version and storage.
 */
export async function dataDictionary(database: Queryable): Promise<string> {
  const relations = await database.query<Relation>(
    `select relname as name, relkind = 'v' as is_view, obj_description(oid, 'pg_class') as meaning
     from pg_class
     where relnamespace = 'analytics'::regnamespace and relkind in ('r', 'p', 'v')
       and not relispartition
     order by relkind <> 'v', relname`,
  );
  const columns = await database.query<Column>(
    `select c.relname as relation, a.attname as name,
            replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
              as type,
            not a.attnotnull and c.relkind <> 'v' as nullable,
            col_description(c.oid, a.attnum) as meaning
     from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = 'analytics'::regnamespace and c.relkind in ('r', 'p', 'v')
       and not c.relispartition and a.attnum > 0 and not a.attisdropped
     order by c.relname, a.attnum`,
  );
  const functions = await database.query<{ signature: string; meaning: string | null }>(
    `select format('%s(%s) → %s', proname, pg_get_function_identity_arguments(oid),
                   pg_get_function_result(oid)) as signature,
            obj_description(oid, 'pg_proc') as meaning
     from pg_proc
     where pronamespace = 'analytics'::regnamespace
     order by proname`,
  );
  const section = ({ name, meaning }: Relation) =>
    [
      `### ${name}\n\n${meaning ?? ''}\n`,
      '| column | type | meaning |\n|---|---|---|',
      ...columns.filter(({ relation }) => relation === name).map(columnLine),
      '',
    ].join('\n');
  return [
    introduction,
    '## Views\n',
    ...relations.filter((relation) => relation.is_view).map(section),
    '## Tables\n',
    ...relations.filter((relation) => !relation.is_view).map(section),
    '## Functions\n',
    '| function | meaning |\n|---|---|',
    ...functions.map(({ signature, meaning }) => `| \`${signature}\` | ${cell(meaning)} |`),
    '',
  ].join('\n');
}

function columnLine({ name, type, nullable, meaning }: Column): string {
  return `| ${name} | ${type}${nullable ? ', null' : ''} | ${cell(meaning)} |`;
}

function cell(text: string | null): string {
  return (text ?? '').replaceAll('|', '\\|');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  runScript(async () => {
    const settings = readSettings(process.env, { knowsActors: false });
    const url = await localDatabaseUrl(settings);
    const { DATABASE_DRIVER: driver } = settings;
    const database = openDatabase({ url, driver, connectionsMax: 1, patienceMs: 5_000 });
    try {
      await writeFile(dictionaryFile, await dataDictionary(database));
    } finally {
      await database.close();
    }
    console.log('wrote docs/data-dictionary.md');
  });
}
