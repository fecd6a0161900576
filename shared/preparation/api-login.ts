import { type Database, openDatabase, type Queryable, sqlState } from '../platform/database/db.ts';
import type { Settings } from '../platform/env.ts';
import { messageOf } from '../platform/errors.ts';

/** People and Jobs wait longer for a server than requests do. */
const patienceMs = 5_000;
const groups = 'analytics_tenant, analytics_operator';
const insufficientPrivilege = '42501';

type LoginSettings = Pick<Settings, 'DATABASE_URL' | 'DATABASE_DRIVER'>;

/**
 * Makes the user the API connects as, by the URL it is to connect with: it may take on the two
 * roles of migration 0007 and has no right of its own, so that a statement outside of a tenant's
 * transaction fails. A new password in the URL becomes the user's.
 *
 * @returns what was done, in words
 * @throws Error that names the fault and the SQL to run by hand where this user may not do it
 */
export async function prepareApiLogin(settings: LoginSettings, apiUrl: string): Promise<string> {
  const { DATABASE_URL: url, DATABASE_DRIVER: driver } = settings;
  if (url === undefined) throw new Error('DATABASE_URL is required beside it: the owner makes it');
  const [user, password] = loginOf(apiUrl);
  if (user === loginOf(url)[0]) {
    throw new Error(`${user} is the user of DATABASE_URL, who owns the tables: name another`);
  }
  const fault = await checkApiLogin(settings, apiUrl).then(
    () => null,
    (error: unknown) => error,
  );
  if (fault === null) return `user ${user} is there and has no right of its own`;
  const did = await withDatabase(url, driver, (owner) => makeLogin(owner, user, password));
  await checkApiLogin(settings, apiUrl);
  return `user ${user} ${did}`;
}

/**
 * Connects as the API does, and changes nothing.
 *
 * @throws Error when the user cannot do what requests need, or could do more
 */
export async function checkApiLogin(
  { DATABASE_DRIVER: driver }: LoginSettings,
  apiUrl: string,
): Promise<string> {
  const [user] = loginOf(apiUrl);
  await withDatabase(apiUrl, driver, async (database) => {
    const [excess] = await database.query<{ right: string }>(excessRights);
    if (excess !== undefined) {
      throw new Error(`user ${user} ${excess.right}: the API must reach rows by its roles alone`);
    }
    for (const tenant of [null, '00000000-0000-0000-0000-000000000000']) {
      await database.transaction({ tenant }, (transaction) =>
        transaction.query('select 1 from usage_daily limit 0'),
      );
    }
  });
  return `user ${user} logs in and has no right of its own`;
}

/** What a user of the API must not have: rights of its own, or a role that has them. */
const excessRights = `
  with relations as (
    select c.oid, c.relname, n.nspname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('analytics', 'analytics_tenant') and c.relkind in ('r', 'p', 'v', 'm')
  )
  select format('may use %s.%s as it is', nspname, relname) as right
  from relations
  where has_table_privilege(oid, 'select, insert, update, delete, truncate')
  union all
  select format('may take on the role %s', rolname)
  from pg_roles r join relations t on t.relname = 'usage_events' and t.nspname = 'analytics'
  where rolname not in ('analytics_tenant', 'analytics_operator', current_user)
    and pg_has_role(r.oid, 'member') and has_table_privilege(r.oid, t.oid, 'select')
  union all
  select 'may make roles' from pg_roles where rolname = current_user and rolcreaterole
  limit 1`;

async function makeLogin(owner: Database, user: string, password: string): Promise<string> {
  const [found] = await owner.query<{ major: number; there: boolean; ours: boolean }>(
    `select current_setting('server_version_num')::int / 10000 as major,
            exists (select from pg_roles where rolname = $1) as there,
            exists (
              select from pg_auth_members
              where member = (select oid from pg_roles where rolname = $1)
                and roleid = to_regrole('analytics_tenant')
            ) as ours`,
    [user],
  );
  const { major = 0, there = false, ours = false } = found ?? {};
  // Since 16 what a member inherits is said of each membership.
  const terms = major >= 16 ? 'with inherit false, set true' : '';
  const grant = `grant ${groups} to %1$I ${terms}`.trim();
  if (there && !ours) {
    const byHand = await written(owner, `alter role %1$I noinherit; ${grant}`, user);
    throw new Error(`user ${user} is there, and not the API's: name another, or run ${byHand}`);
  }
  const login = `${there ? 'alter' : 'create'} role %1$I login noinherit password %2$L`;
  try {
    await owner.transaction({}, async (transaction) => {
      await transaction.query(await written(transaction, login, user, password));
      await transaction.query(await written(transaction, grant, user));
    });
  } catch (error) {
    if (sqlState(error) !== insufficientPrivilege) throw error;
    const byHand = await written(owner, `${login}; ${grant}`, user, '…');
    throw new Error(
      `${messageOf(error)}. Let one who may make roles run, with the password of the URL: ${byHand}`,
      { cause: error },
    );
  }
  return there ? 'has the password of the URL now' : 'made, without a right of its own';
}

/** A statement with names and texts quoted by the server: those that make roles take no values. */
async function written(server: Queryable, form: string, ...values: string[]): Promise<string> {
  const [row] = await server.query<{ sql: string }>(
    'select format($1, variadic $2::text[]) as sql',
    [form, values],
  );
  if (row === undefined) throw new Error('format returned no row');
  return row.sql;
}

function loginOf(address: string): [user: string, password: string] {
  const { username, password } = new URL(address);
  if (username === '') throw new Error('the URL names no user');
  return [decodeURIComponent(username), decodeURIComponent(password)];
}

async function withDatabase<T>(
  url: string,
  driver: Settings['DATABASE_DRIVER'],
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const database = openDatabase({ url, driver, connectionsMax: 1, patienceMs });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}
