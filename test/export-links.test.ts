import { execFile } from 'node:child_process';
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type Server, serve } from '../shared/http/serve.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { type ObjectStore, openObjectStore } from '../shared/platform/object-store/object-store.ts';
import { eventJson, jsonPost } from './support/event-json.ts';
import { midnight } from './support/midnight.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';

const run = promisify(execFile);
const dayMs = 86_400_000;
const week = { start: midnight(7), end: midnight(0) };
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const orgId = randomUUID();
const events = ['0.1', '2.25', '12345678901234.5678'].map((costEstimateCents, index) =>
  eventJson({
    orgId,
    occurredAt: midnight(index + 2).replace('00:00:00', '10:30:00'),
    status: index === 0 ? 'error' : 'success',
    costEstimateCents,
  }),
);

const sums = z.strictObject({
  invocations: z.int(),
  errors: z.int(),
  inputTokens: z.int(),
  outputTokens: z.int(),
  costEstimateCents: z.number(),
});
/** Of a job what is known once its file is written. */
const doneJob = z.object({
  jobId: z.uuid(),
  status: z.literal('succeeded'),
  rowCount: z.int(),
  bytes: z.int(),
  checksum: z.hex().length(64),
  totals: sums,
  outputUri: z.string(),
  startedAt: z.iso.datetime(),
  completedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  error: z.null(),
  attempts: z.literal(1),
});
const manifestForm = z.strictObject({
  jobId: z.uuid(),
  orgId: z.uuid().nullable(),
  format: z.string(),
  objectKey: z.string(),
  generatedAt: z.iso.datetime(),
  granularity: z.string(),
  timezone: z.string(),
  timeRange: z.strictObject({ start: z.string(), end: z.string() }),
  models: z.array(z.uuid()).nullable(),
  completeThrough: z.string().nullable(),
  columns: z.array(z.string()),
  rowCount: z.int(),
  bytes: z.int(),
  checksum: z.strictObject({ algorithm: z.literal('SHA-256'), value: z.string() }),
  totals: sums,
  csv: z.record(z.string(), z.string()),
});

/** The service with a store, some events, and what a test needs to meddle. */
interface Bench {
  kind: 's3' | 'folder';
  folder: string;
  system: System;
  database: Database;
  store: ObjectStore;
  close(): Promise<void>;
}

async function openBench(
  kind: Bench['kind'],
  environment: Record<string, string> = {},
): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'analytics-links-'));
  const system = await startSystem({
    stream: false,
    exportsFolder: folder,
    environment: { ...environment, ...(kind === 'folder' ? { S3_ENDPOINT: '' } : {}) },
  });
  const database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
  const store = openObjectStore(system.settings, folder);
  if (store?.name !== kind) throw new Error(`the store is not ${kind}`);
  const sent = await system.app.request('/analytics/v1/events', jsonPost(events, adminHeaders));
  expect(await sent.json()).toMatchObject({ accepted: events.length });
  await system.refresh();
  return {
    kind,
    folder,
    system,
    database,
    store,
    close: async () => {
      const jobs = await database.query<{ org_id: string | null; job_id: string }>(
        'select org_id, job_id from analytics.export_jobs',
      );
      const stem = (job: (typeof jobs)[number]) =>
        `analytics/exports/${job.org_id ?? 'all'}/${job.job_id}`;
      await store.delete(jobs.flatMap((job) => [`${stem(job)}.csv`, `${stem(job)}.manifest.json`]));
      store.close();
      await database.close();
      await system.close();
      await rm(folder, { recursive: true });
    },
  };
}

const home = (org: string | null) => `/analytics/v1${org === null ? '' : `/orgs/${org}`}/exports`;

/** The path of a new job. */
async function ask({ system }: Bench, body: object = {}, org: string | null = orgId) {
  const init = jsonPost({ timeRange: week, ...body }, adminHeaders);
  const response = await system.app.request(home(org), init);
  expect(response.status).toBe(202);
  return response.headers.get('Location') ?? '';
}

/** A job that is done, where it is, and under which name its file is stored. */
async function finished(bench: Bench, body: object = {}, org: string | null = orgId) {
  const path = await ask(bench, body, org);
  await bench.system.exports.drain();
  const job = doneJob.parse((await bench.system.get(path)).body);
  return { path, job, key: `analytics/exports/${org ?? 'all'}/${job.jobId}.csv` };
}

async function change({ database }: Bench, path: string, assignment: string): Promise<void> {
  const rows = await database.query(
    `update analytics.export_jobs set ${assignment} where job_id = $1 returning job_id`,
    [path.split('/').at(-1)],
  );
  expect(rows).toHaveLength(1);
}

/** Expects a redirect and gives where to. */
async function linkOf({ system }: Bench, path: string): Promise<string> {
  const response = await system.app.request(`${path}/download`, { headers: adminHeaders });
  expect(response.status).toBe(302);
  expect(response.headers.get('Cache-Control')).toBe('no-store');
  return response.headers.get('Location') ?? '';
}

/** Follows a link as anybody may who holds it: no header says who asks. */
async function follow({ kind, system }: Bench, link: string, init: RequestInit = {}) {
  return kind === 's3' ? fetch(link, init) : system.app.request(link, init);
}

/** For how many seconds a link is good. */
function lifetime({ kind }: Bench, link: string): number {
  const parameters = new URL(link, 'http://localhost').searchParams;
  return kind === 's3'
    ? Number(parameters.get('X-Amz-Expires'))
    : Number(parameters.get('expires')) - Date.now() / 1_000;
}

/** Expects that neither file nor manifest is to be had. */
async function expectRefused({ system }: Bench, path: string, status: number, detail: RegExp) {
  for (const what of ['download', 'manifest']) {
    const response = await system.app.request(`${path}/${what}`, { headers: adminHeaders });
    expect(response.headers.get('Location')).toBeNull();
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({
      status,
      detail: expect.stringMatching(detail),
      instance: `${path}/${what}`,
    });
    expect(response.status).toBe(status);
  }
}

describe.each(['s3', 'folder'] as const)('with exports in %s', (kind) => {
  let bench: Bench;

  beforeAll(async () => {
    bench = await openBench(kind);
  });
  afterAll(() => bench?.close());

  test('an export is asked for, made, described and downloaded', async () => {
    const path = await ask(bench);
    const { jobId } = z.object({ jobId: z.uuid() }).parse((await bench.system.get(path)).body);
    await expectRefused(bench, path, 404, /^the export is pending: /);
    expect(await bench.system.exports.drain()).toEqual({ succeeded: 1, retrying: 0, failed: 0 });

    const job = doneJob.parse((await bench.system.get(path)).body);
    expect(job).toMatchObject({ jobId, rowCount: 3, outputUri: `${path}/download` });
    expect(job.totals).toMatchObject({ invocations: 3, errors: 1, inputTokens: 30 });
    const keptMs = Date.parse(job.expiresAt) - Date.parse(job.completedAt);
    expect(Math.round(keptMs / dayMs)).toBe(90);

    const file = await follow(bench, await linkOf(bench, path));
    expect(file.status).toBe(200);
    expect(file.headers.get('Content-Type')).toMatch(/^text\/csv(;|$)/);
    const [first, last] = [midnight(7), midnight(1)].map((time) => time.slice(0, 10));
    expect(file.headers.get('Content-Disposition')).toBe(
      `attachment; filename="usage-daily_${orgId}_${first}_${last}_${jobId.slice(0, 8)}.csv"`,
    );
    const bytes = Buffer.from(await file.arrayBuffer());
    expect(bytes.length).toBe(job.bytes);
    expect(sha256(bytes)).toBe(job.checksum);
    const lines = bytes.toString('utf8').split('\r\n');
    expect(lines).toHaveLength(job.rowCount + 2);
    expect(bytes.toString('utf8')).toContain(',12345678901234.5678,');

    const told = await bench.system.app.request(`${path}/download`, {
      headers: { ...adminHeaders, Prefer: 'respond-async, return=representation' },
    });
    expect(told.status).toBe(200);
    expect(told.headers.get('Preference-Applied')).toBe('return=representation');
    expect(await told.json()).toEqual({
      url: expect.stringContaining(jobId),
      filename: expect.stringContaining(jobId.slice(0, 8)),
      urlExpiresAt: expect.stringMatching(/Z$/),
    });
    const asJson = await bench.system.app.request(`${path}/download`, {
      headers: { ...adminHeaders, Accept: 'application/json' },
    });
    expect(asJson.status).toBe(302);

    const answer = await bench.system.app.request(`${path}/manifest`, { headers: adminHeaders });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('Content-Type')).toBe('application/json');
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
    const text = await answer.text();
    expect(text).toContain('"costEstimateCents":12345678901236.9178');
    const manifest = manifestForm.parse(JSON.parse(text));
    expect(manifest).toMatchObject({
      jobId,
      orgId,
      format: 'csv',
      objectKey: `analytics/exports/${orgId}/${jobId}.csv`,
      timeRange: week,
      granularity: 'daily',
      timezone: 'UTC',
      models: null,
      rowCount: job.rowCount,
      bytes: job.bytes,
      checksum: { algorithm: 'SHA-256', value: job.checksum },
      totals: job.totals,
    });
    expect(manifest.columns).toEqual(lines[0]?.split(','));
  });

  test('of an empty window there is a file all the same, of a header and no rows', async () => {
    for (const format of ['csv', 'events', 'focus']) {
      const timeRange = { start: midnight(30), end: midnight(20) };
      const { job, path } = await finished(bench, { timeRange, format });
      const zeros = { inputTokens: 0, outputTokens: 0, costEstimateCents: 0 };
      expect(job).toMatchObject({ rowCount: 0, totals: { invocations: 0, errors: 0, ...zeros } });
      const bytes = Buffer.from(
        await (await follow(bench, await linkOf(bench, path))).arrayBuffer(),
      );
      expect(bytes.toString('utf8')).toMatch(/^\w+(,\w+)+\r\n$/);
      expect(sha256(bytes)).toBe(job.checksum);
      expect(bytes.length).toBe(job.bytes);
    }
  });

  test('one over all orgs has its own place', async () => {
    const { job, path } = await finished(bench, { granularity: 'monthly' }, null);
    expect(path).toBe(`/analytics/v1/exports/${job.jobId}`);
    expect(job.outputUri).toBe(`${path}/download`);
    const file = await follow(bench, await linkOf(bench, path));
    expect(file.headers.get('Content-Disposition')).toMatch(/filename="usage-monthly_all_/);
    expect(sha256(Buffer.from(await file.arrayBuffer()))).toBe(job.checksum);
  });

  test.each(['events', 'focus'])('a file of the format %s is named for it', async (format) => {
    const { job, path } = await finished(bench, { format });
    const file = await follow(bench, await linkOf(bench, path));
    expect(file.headers.get('Content-Disposition')).toContain(`filename="${format}_${orgId}_`);
    expect(sha256(Buffer.from(await file.arrayBuffer()))).toBe(job.checksum);
  });

  test('a file is named for the days of its own zone', async () => {
    const day = midnight(3).slice(0, 10);
    const timeRange = { start: `${day}T00:00:00+05:45`, end: `${day}T23:59:59+05:45` };
    const { path } = await finished(bench, { timeRange, timezone: 'Asia/Kathmandu' });
    const file = await follow(bench, await linkOf(bench, path));
    expect(file.headers.get('Content-Disposition')).toContain(`_${day}_${day}_`);
    await file.arrayBuffer();
  });

  test('while it runs, and once it has failed, there is no file, and it is said why', async () => {
    const path = await ask(bench);
    const lease = `lease_owner = 'a test', lease_expires_at = now() + interval '5 minutes'`;
    await change(bench, path, `status = 'running', ${lease}`);
    await expectRefused(bench, path, 404, /^the export is running: /);
    await change(bench, path, `status = 'failed', error = 'no space left', completed_at = now()`);
    await expectRefused(bench, path, 404, /failed.*: no space left$/);
    expect((await bench.system.get(path)).body).toMatchObject({
      status: 'failed',
      error: 'no space left',
      outputUri: null,
    });
  });

  test('once it has expired it is gone, also before anybody cleared it away', async () => {
    const { path } = await finished(bench);
    await change(bench, path, `expires_at = now() - interval '1 second'`);
    await expectRefused(bench, path, 410, /^the export expired at \d{4}-.*Z: /);
    await change(bench, path, `status = 'expired'`);
    await expectRefused(bench, path, 410, /^the export expired at /);
    expect((await bench.system.get(path)).body).toMatchObject({
      status: 'expired',
      outputUri: null,
    });
  });

  test('a file that was removed or replaced in the store is not handed out', async () => {
    const { path, key } = await finished(bench);
    const download = async () => {
      const init = { headers: adminHeaders };
      const response = await bench.system.app.request(`${path}/download`, init);
      return { status: response.status, link: response.headers.get('Location') };
    };
    await bench.store.put(key, Buffer.from('a,b\r\n1,2\r\n'), {
      contentType: 'text/csv',
      metadata: {},
    });
    expect(await download()).toEqual({ status: 410, link: null });
    await bench.store.delete([key]);
    expect(await download()).toEqual({ status: 410, link: null });
    const manifest = key.replace('.csv', '.manifest.json');
    // As by a worker that lost the job and then woke up.
    await bench.store.put(manifest, Buffer.from('{"checksum":{"value":"another"}}'), {
      contentType: 'application/json',
      metadata: {},
    });
    await expectRefused(bench, path, 410, /removed or replaced in the store/);
    await bench.store.delete([manifest]);
    await expectRefused(bench, path, 410, /removed or replaced in the store/);
  });

  test('a link is good for a day, and never for longer than the export', async () => {
    const { path } = await finished(bench);
    const day = lifetime(bench, await linkOf(bench, path));
    expect(day).toBeGreaterThan(86_400 - 30);
    expect(day).toBeLessThanOrEqual(86_401);
    await change(bench, path, `expires_at = now() + interval '100 seconds'`);
    const short = lifetime(bench, await linkOf(bench, path));
    expect(short).toBeGreaterThan(70);
    expect(short).toBeLessThanOrEqual(101);
  });

  test('a link cannot be changed to another file or used without its signature', async () => {
    const [mine, other] = [await finished(bench), await finished(bench, { format: 'events' })];
    const link = await linkOf(bench, mine.path);
    for (const wrong of [
      link.replace(mine.job.jobId, other.job.jobId),
      link.replace(/(signature=)./i, (digit, name) => `${name}${digit.endsWith('0') ? 1 : 0}`),
      link.replace(/(expires=)\d+/i, (_, name) => `${name}2000000000`),
      link.replace(/filename/, 'otherfile'),
      link.replace(/\?.*/, ''),
    ]) {
      expect(wrong).not.toBe(link);
      const response = await follow(bench, wrong);
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(404);
      expect(sha256(Buffer.from(await response.arrayBuffer()))).not.toBe(mine.job.checksum);
    }
    expect((await follow(bench, link)).status).toBe(200);
  });
});

test('with exports in a bucket the service itself serves no files', async () => {
  const system = await startSystem({ stream: false });
  try {
    const { status } = await system.get(`/analytics/v1/exports/files/analytics/exports/x.csv`);
    expect(status).toBe(404);
  } finally {
    await system.close();
  }
});

describe('links of the folder', () => {
  let bench: Bench;
  let server: Server;
  let done: Awaited<ReturnType<typeof finished>>;
  let link: string;

  beforeAll(async () => {
    bench = await openBench('folder');
    server = await serve(bench.system.app, {
      HTTP_PORT: 0,
      HTTP_HOST: '127.0.0.1',
      PORT: undefined,
    });
    done = await finished(bench);
    link = await linkOf(bench, done.path);
  });
  afterAll(async () => {
    await server?.close();
    await bench?.close();
  });

  /** Sends a path byte for byte, as fetch and URL would not. */
  function raw(path: string, method = 'GET') {
    return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: Buffer }>(
      (resolve, reject) => {
        const { port } = server;
        const sent = request({ host: '127.0.0.1', port, method, path, agent: false }, (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('end', () => {
            const { statusCode: status = 0, headers } = answer;
            resolve({ status, headers, body: Buffer.concat(chunks) });
          });
        });
        sent.on('error', reject);
        sent.end();
      },
    );
  }

  test('are paths of this API, which anybody who holds one may follow', async () => {
    expect(link).toMatch(`/analytics/v1/exports/files/${done.key}?expires=`);
    const { status, headers, body } = await raw(link);
    expect(status).toBe(200);
    expect(headers['cache-control']).toBe('private, no-store');
    expect(headers['content-length']).toBe(String(done.job.bytes));
    expect(sha256(body)).toBe(done.job.checksum);
  });

  test('are followed by curl -L, from the job to the file', async () => {
    const headers = Object.entries(adminHeaders).map(([name, value]) => `-H${name}:${value}`);
    const curl = async (args: string) => {
      const options = { cwd: bench.folder };
      return (await run('curl', ['-sS', ...headers, ...args.split(' ')], options)).stdout;
    };
    const sumOf = async (name: string) => sha256(await readFile(join(bench.folder, name)));
    const url = `http://localhost:${server.port}${done.job.outputUri}`;
    expect(await curl(`${url} -L -o export.csv -w %{http_code}`)).toBe('200');
    expect(await sumOf('export.csv')).toBe(done.job.checksum);
    // With -J it is saved under the name that the service gives it.
    const name = await curl(`${url} -L -OJ -w %{filename_effective}`);
    expect(name).toMatch(/^usage-daily_.*\.csv$/);
    expect(await sumOf(name)).toBe(done.job.checksum);
  });

  test('answer HEAD with what GET would say, without the file', async () => {
    const [head, get] = [await raw(link, 'HEAD'), await raw(link)];
    expect(head.status).toBe(200);
    expect(head.body).toHaveLength(0);
    for (const name of ['content-type', 'content-length', 'content-disposition']) {
      expect(head.headers[name]).toBe(get.headers[name]);
    }
    expect((await raw(link.replace('signature=', 'signature=0'), 'HEAD')).status).toBe(403);
  });

  const changed: [string, (url: URL) => void][] = [
    [
      'another key',
      (url) => {
        url.pathname = url.pathname.replace('.csv', '.manifest.json');
      },
    ],
    ['a later end', (url) => url.searchParams.set('expires', '4000000000')],
    ['an end that is no number', (url) => url.searchParams.set('expires', 'Infinity')],
    ['no end', (url) => url.searchParams.delete('expires')],
    ['another file name', (url) => url.searchParams.set('filename', 'x.exe')],
    ['no file name', (url) => url.searchParams.delete('filename')],
    ['no signature', (url) => url.searchParams.delete('signature')],
    ['half a signature', (url) => url.searchParams.set('signature', 'ab')],
    ['a signature of zeros', (url) => url.searchParams.set('signature', '0'.repeat(64))],
    ['a signature of other letters', (url) => url.searchParams.set('signature', 'ü'.repeat(32))],
  ];
  test.each(changed)('with %s are refused', async (_, alter) => {
    const url = new URL(link, 'http://localhost');
    alter(url);
    const { status, headers, body } = await raw(`${url.pathname}${url.search}`);
    expect(status).toBe(403);
    expect(headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(body.toString('utf8'))).toMatchObject({ status: 403 });
  });

  const files = '/analytics/v1/exports/files/';
  const tricks = [
    '.signing-key',
    '%2esigning-key',
    '.signing-key%00',
    'analytics/../.signing-key',
    'analytics/%2e%2e/.signing-key',
    'analytics%2f..%2f.signing-key',
    'analytics/exports/..%2f..%2f.signing-key',
    '../files/.signing-key',
    '../../../../../../../../etc/passwd',
    '%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd',
    '..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd',
    '..%5c..%5c..%5cetc%5cpasswd',
    '..\\..\\..\\etc\\passwd',
    '/etc/passwd',
    '%2fetc%2fpasswd',
    '%252e%252e%252f.signing-key',
  ];
  test('with tricks in the path lead nowhere', async () => {
    const secret = await readFile(join(bench.folder, '.signing-key'));
    const query = link.slice(link.indexOf('?'));
    for (const key of [...tricks, `${done.key}.meta.json`, `${done.key}%2emeta.json`]) {
      for (const path of [`${files}${key}`, `${files}${key}${query}`]) {
        const { status, body } = await raw(path);
        expect({ path, status: [400, 403, 404].includes(status) ? 'refused' : status }).toEqual({
          path,
          status: 'refused',
        });
        expect(body.includes(secret)).toBe(false);
        expect(body.toString('utf8')).not.toMatch(/root:|contentType/);
      }
    }
  });

  test('lead nowhere but to exports even with a right signature', async () => {
    const secret = await readFile(join(bench.folder, '.signing-key'));
    const [expires, filename] = [String(Math.ceil(Date.now() / 1_000) + 60), 'x'];
    const signed = (key: string) => {
      const signature = createHmac('sha256', secret)
        .update(JSON.stringify([key, expires, filename]))
        .digest('hex');
      const path = key.split('/').map(encodeURIComponent).join('/').replace(/^\.\./, '%2e%2e');
      return `${files}${path}?${new URLSearchParams({ expires, filename, signature })}`;
    };
    expect((await raw(signed(done.key))).status).toBe(200);
    for (const key of ['.signing-key', '..\\x', `${done.key}.meta.json`, 'a/.signing-key', 'a\0']) {
      const { status, body } = await raw(signed(key));
      expect({ key, isServed: status < 400 }).toEqual({ key, isServed: false });
      expect(body.includes(secret)).toBe(false);
      expect(body.toString('utf8')).not.toContain(bench.folder);
    }
  });

  test('that are malformed are refused and are no fault of the service', async () => {
    for (const path of [
      `${files}%`,
      `${files}%zz`,
      `${files}%E0%A4%A`,
      `${files}%ff%fe?expires=%&filename=%zz&signature=%E0%A4`,
      `${link}%`,
      link.replace('filename=', 'filename=%'),
      link.replace('?', '%?'),
    ]) {
      const { status, headers } = await raw(path);
      expect({ path, status }).toEqual({ path, status: 403 });
      expect(headers['content-type']).toBe('application/problem+json');
    }
  });

  test('of a file that was removed are gone', async () => {
    const { path, key } = await finished(bench);
    const dead = await linkOf(bench, path);
    expect((await raw(dead)).status).toBe(200);
    await bench.store.delete([key]);
    for (const method of ['GET', 'HEAD']) expect((await raw(dead, method)).status).toBe(410);
  });

  test('end with EXPORT_SIGNED_URL_TTL', async () => {
    // Beside the other, on the same database and folder.
    const brief = await startSystem({
      stream: false,
      exportsFolder: bench.folder,
      environment: {
        DATABASE_URL: bench.system.settings.DATABASE_URL ?? '',
        S3_ENDPOINT: '',
        EXPORT_SIGNED_URL_TTL: '1s',
      },
    });
    try {
      const short = await linkOf({ ...bench, system: brief }, done.path);
      expect(lifetime(bench, short)).toBeLessThanOrEqual(2);
      const over = await until('the link is over', async () => {
        const answer = await raw(short);
        return answer.status !== 200 && answer;
      });
      expect(JSON.parse(over.body.toString('utf8'))).toMatchObject({
        status: 403,
        detail: 'the link is over: ask for a new one',
      });
      // A new one can be had as long as the export is there.
      expect((await raw(await linkOf(bench, done.path))).status).toBe(200);
    } finally {
      await brief.close();
    }
  });
});
