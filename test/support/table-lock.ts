import pg from 'pg';

/** Lets nobody read or write a table until `release`, in a session of its own. */
export async function lockTable(
  url: string,
  table: 'analytics.usage_events',
): Promise<{ release(): Promise<void>; isAwaited(): Promise<boolean> }> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`begin; lock table ${table} in access exclusive mode`);
  return {
    release: () => client.end(),
    isAwaited: async () => {
      const { rows } = await client.query(
        'select from pg_locks where relation = $1::regclass and not granted',
        [table],
      );
      return rows.length > 0;
    },
  };
}
