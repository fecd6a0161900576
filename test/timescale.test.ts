import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTimescale, type Timescale } from './support/timescale.ts';
import { timescaleServers } from './support/timescale-servers.ts';

const READINGS = `
  create extension if not exists timescaledb;
  create table readings (at timestamptz not null, n int not null, cost numeric(18, 4) not null);
  select create_hypertable('readings', 'at', chunk_time_interval => interval '1 day');
  insert into readings
    select '2026-01-01Z'::timestamptz + i * interval '1 hour', i, 0.1 * i
    from generate_series(0, 239) i;
`;

describe.each(timescaleServers)('%s', (_, license, start) => {
  let server: Timescale;
  let client: pg.Client;

  beforeAll(async () => {
    server = await start();
    client = new pg.Client(server.url);
    await client.connect();
    await client.query(READINGS);
  });
  afterAll(async () => {
    await client?.end();
    await server?.stop();
  });

  const rows = async (sql: string, values: unknown[] = []) =>
    (await client.query(sql, values)).rows;

  test('says so', async () => {
    expect(await rows('show timescaledb.license')).toEqual([{ 'timescaledb.license': license }]);
    expect(await rows('show timezone')).toEqual([{ TimeZone: 'UTC' }]);
  });

  test('keeps a hypertable in daily chunks and drops the old ones', async () => {
    expect(await rows(`select show_chunks('readings')`)).toHaveLength(10);
    const dropped = await rows(`select drop_chunks('readings', older_than => $1::timestamptz)`, [
      '2026-01-03T00:00:00Z',
    ]);
    expect(dropped).toHaveLength(2);
    expect(await rows('select count(*)::int from readings')).toEqual([{ count: 192 }]);
  });

  test(`${license === 'timescale' ? 'compresses' : 'refuses to compress'} a chunk`, async () => {
    const compress = async () => {
      await client.query(`alter table readings set (timescaledb.compress)`);
      return rows(`select compress_chunk(c) from show_chunks('readings') c limit 1`);
    };
    if (license === 'timescale') expect(await compress()).toHaveLength(1);
    else
      await expect(compress()).rejects.toThrow(/not supported under the current "apache" license/);
  });
});

describe('the relay', () => {
  let server: Timescale;
  let pool: pg.Pool;

  beforeAll(async () => {
    server = await startTimescale();
    pool = new pg.Pool({ connectionString: server.url, max: 3 });
    await pool.query('create table items (n int primary key, word text)');
  });
  afterAll(async () => {
    await pool?.end();
    await server?.stop();
  });

  test('copies rows in from a stream, inside a transaction with a temporary table', async () => {
    const client = await pool.connect();
    try {
      await client.query('begin');
      await client.query('create temp table stage (n int, word text) on commit drop');
      const lines = Array.from({ length: 50_000 }, (_, n) => `${n}\tword ${n}\n`);
      await pipeline(
        Readable.from(lines),
        client.query(copyFrom('copy stage (n, word) from stdin')),
      );
      const { rowCount } = await client.query('insert into items select * from stage order by n');
      expect(rowCount).toBe(50_000);
      await client.query('rollback');
    } finally {
      client.release();
    }
    expect((await pool.query('select count(*)::int from items')).rows).toEqual([{ count: 0 }]);
  });

  test('reports a bad row of a copy, and the connection lives on', async () => {
    const client = await pool.connect();
    try {
      const copy = client.query(copyFrom('copy items from stdin'));
      await expect(pipeline(Readable.from(['one\tx\n']), copy)).rejects.toThrow(
        /invalid input syntax/,
      );
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    } finally {
      client.release();
    }
  });

  test('lets one transaction end before the next begins', async () => {
    const increment = async () => {
      const client = await pool.connect();
      try {
        await client.query('begin');
        const { rows } = await client.query<{ n: number }>(
          'select coalesce(max(n), 0) as n from items',
        );
        await client.query('insert into items values ($1, $2)', [(rows[0]?.n ?? 0) + 1, 'x']);
        await client.query('commit');
      } finally {
        client.release();
      }
    };
    await Promise.all(Array.from({ length: 20 }, increment));
    expect((await pool.query('select count(*)::int, max(n) from items')).rows).toEqual([
      { count: 20, max: 20 },
    ]);
  });

  test('a failed statement fails its transaction and nothing else', async () => {
    const client = await pool.connect();
    try {
      await client.query('begin');
      await expect(client.query('select 1 / $1::int', [0])).rejects.toMatchObject({
        code: '22012',
      });
      await expect(client.query('select 1')).rejects.toMatchObject({ code: '25P02' });
      expect((await client.query('rollback')).command).toBe('ROLLBACK');
    } finally {
      client.release();
    }
  });

  test('rolls back for a client that goes away in the middle', async () => {
    const client = new pg.Client(server.url);
    client.on('error', () => {});
    await client.connect();
    await client.query('begin');
    await client.query(`insert into items values (1000, 'lost')`);
    client.connection.stream.destroy();
    expect((await pool.query('select * from items where n = 1000')).rows).toEqual([]);
  });

  test('gives every connection the settings it started with', async () => {
    const url = `${server.url}?application_name=mine&options=${encodeURIComponent('-c jit=off -c work_mem=7MB')}`;
    const mine = new pg.Client(url);
    await mine.connect();
    try {
      const settings = `select current_setting('application_name') as name, current_setting('work_mem') as mem`;
      expect((await mine.query(settings)).rows).toEqual([{ name: 'mine', mem: '7MB' }]);
      expect((await pool.query(settings)).rows).toEqual([{ name: '', mem: '4MB' }]);
      expect((await mine.query(settings)).rows).toEqual([{ name: 'mine', mem: '7MB' }]);
    } finally {
      await mine.end();
    }
  });
});
