import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../scripts/services/run-command.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { type ConsumerChild, spawnConsumer } from './support/consumer-child.ts';
import { emptyDatabase, type TestDatabase } from './support/database.ts';
import { offsetRow } from './support/offsets.ts';
import { Random } from './support/random.ts';
import { rollupDifferences, storageDifferences } from './support/recount.ts';
import { services } from './support/services.ts';
import {
  declare,
  expectedEvents,
  publishTraffic,
  readOffsets,
  traffic,
} from './support/stream-traffic.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';

const canDump = await dumpsThisServer();

let system: System;
let before: Database;
let restored: TestDatabase;
let folder: string;
const children: ConsumerChild[] = [];

beforeAll(async () => {
  system = await startSystem({ consume: false });
  before = openDatabase({ url: system.environment.DATABASE_URL ?? '', connectionsMax: 2 });
  restored = await emptyDatabase();
  folder = await mkdtemp(join(tmpdir(), 'analytics-restore-'));
});
afterAll(async () => {
  for (const child of children) child.signal('SIGKILL');
  await Promise.all(children.map((child) => child.ended));
  await rm(folder, { recursive: true, force: true });
  await before.close();
  await restored.drop();
  await system.close();
});

/** One consumer reads the stream up to an offset into a database, then stops. */
async function consumeTo(databaseUrl: string, database: Database, offset: number): Promise<void> {
  const child = spawnConsumer({ ...system.environment, DATABASE_URL: databaseUrl }, {});
  children.push(child);
  await until('the stream is read', async () => {
    const row = await offsetRow(database, system.settings.RABBITMQ_STREAM);
    return (row?.committed_offset ?? -1) >= offset;
  });
  expect(await child.stop()).toBe(0);
}

test.skipIf(!canDump)(
  'a backup of before is restored: the stream is read on from there, and nothing is missing or twice',
  async () => {
    const { RABBITMQ_URL = '', RABBITMQ_STREAM: stream } = system.settings;
    const url = system.environment.DATABASE_URL ?? '';
    const mix = { duplicates: 100, conflicts: 5, invalid: 5 };
    const messages = traffic(new Random(20_261_126), 6_000, mix);
    const backedUp = messages.slice(0, 4_000);
    await declare(RABBITMQ_URL, system.settings);

    await publishTraffic(RABBITMQ_URL, stream, backedUp);
    const [half] = (await readOffsets(RABBITMQ_URL, stream, backedUp.length)).slice(-1);
    await consumeTo(url, before, half ?? 0);
    const file = join(folder, 'analytics.dump');
    await runCommand(
      'pg_dump',
      ['--format=custom', '--schema=analytics*', `--file=${file}`, `--dbname=${url}`],
      { timeoutMs: 60_000 },
    );

    await publishTraffic(RABBITMQ_URL, stream, messages.slice(backedUp.length));
    const [head] = (await readOffsets(RABBITMQ_URL, stream, messages.length)).slice(-1);
    await consumeTo(url, before, head ?? 0);

    await runCommand(
      'pg_restore',
      ['--exit-on-error', '--no-owner', `--dbname=${restored.url}`, file],
      { timeoutMs: 60_000 },
    );
    const after = openDatabase({ url: restored.url, connectionsMax: 2, patienceMs: 5_000 });
    try {
      expect(await offsetRow(after, stream)).toMatchObject({ committed_offset: half });
      await consumeTo(restored.url, after, head ?? 0);
      const expected = expectedEvents(messages);
      expect(await storageDifferences(after, expected)).toEqual({ missing: [], surplus: [] });
      await foldAll(after);
      expect(await rollupDifferences(after)).toEqual([]);
    } finally {
      await after.close();
    }
  },
);

/** pg_dump refuses a server that is newer than itself; TimescaleDB's own dumps need its functions. */
async function dumpsThisServer(): Promise<boolean> {
  const database = openDatabase({ url: services().DATABASE_URL, connectionsMax: 1 });
  try {
    const [server] = await database.query<{ major: number; timescale: boolean }>(
      `select current_setting('server_version_num')::int / 10000 as major,
              exists (select from pg_available_extensions where name = 'timescaledb') as timescale`,
    );
    const client = await runCommand('pg_dump', ['--version'], { timeoutMs: 5_000 }).catch(() => '');
    const [, major = '0'] = /(\d+)\./.exec(client) ?? [];
    return server !== undefined && !server.timescale && Number(major) >= server.major;
  } finally {
    await database.close();
  }
}
