import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { createClient } from '@redis/client';
import { connect } from 'amqplib';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { type EmbeddedMajor, embeddedBinDir } from '../scripts/services/embedded-postgres.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { runPostgres, throwawaySettings } from '../scripts/services/postgres.ts';
import { createSupervisor } from '../scripts/services/supervisor.ts';
import { createDatabase, emptyDatabase } from './support/database.ts';
import { services } from './support/services.ts';

async function query<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('PostgreSQL', () => {
  test('answers, in UTC', async () => {
    const rows = await query(services().DATABASE_URL, `select 1 as one, now()::text as now`);
    expect(rows).toEqual([{ one: 1, now: expect.stringMatching(/\+00$/) }]);
  });

  test('does not let anybody in without the password', async () => {
    const url = new URL(services().DATABASE_URL);
    url.password = 'wrong';
    await expect(query(url.href, 'select 1')).rejects.toThrow(/password authentication failed/);
  });

  test('gives each test file a migrated clone of its own', async () => {
    const [one, other, empty] = await Promise.all([
      createDatabase(),
      createDatabase(),
      emptyDatabase(),
    ]);
    try {
      const tables = `select tablename from pg_tables where tablename = 'usage_events'`;
      await query(one.url, 'create table only_here ()');
      expect(await query(one.url, tables)).toHaveLength(1);
      expect(await query(other.url, tables)).toHaveLength(1);
      expect(await query(empty.url, tables)).toHaveLength(0);
      await expect(query(other.url, 'table only_here')).rejects.toThrow(/does not exist/);
    } finally {
      await Promise.all([one.drop(), other.drop(), empty.drop()]);
    }
    await expect(query(one.url, 'select 1')).rejects.toThrow(/does not exist/);
  });

  test.each<EmbeddedMajor>([15, 16, 17, 18])('embedded version %i runs', async (major) => {
    const supervisor = createSupervisor();
    try {
      const folder = await supervisor.temporaryFolder('embedded');
      const server = await runPostgres({
        binDir: embeddedBinDir(major),
        dataDir: join(folder, 'data'),
        port: await freePort(),
        settings: throwawaySettings,
        supervisor,
      });
      const [row] = await query<{ server_version: string }>(server.url, 'show server_version');
      expect(row?.server_version).toMatch(new RegExp(`^${major}\\.`));
      await server.stop();
      await expect(query(server.url, 'select 1')).rejects.toThrow(/ECONNREFUSED/);
    } finally {
      await supervisor.stop();
    }
  });

  // As in a checkout below /root: the private folder is the usual case there, not the exception.
  test('kept data survives a stop and a start, even in a folder only we can enter', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'analytics-embedded-'));
    const start = async () =>
      runPostgres({
        binDir: embeddedBinDir(18),
        dataDir: join(folder, 'data'),
        port: await freePort(),
      });
    let dataDir: string | undefined;
    try {
      const first = await start();
      await query(first.url, 'create table kept as select 7 as n');
      await first.stop();
      ({ dataDir } = first);
      const second = await start();
      try {
        expect(await query(second.url, 'table kept')).toEqual([{ n: 7 }]);
        expect(new URL(second.url).password).toBe(new URL(first.url).password);
      } finally {
        await second.stop();
      }
    } finally {
      for (const made of [folder, ...(dataDir ? [dirname(dataDir)] : [])]) {
        await rm(made, { recursive: true, force: true });
      }
    }
  });
});

test('RabbitMQ confirms what is published to a stream and reads it back from the start', async () => {
  const connection = await connect(services().RABBITMQ_URL);
  try {
    const channel = await connection.createConfirmChannel();
    const stream = `test.${randomUUID()}`;
    await channel.assertQueue(stream, { durable: true, arguments: { 'x-queue-type': 'stream' } });
    for (const body of ['one', 'two']) channel.sendToQueue(stream, Buffer.from(body));
    await channel.waitForConfirms();
    await channel.prefetch(10);
    const read = await new Promise<string[]>((resolve, reject) => {
      const bodies: string[] = [];
      channel
        .consume(
          stream,
          (message) => {
            if (message === null) return reject(new Error('cancelled by the server'));
            bodies.push(message.content.toString());
            channel.ack(message);
            if (bodies.length === 2) resolve(bodies);
          },
          { arguments: { 'x-stream-offset': 'first' } },
        )
        .catch(reject);
    });
    expect(read).toEqual(['one', 'two']);
    await channel.deleteQueue(stream);
  } finally {
    await connection.close();
  }
});

test('Redis keeps a value until its time is over', async () => {
  const client = createClient({ url: services().REDIS_URL });
  await client.connect();
  try {
    const key = `test:${randomUUID()}`;
    await client.set(key, 'value', { expiration: { type: 'EX', value: 60 } });
    expect(await client.get(key)).toBe('value');
    expect(await client.ttl(key)).toBeGreaterThan(0);
    await client.del(key);
    expect(await client.get(key)).toBeNull();
  } finally {
    client.destroy();
  }
});

describe('S3', () => {
  const bucket = () => ({ Bucket: services().S3_BUCKET });

  test('stores, returns and deletes an object', async () => {
    const s3 = s3Client();
    const target = { ...bucket(), Key: `test/${randomUUID()}.csv` };
    await s3.send(new PutObjectCommand({ ...target, Body: 'a,b\n', ContentType: 'text/csv' }));
    const found = await s3.send(new GetObjectCommand(target));
    expect(await found.Body?.transformToString()).toBe('a,b\n');
    expect(found.ContentType).toBe('text/csv');
    await s3.send(new DeleteObjectCommand(target));
    await expect(s3.send(new GetObjectCommand(target))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
  });

  test('puts a multipart upload together', async () => {
    const s3 = s3Client();
    const target = { ...bucket(), Key: `test/${randomUUID()}.bin` };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(target));
    try {
      const parts = [randomBytes(5 * 1024 * 1024), randomBytes(1_000)];
      const Parts = await Promise.all(
        parts.map(async (Body, index) => {
          const part = { ...target, UploadId, PartNumber: index + 1, Body };
          const { ETag } = await s3.send(new UploadPartCommand(part));
          return { ETag, PartNumber: index + 1 };
        }),
      );
      await s3.send(
        new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }),
      );
      const found = await s3.send(new GetObjectCommand(target));
      const bytes = Buffer.from((await found.Body?.transformToByteArray()) ?? []);
      expect(bytes.equals(Buffer.concat(parts))).toBe(true);
      await s3.send(new DeleteObjectCommand(target));
    } catch (error) {
      await s3.send(new AbortMultipartUploadCommand({ ...target, UploadId })).catch(() => {});
      throw error;
    }
  });

  test('turns away a wrong key', async () => {
    const s3 = s3Client({ secretAccessKey: 'wrong' });
    const target = { ...bucket(), Key: 'test/never' };
    await expect(s3.send(new PutObjectCommand({ ...target, Body: '' }))).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
    });
  });
});

function s3Client({ secretAccessKey = services().S3_SECRET_KEY } = {}): S3Client {
  const { S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY } = services();
  return new S3Client({
    endpoint: S3_ENDPOINT,
    region: S3_REGION,
    credentials: { accessKeyId: S3_ACCESS_KEY, secretAccessKey },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}
