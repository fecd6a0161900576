import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { eventStorage } from '../shared/events/event-storage.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import { createExportJob } from '../shared/exports/job.ts';
import {
  type Database,
  openDatabase,
  type Queryable,
  type Transaction,
} from '../shared/platform/database/db.ts';
import { checkApiLogin, prepareApiLogin } from '../shared/preparation/api-login.ts';
import { saveNames } from '../shared/preparation/catalog.ts';
import { migrate } from '../shared/preparation/migrate.ts';
import { planWindow } from '../shared/queries/time-window.ts';
import { usageQuery, usageTotals } from '../shared/queries/usage-query.ts';
import { pendingBatches } from '../shared/rollups/pending-batches.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { apiDatabaseUrl } from './support/api-login.ts';
import { createDatabase, emptyDatabase } from './support/database.ts';
import { startTimescale } from './support/timescale.ts';
import { usageEvent } from './support/usage-events.ts';

const dayMs = 86_400_000;
/**
 * The last 18:30 UTC, whatever the time of day: a quarter of an hour after midnight in Kathmandu,
 * where what is not folded yet lies on both sides of it, in hours that are read from raw rows too.
 */
const sinceMidnightMs = 18.5 * 3_600_000;
const nowMs = Math.floor((Date.now() - sinceMidnightMs) / dayMs) * dayMs + sinceMidnightMs;
const today = Math.floor(nowMs / dayMs) * dayMs;
const days = 60;

/**
 * What each relation of the schema is to the two roles of a request. Whoever adds one says it here:
 * `rows` a tenant sees its own rows, `bookkeeping` the named columns, in which nobody's data is,
 * `hidden` nothing; an operator reads it, adds to it too, or has no business there.
 */
const rules: Record<string, { tenant: Tenant; operator: 'reads' | 'adds' | 'nothing' }> = {
  usage_events: { tenant: 'rows', operator: 'reads' },
  usage_hourly: { tenant: 'rows', operator: 'reads' },
  usage_daily: { tenant: 'rows', operator: 'reads' },
  error_hourly: { tenant: 'rows', operator: 'reads' },
  error_daily: { tenant: 'rows', operator: 'reads' },
  freshness_status: { tenant: 'rows', operator: 'reads' },
  export_jobs: { tenant: 'rows', operator: 'adds' },
  ingestion_batches: {
    tenant: { bookkeeping: ['batch_id', 'min_occurred_at', 'max_occurred_at', 'folded_at'] },
    operator: 'reads',
  },
  stream_offsets: {
    tenant: { bookkeeping: ['retired', 'complete_through'] },
    operator: 'reads',
  },
  orgs: { tenant: 'rows', operator: 'reads' },
  // By name alone, to who knows the id.
  models: { tenant: 'hidden', operator: 'reads' },
  counters: { tenant: 'hidden', operator: 'adds' },
  job_runs: { tenant: 'hidden', operator: 'reads' },
  dead_letter_queues: { tenant: 'hidden', operator: 'reads' },
  data_quality_runs: { tenant: 'hidden', operator: 'reads' },
  consumers: { tenant: 'hidden', operator: 'nothing' },
  migrations: { tenant: 'hidden', operator: 'nothing' },
  usage_by_hour: { tenant: 'hidden', operator: 'nothing' },
  usage_by_day: { tenant: 'hidden', operator: 'nothing' },
  ingestion_by_hour: { tenant: 'hidden', operator: 'nothing' },
  export_history: { tenant: 'hidden', operator: 'nothing' },
};
type Tenant = 'rows' | 'hidden' | { bookkeeping: string[] };

const named = Object.entries(rules);
const withRows = named.filter(([, { tenant }]) => tenant === 'rows').map(([name]) => name);

const orgA = randomUUID();
const orgB = randomUUID();
const modelOf = { [orgA]: randomUUID(), [orgB]: randomUUID() };

interface Server {
  /** As jobs connect. */
  owner: Database;
  /** As the API does. */
  api: Database;
  stop(): Promise<void>;
}

const servers: [string, () => Promise<Server>][] = [
  [
    'native partitions',
    async () => {
      const { url, drop } = await createDatabase();
      const owner = openDatabase({ url, patienceMs: 5_000 });
      const api = openDatabase({ url: apiDatabaseUrl(url), patienceMs: 5_000 });
      return { owner, api, stop: () => closeAll([owner, api], drop) };
    },
  ],
  [
    'TimescaleDB, most of it compressed',
    async () => {
      const { url, stop } = await startTimescale();
      await migrate(url);
      // Nobody else logs in there: the owner takes the roles on.
      const owner = openDatabase({ url, connectionsMax: 1, patienceMs: 30_000 });
      return { owner, api: owner, stop: () => closeAll([owner], stop) };
    },
  ],
];

async function closeAll(databases: Database[], stop: () => Promise<void>): Promise<void> {
  for (const database of databases) await database.close();
  await stop();
}

describe.each(servers)('with %s', (name, start) => {
  const isTimescale = name.startsWith('Timescale');
  let owner: Database;
  let api: Database;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    ({ owner, api, stop } = await start());
    const storage = eventStorage(owner);
    const eventsOf = (orgId: string, count: number, spreadMs: number) =>
      Array.from({ length: count }, (_, index) =>
        usageEvent({
          orgId,
          modelId: modelOf[orgId] ?? '',
          occurredAtMs: nowMs - 60_000 - Math.floor((index * spreadMs) / count),
          ...(index % 3 === 0 ? { status: 'error', errorCode: `of ${orgId}` } : {}),
        }),
      );
    const store = (events: ReturnType<typeof eventsOf>) =>
      storeBatch(owner, storage, { stream: 'http', events, rejected: 0, position: null });
    await store([...eventsOf(orgA, 240, days * dayMs), ...eventsOf(orgB, 360, days * dayMs)]);
    await foldAll(owner);
    // Not in the rollups yet.
    await store([...eventsOf(orgA, 4, 3_600_000), ...eventsOf(orgB, 6, 3_600_000)]);
    await saveNames(owner, {
      orgs: [orgA, orgB].map((id) => ({ id, name: `org ${id}` })),
      models: [orgA, orgB].map((org) => ({ id: modelOf[org] ?? '', name: `model of ${org}` })),
    });
    for (const orgId of [orgA, orgB, null]) await createExportJob(owner, newExport(orgId));
    if (!isTimescale) return;
    const retention = { rawRetentionDays: 400, compressAfterDays: 7 };
    for (let run = 0; run < days / 2; run += 1) await storage.upkeep(retention, nowMs);
    const [chunks] = await owner.query<{ compressed: number }>(
      `select count(*) filter (where is_compressed)::int as compressed
       from timescaledb_information.chunks where hypertable_name = 'usage_events'`,
    );
    expect(chunks?.compressed).toBeGreaterThan(days - 10);
  });
  afterAll(() => stop?.());

  /** In a transaction of the role, without an org unless `prelude` sets one. */
  const asTenant = <T>(work: (transaction: Transaction) => Promise<T>, prelude = '') =>
    api.transaction({ prelude: `set local role analytics_tenant; ${prelude}` }, work);

  test('every relation has a rule', async () => {
    expect((await relationsIn(owner, 'analytics')).sort()).toEqual(Object.keys(rules).sort());
    const views = named.filter(([, { tenant }]) => tenant !== 'hidden').map(([view]) => view);
    expect((await relationsIn(owner, 'analytics_tenant')).sort()).toEqual(views.sort());
  });

  test('the roles have the rights of the rules, on no partition or chunk, and everybody else none', async () => {
    expect(await rightsOf(owner)).toEqual(expectedRights());
  });

  test.each(withRows)('%s has rows of the own org alone, and none without an org', async (view) => {
    const orgsIn = (transaction: Queryable) =>
      transaction
        .query<{ org: string | null }>(
          `select distinct org_id as org from analytics_tenant.${view} order by 1`,
        )
        .then((rows) => rows.map(({ org }) => org));
    for (const tenant of [orgA, orgB]) {
      expect(await api.transaction({ tenant }, orgsIn)).toEqual([tenant]);
    }
    expect(await api.transaction({ tenant: randomUUID() }, orgsIn)).toEqual([]);
    expect(await asTenant(orgsIn)).toEqual([]);
    expect(await asTenant(orgsIn, `set local app.org = ''`)).toEqual([]);
    await expect(asTenant(orgsIn, `set local app.org = 'all'`)).rejects.toThrow('uuid');
  });

  test('every table, view, partition and chunk behind them is refused', async () => {
    const all = await owner.query<{ name: string }>(
      `select format('%I.%I', n.nspname, relname) as name
       from pg_class c join pg_namespace n on n.oid = relnamespace
       where nspname in ('analytics', '_timescaledb_internal') and relkind in ('r', 'p', 'v')
         and (nspname = 'analytics' or relname ~ '^(_hyper_|compress_hyper_)')`,
    );
    expect(all.length).toBeGreaterThan(days);
    for (const { name: relation } of all) {
      const read = asTenant((transaction) => transaction.query(`select from ${relation} limit 1`));
      await expect(read, relation).rejects.toThrow('permission denied');
    }
  });

  test('nobody writes through the views, but an export of its own', async () => {
    const columns =
      'job_id, org_id, format, granularity, timezone, range_start, range_end, initiated_by';
    const exportOf = (org: string) =>
      `insert into export_jobs (${columns})
       values (gen_random_uuid(), '${org}', 'csv', 'day', 'UTC', now() - interval '1 day', now(), 'x')`;
    for (const statement of [
      'update export_jobs set initiated_by = $$x$$',
      'delete from export_jobs',
      'delete from usage_events',
      `update usage_daily set org_id = '${orgB}'`,
      'insert into stream_offsets values (true, now())',
      `${exportOf(orgA).replace('initiated_by)', 'initiated_by, status)').replace(`'x')`, `'x', 'failed')`)}`,
    ]) {
      const write = api.transaction({ tenant: orgA }, (one) => one.query(statement));
      await expect(write, statement).rejects.toThrow('permission denied');
    }
    const write = api.transaction({ tenant: orgA }, (one) => one.query(exportOf(orgB)));
    await expect(write).rejects.toThrow('violates check option');
    const undone = api.transaction({ tenant: orgA }, async (one) => {
      await one.query(exportOf(orgA));
      throw new Error('enough');
    });
    await expect(undone).rejects.toThrow('enough');
  });

  test('a query that forgets its tenant, or takes another, answers of its own org alone', async () => {
    const plan = planOf('UTC');
    const invocations = async (tenant: string, orgId: string | null) =>
      api.transaction({ mode: 'snapshot', tenant }, async (snapshot) => {
        const filter = { orgId, modelIds: [], clientIds: [] };
        return (await usageTotals(snapshot, plan, await pendingBatches(snapshot), filter))
          .invocations;
      });
    expect(await invocations(orgA, orgA)).toBe(244);
    expect(await invocations(orgA, null)).toBe(244);
    expect(await invocations(orgA, orgB)).toBe(0);
  });

  test("a model's name is told to who knows its id, and there is no list", async () => {
    const read = (sql: string, values: unknown[]) =>
      api.transaction({ tenant: orgA }, (transaction) => transaction.query(sql, values));
    expect(await read('select model_name($1) as name', [modelOf[orgA]])).toEqual([
      { name: `model of ${orgA}` },
    ]);
    await expect(read('select * from models', [])).rejects.toThrow('does not exist');
  });

  test('an operator reads all orgs, and changes nothing of theirs', async () => {
    const orgs = await api.transaction({ tenant: null }, (transaction) =>
      transaction.query('select distinct org_id from usage_events'),
    );
    expect(orgs).toHaveLength(2);
    for (const statement of [
      'delete from usage_events',
      'update export_jobs set initiated_by = $$x$$',
      'update stream_offsets set retired = true',
      'select * from analytics_tenant.usage_events',
      'select * from migrations',
    ]) {
      const done = api.transaction({ tenant: null }, (one) => one.query(statement));
      await expect(done, statement).rejects.toThrow('permission denied');
    }
  });

  test.each(['UTC', 'Europe/Berlin', 'Asia/Kathmandu'])(
    'days of %s are read by the same scans as from the tables, of as few partitions',
    async (timeZone) => {
      const plan = planOf(timeZone);
      const filter = { orgId: orgA, modelIds: [], clientIds: [] };
      const scansOf = (tenant: string | undefined) =>
        owner.transaction(
          {
            mode: 'snapshot',
            prelude: 'set local enable_seqscan = off',
            ...(tenant && { tenant }),
          },
          async (snapshot) => {
            const pending = await pendingBatches(snapshot);
            const scans: string[] = [];
            const explaining: Queryable = {
              query: async (text, values) => {
                const plans = await snapshot.query<{ 'QUERY PLAN': unknown }>(
                  `explain (analyze, timing off, format json) ${text}`,
                  values,
                );
                scans.push(...scansIn(plans[0]?.['QUERY PLAN']));
                return snapshot.query(text, values);
              },
            };
            await usageQuery(explaining, plan, pending, filter, 'model');
            return scans.sort();
          },
        );
      const scans = await scansOf(orgA);
      expect(scans.length).toBeGreaterThan(0);
      expect(scans).toEqual(await scansOf(undefined));
    },
  );

  test('after commit and after rollback nothing of the setting is left', async () => {
    const setting = `select nullif(current_setting('app.org', true), '') as org,
                            current_user::text <> 'analytics_tenant' as back,
                            current_setting('search_path') as path`;
    const rested = await api.query(setting);
    expect(rested).toMatchObject([{ org: null, back: true }]);
    await api.transaction({ tenant: orgA }, (transaction) => transaction.query('select 1'));
    expect(await api.query(setting)).toEqual(rested);
    await expect(
      api.transaction({ tenant: orgA }, (transaction) => transaction.query('select 1 / 0')),
    ).rejects.toThrow('division by zero');
    expect(await api.query(setting)).toEqual(rested);
  });

  test('what is no uuid is nobody, and never part of a statement', async () => {
    for (const tenant of ['', 'all', orgA.toUpperCase(), `${orgA}'; reset role; --`]) {
      const given = api.transaction({ tenant }, (transaction) => transaction.query('select 1'));
      await expect(given).rejects.toThrow('the tenant of a transaction must be a uuid');
    }
  });

  function planOf(timeZone: string) {
    return planWindow({
      startMs: today - days * dayMs,
      endMs: today + dayMs,
      granularity: 'day',
      timeZone,
    });
  }
});

describe("the API's user", () => {
  let url: string;
  let owner: Database;
  let api: Database;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    ({ url, drop } = await createDatabase());
    owner = openDatabase({ url, patienceMs: 5_000 });
    api = openDatabase({ url: apiDatabaseUrl(url), connectionsMax: 1, patienceMs: 5_000 });
  });
  afterAll(() => closeAll([owner, api], drop));

  test('has no right outside of a transaction that says whose rows', async () => {
    const [who] = await api.query('select session_user::text as name');
    expect(who).toEqual({ name: inject('apiLogin').user });
    for (const relation of Object.keys(rules)) {
      for (const schema of ['analytics', 'analytics_tenant']) {
        const read = api.query(`select from ${schema}.${relation} limit 1`);
        await expect(read).rejects.toThrow('permission denied');
      }
      const unsaid = api.transaction({}, (transaction) => transaction.query(`table ${relation}`));
      await expect(unsaid).rejects.toThrow(/permission denied|does not exist/);
    }
  });

  test('a role that it may not take on fails its transaction, and not the next', async () => {
    await withUser('noinherit', async (_, address) => {
      const stranger = openDatabase({ url: address, connectionsMax: 1, patienceMs: 5_000 });
      try {
        for (const tenant of [orgA, null]) {
          const asked = stranger.transaction({ tenant }, (one) => one.query('select 1'));
          await expect(asked).rejects.toThrow('permission denied to set role');
          expect(await stranger.query('select 1 as one')).toEqual([{ one: 1 }]);
        }
      } finally {
        await stranger.close();
      }
    });
  });

  test.each([
    ['inherits what a role may', 'inherit', 'grant analytics_operator to %', /may use analytics\./],
    [
      'may read tables',
      'noinherit',
      'grant usage on schema analytics to %; grant select on analytics.orgs to %',
      /analytics\.orgs/,
    ],
    ['may make roles', 'noinherit createrole', '', /may make roles/],
    ['may read everything', 'noinherit', 'grant pg_read_all_data to %', /pg_read_all_data/],
    ['has no role of ours', 'noinherit', 'revoke analytics_tenant from %', /permission denied/],
  ])('one that %s is refused, with the reason', async (_, attributes, sql, reason) => {
    await withUser(attributes, async (name, address) => {
      await owner.query(`grant analytics_tenant, analytics_operator to ${name}`);
      if (sql !== '') await owner.query(sql.replaceAll('%', name));
      await expect(checkApiLogin(settings(), address)).rejects.toThrow(reason);
    });
  });

  test('that is somebody else is left as it is, and its own is made so and given new passwords', async () => {
    await withUser('inherit', async (name, address) => {
      await expect(prepareApiLogin(settings(), address)).rejects.toThrow(
        /is there, and not the API's: name another, or run alter role .* noinherit; grant /,
      );
      await owner.query(`grant analytics_tenant to ${name}`);
      const changed = new URL(address);
      changed.password = `it's 100%25 "new"`;
      expect(await prepareApiLogin(settings(), changed.href)).toBe(
        `user ${name} has the password of the URL now`,
      );
      await expect(checkApiLogin(settings(), address)).rejects.toThrow('password authentication');
      expect(await prepareApiLogin(settings(), changed.href)).toContain('has no right of its own');
    });
  });

  test('and roles where a migrator may make none: it says what to run by hand', async () => {
    const bare = await emptyDatabase();
    const databaseOwner = openDatabase({ url: bare.url, patienceMs: 5_000 });
    try {
      await withUser('noinherit', async (name, address) => {
        await databaseOwner.query(`grant create on database ${nameOf(bare.url)} to ${name}`);
        const migrator = new URL(address);
        migrator.pathname = `/${nameOf(bare.url)}`;
        await expect(migrate(migrator.href)).rejects.toThrow(
          `grant analytics_tenant, analytics_operator to ${name}; and then migrate again`,
        );
        await owner.query(`grant analytics_tenant, analytics_operator to ${name}`);
        await migrate(migrator.href);
        const apiUser = new URL(migrator);
        apiUser.username = `${name}_api`;
        await expect(
          prepareApiLogin({ DATABASE_URL: migrator.href, DATABASE_DRIVER: 'pg' }, apiUser.href),
        ).rejects.toThrow(
          `create role ${name}_api login noinherit password '…'; ` +
            `grant analytics_tenant, analytics_operator to ${name}_api`,
        );
        await databaseOwner.query(`drop owned by ${name} cascade`);
      });
    } finally {
      await databaseOwner.close();
      await bare.drop();
    }
  });

  const settings = () => ({ DATABASE_URL: url, DATABASE_DRIVER: 'pg' }) as const;

  /** Another user of the server, for a while. */
  async function withUser(
    attributes: string,
    work: (name: string, url: string) => Promise<void>,
  ): Promise<void> {
    const name = `other_${randomUUID().slice(0, 8)}`;
    const address = new URL(url);
    address.username = name;
    address.password = 'a-password-of-its-own';
    await owner.query(`create role ${name} login ${attributes} password '${address.password}'`);
    try {
      await work(name, address.href);
    } finally {
      await owner.query(`drop owned by ${name}; drop role ${name}`);
    }
  }
});

function nameOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

function newExport(orgId: string | null) {
  return {
    orgId,
    format: 'csv',
    granularity: 'day',
    timezone: 'UTC',
    models: null,
    range: { startMs: today - dayMs, endMs: today },
    initiatedBy: 'a test',
    idempotencyKey: null,
  } as const;
}

/** Tables and views, without partitions. */
async function relationsIn(database: Queryable, schema: string): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `select relname as name from pg_class
     where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
       and not relispartition`,
    [schema],
  );
  return rows.map(({ name }) => name);
}

const addedColumns =
  'format, granularity, idempotency_key, initiated_by, job_id, models, org_id, range_end, range_start, timezone';

function expectedRights(): string[] {
  const rights = named.flatMap(([relation, { tenant, operator }]) => [
    ...(tenant === 'hidden' ? [] : [`analytics_tenant: select on analytics_tenant.${relation}`]),
    ...(operator === 'nothing' ? [] : [`analytics_operator: select on analytics.${relation}`]),
  ]);
  return [
    ...rights,
    `analytics_tenant: insert (${addedColumns}) on analytics_tenant.export_jobs`,
    `analytics_operator: insert (${addedColumns}) on analytics.export_jobs`,
    'analytics_operator: insert on analytics.counters',
    'analytics_operator: update (value) on analytics.counters',
    'analytics_tenant: usage on schema analytics_tenant',
    'analytics_operator: usage on schema analytics',
    'analytics_tenant: execute on analytics_tenant.model_name',
  ].sort();
}

/** Every right that is not the owner's, on relations, columns, schemas and functions of ours. */
async function rightsOf(database: Queryable): Promise<string[]> {
  const rows = await database.query<{ right: string }>(
    `with ours as (
       select oid, nspname, nspacl, nspowner from pg_namespace
       where nspname in ('analytics', 'analytics_tenant')
     ), granted as (
       select (aclexplode(relacl)).*, format('%s.%s', nspname, relname) as name, relowner as owner
       from pg_class c join ours on ours.oid = relnamespace
       union all
       select (aclexplode(nspacl)).*, 'schema ' || nspname, nspowner from ours
       union all
       select (aclexplode(coalesce(proacl, acldefault('f', proowner)))).*,
              format('%s.%s', nspname, proname), proowner
       from pg_proc p join ours on ours.oid = pronamespace
       -- The schema is closed to everybody.
       where nspname = 'analytics_tenant'
     ), of_columns as (
       select format('%s.%s', nspname, relname) as name, attname, (aclexplode(attacl)).*
       from pg_attribute a join pg_class c on c.oid = attrelid join ours on ours.oid = relnamespace
     )
     select format('%s: %s on %s', case grantee when 0 then 'public' else grantee::regrole::text end,
                   lower(privilege_type), name) as right
     from granted where grantee <> owner
     union all
     select format('%s: %s (%s) on %s', grantee::regrole, lower(privilege_type),
                   string_agg(attname, ', ' order by attname), name)
     from of_columns group by grantee, privilege_type, name`,
  );
  return rows.map(({ right }) => right).sort();
}

interface PlanNode {
  'Node Type': string;
  'Custom Plan Provider'?: string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Index Cond'?: string;
  'Actual Rows': number;
  'Rows Removed by Filter'?: number;
  'Actual Loops': number;
  Plans?: PlanNode[];
}

/** Each scan of a plan: what of, by which of an index's columns, and how many rows it read. */
function scansIn(plan: unknown): string[] {
  const [root] = plan as [{ Plan: PlanNode }];
  const scans: string[] = [];
  const visit = (node: PlanNode) => {
    const relation = node['Relation Name'];
    // Over chunks that a parameter chooses at run time there is one more node, which reads nothing.
    const reads = node['Custom Plan Provider'] !== 'ChunkAppend';
    if (relation !== undefined && reads) {
      const columns = node['Index Cond']
        ?.match(/\(([a-z_]+) [<>=]+/g)
        ?.map((text) => text.slice(1));
      scans.push(
        [
          node['Node Type'],
          relation,
          ...[...new Set(columns)].sort(),
          // All that it read: through a view, what the index does not know is sorted out above it.
          `${(node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']} rows`,
        ].join(' '),
      );
    }
    node.Plans?.forEach(visit);
  };
  visit(root.Plan);
  return scans;
}
