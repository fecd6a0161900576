import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { readSettings, streamPartitions } from '../shared/platform/env.ts';
import { createDatabase, type TestDatabase } from './support/database.ts';
import { environmentOf } from './support/manifest-environment.ts';
import { podsOf } from './support/manifest-pods.ts';
import { describeOverlays, secretTemplate } from './support/manifests.ts';

const scalingForm = z.looseObject({
  scaleTargetRef: z.looseObject({ name: z.literal('analytics-consumer') }),
  minReplicaCount: z.literal(0),
  maxReplicaCount: z.int(),
  fallback: z.looseObject({ replicas: z.int() }),
  triggers: z.array(
    z.looseObject({ type: z.string(), metadata: z.record(z.string(), z.string()) }),
  ),
});

const secrets = await secretTemplate();
const securityText = await readFile(new URL('../SECURITY.md', import.meta.url), 'utf8');

await describeOverlays((objects) => {
  const scaled = objects.find(({ kind }) => kind === 'ScaledObject');
  const scaling = scalingForm.parse(scaled?.spec);
  const consumer = podsOf(objects).find(({ name }) => name === 'analytics-consumer');
  if (consumer === undefined) throw new Error('there is no consumer');
  const settings = readSettings(environmentOf(consumer, [...objects, ...secrets]), {
    knowsActors: false,
  });
  const streams = streamPartitions(settings);
  const metadataOf = (type: string) =>
    scaling.triggers.find((trigger) => trigger.type === type)?.metadata ?? {};

  test('there may be as many consumers as partitions', () => {
    expect(scaling.maxReplicaCount).toBe(streams.length);
    expect(scaling.fallback.replicas).toBeLessThanOrEqual(streams.length);
  });

  test('every pod is told of the same stream and the same partitions', () => {
    for (const pod of podsOf(objects)) {
      const environment = environmentOf(pod, [...objects, ...secrets]);
      expect(environment.RABBITMQ_STREAM).toBe(settings.RABBITMQ_STREAM);
      expect(environment.RABBITMQ_STREAM_PARTITIONS).toBe(String(streams.length));
    }
  });

  test('nobody but KEDA says how many consumers there are', () => {
    const deployment = objects.find(({ kind }) => kind === 'Deployment');
    expect(deployment?.spec).not.toHaveProperty('replicas');
  });

  test('the broker is asked for the stream’s partitions and no other queue', () => {
    const name = new RegExp(metadataOf('rabbitmq').queueName ?? '$.');
    for (const stream of streams) expect(stream).toMatch(name);
    const stream = settings.RABBITMQ_STREAM;
    for (const other of [
      `${stream}.dlq`,
      `${stream}x`,
      `x${stream}`,
      stream.replaceAll('.', '-'),
    ]) {
      expect(other).not.toMatch(name);
    }
  });

  describe('the query, on a database of ours', () => {
    let server: TestDatabase;
    let database: Database;
    beforeAll(async () => {
      server = await createDatabase();
      database = openDatabase({ url: server.url, connectionsMax: 1 });
    });
    afterAll(async () => {
      await database?.close();
      await server?.drop();
    });

    /** As KEDA reads it: the one column of the one row, as a float, which null is not. */
    async function lag(): Promise<number> {
      const rows = await database.query<Record<string, unknown>>(
        metadataOf('postgresql').query ?? '',
      );
      expect(rows.map((row) => Object.keys(row).length)).toEqual([1]);
      const [value] = rows.flatMap((row) => Object.values(row));
      return z.number().parse(value);
    }

    async function position(stream: string, head: number | null, committed: number | null) {
      await database.query(
        `insert into analytics.stream_offsets (stream, head_offset, committed_offset)
         values ($1, $2, $3)
         on conflict (stream) do update
           set head_offset = excluded.head_offset, committed_offset = excluded.committed_offset`,
        [stream, head, committed],
      );
    }

    test('answers 0 before there is anything', async () => {
      expect(await lag()).toBe(0);
    });

    test('is answered to the login of SECURITY.md, which reads nothing else', async () => {
      const [sql = ''] = securityText.match(/create role analytics_scaler[^`]*/) ?? [];
      const login = `scaler_${randomBytes(6).toString('hex')}`;
      const password = randomBytes(12).toString('hex');
      const mine = sql.replaceAll('analytics_scaler', login).replace('…', password);
      for (const statement of mine.split(';').filter((text) => text.trim() !== '')) {
        await database.query(statement);
      }
      const url = new URL(server.url);
      Object.assign(url, { username: login, password });
      const scaler = openDatabase({ url: url.href, driver: 'pg', connectionsMax: 1 });
      try {
        const asked = await scaler.query(metadataOf('postgresql').query ?? '');
        expect(asked).toHaveLength(1);
        for (const relation of ['orgs', 'usage_daily', 'export_jobs', 'usage_events']) {
          const read = scaler.query(`select from analytics.${relation} limit 1`);
          await expect(read, relation).rejects.toThrow('permission denied');
        }
      } finally {
        await scaler.close();
        await database.query(`drop owned by ${login}`);
        await database.query(`drop role ${login}`);
      }
    });

    test('adds up what the partitions have before them', async () => {
      for (const stream of streams) await position(stream, 99, 49);
      expect(await lag()).toBe(50 * streams.length);
    });

    test('counts from the start where nothing was stored, and no stream that was not seen', async () => {
      for (const stream of streams) await position(stream, 9, null);
      expect(await lag()).toBe(10 * streams.length);
      for (const stream of streams) await position(stream, null, null);
      expect(await lag()).toBe(0);
    });

    test('wakes nobody once all is stored, nor for a head that is not the newest any more', async () => {
      const target = Number(metadataOf('postgresql').activationTargetQueryValue);
      for (const [index, stream] of streams.entries()) await position(stream, 9, 9 + index);
      // Active is what is greater than the target.
      expect(await lag()).toBeLessThanOrEqual(target);
      for (const stream of streams.slice(0, 1)) await position(stream, 10, 9);
      expect(await lag()).toBeGreaterThan(target);
    });

    test('leaves out a stream that is no longer configured', async () => {
      for (const stream of streams) await position(stream, 9, 9);
      await position('former', 1_000_000, 0);
      await database.query(`update analytics.stream_offsets set retired = true where stream = $1`, [
        'former',
      ]);
      expect(await lag()).toBe(0);
    });
  });
});
