import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { actorHeaders, jsonPost } from './support/event-json.ts';
import { midnight } from './support/midnight.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';

const timeRange = { start: midnight(8), end: midnight(1) };

const instant = z.iso.datetime({ offset: true });
/** The job exactly as the contract lists its fields. */
const jobForm = z.strictObject({
  jobId: z.uuid(),
  orgId: z.uuid().nullable(),
  status: z.enum(['pending', 'running', 'succeeded', 'failed', 'expired']),
  granularity: z.enum(['hourly', 'daily', 'monthly']),
  timezone: z.string(),
  models: z.array(z.uuid()).nullable(),
  format: z.enum(['csv', 'focus', 'events']),
  timeRange: z.strictObject({ start: instant, end: instant }),
  createdAt: instant,
  startedAt: instant.nullable(),
  completedAt: instant.nullable(),
  expiresAt: instant.nullable(),
  completeThrough: instant.nullable(),
  rowCount: z.int().nullable(),
  bytes: z.int().nullable(),
  checksum: z.hex().length(64).nullable(),
  totals: z.record(z.string(), z.number()).nullable(),
  outputUri: z.string().nullable(),
  error: z.string().nullable(),
  attempts: z.int(),
  initiatedBy: z.string(),
});
const pageForm = z.strictObject({ items: z.array(jobForm), nextCursor: z.string().nullable() });
const problemForm = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  errors: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
});

let system: System;
let database: Database;

// Without a worker: nothing here needs a file, and jobs stay as a test left them.
beforeAll(async () => {
  system = await startSystem({ stream: false });
  database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
});
afterAll(async () => {
  await database?.close();
  await system?.close();
});

/** Where the exports of an org are, or those over all orgs. */
const home = (orgId: string | null) =>
  `/analytics/v1${orgId === null ? '' : `/orgs/${orgId}`}/exports`;

/** Expects an answer of this status and gives it. */
async function ask<Schema extends z.ZodType>(
  status: number,
  form: Schema,
  path: string,
  init: RequestInit = { headers: adminHeaders },
  from = system,
) {
  const response = await from.app.request(path, init);
  const body: unknown = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status });
  const kind = status < 400 ? 'json' : 'problem+json';
  expect(response.headers.get('Content-Type')).toBe(`application/${kind}`);
  return { headers: response.headers, body: form.parse(body) };
}

/** A job by default for an org of its own, so that no test fills another's queue. */
async function create(body: object, orgId: string | null = randomUUID(), headers = {}) {
  const init = jsonPost(body, { ...adminHeaders, ...headers });
  const answer = await ask(202, jobForm, home(orgId), init);
  return { headers: answer.headers, job: answer.body };
}

async function refused(body: unknown, from = system) {
  const init = jsonPost(body, adminHeaders);
  const answer = await ask(400, problemForm, home(randomUUID()), init, from);
  const { detail, errors = [] } = answer.body;
  for (const { message } of errors) expect(detail).toContain(message);
  return errors;
}

async function countJobs(orgId: string | null): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    'select count(*) from analytics.export_jobs where org_id is not distinct from $1',
    [orgId],
  );
  return row?.count ?? 0;
}

/** Jobs straight into the table; those of one call have the same creation time. */
async function insertJobs(orgId: string | null, count: number, status = 'pending') {
  const rows = await database.query<{ job_id: string }>(
    `insert into analytics.export_jobs
       (job_id, org_id, status, format, granularity, timezone, range_start, range_end, initiated_by)
     select gen_random_uuid(), $1, $3, 'csv', 'day', 'UTC', $4, $5, 'a test'
     from generate_series(1, $2)
     returning job_id`,
    [orgId, count, status, timeRange.start, timeRange.end],
  );
  return rows.map((row) => row.job_id);
}

describe.each([
  ['an org', randomUUID()],
  ['all orgs', null],
])('an export of %s', (_, orgId) => {
  test('is taken with 202, the whole job, and where to follow it', async () => {
    const { headers, job } = await create({ timeRange }, orgId);
    expect(job).toEqual({
      jobId: expect.any(String),
      orgId,
      status: 'pending',
      granularity: 'daily',
      timezone: 'UTC',
      models: null,
      format: 'csv',
      timeRange,
      createdAt: expect.any(String),
      startedAt: null,
      completedAt: null,
      expiresAt: null,
      completeThrough: null,
      rowCount: null,
      bytes: null,
      checksum: null,
      totals: null,
      outputUri: null,
      error: null,
      attempts: 0,
      initiatedBy: 'test-admin',
    });
    expect(Math.abs(Date.now() - Date.parse(job.createdAt))).toBeLessThan(30_000);
    const location = headers.get('Location') ?? '';
    expect(location).toBe(`${home(orgId)}/${job.jobId}`);
    expect(headers.get('Cache-Control')).toBe('no-store');
    expect((await ask(200, jobForm, location)).body).toEqual(job);
  });

  test('that is unknown is a 404, whatever its id looks like', async () => {
    for (const jobId of [randomUUID(), 'latest', '0', `${randomUUID()}x`, '%27%20or%201=1']) {
      await ask(404, problemForm, `${home(orgId)}/${jobId}`);
    }
  });

  test('is found by its id in capitals too', async () => {
    const { job } = await create({ timeRange }, orgId);
    const path = `${home(orgId?.toUpperCase() ?? null)}/${job.jobId.toUpperCase()}`;
    expect((await ask(200, jobForm, path)).body).toEqual(job);
  });

  test('is no business of other orgs', async () => {
    const { job } = await create({ timeRange }, orgId);
    const other = randomUUID();
    const elsewhere = [other, orgId === null ? randomUUID() : null];
    for (const place of elsewhere) {
      for (const more of ['', '/manifest', '/download']) {
        await ask(404, problemForm, `${home(place)}/${job.jobId}${more}`);
      }
    }
    // Whoever has no right to the org is told that, and not whether there is such a job.
    const roles = ['analytics:exports:read', 'analytics:exports:download'];
    const stranger = { headers: actorHeaders(roles, [other]) };
    for (const jobId of [job.jobId, randomUUID()]) {
      await ask(403, problemForm, `${home(orgId)}/${jobId}`, stranger);
    }
  });
});

describe('what an export is asked for', () => {
  test.each([
    ['hourly', 'hourly'],
    ['daily', 'daily'],
    ['monthly', 'monthly'],
    ['hour', 'hourly'],
    ['day', 'daily'],
    ['month', 'monthly'],
  ])('granularity %s is %s', async (granularity, echoed) => {
    expect((await create({ timeRange, granularity })).job.granularity).toBe(echoed);
  });

  test.each(['csv', 'focus', 'events'])('format %s is taken', async (format) => {
    expect((await create({ timeRange, format })).job.format).toBe(format);
  });

  test('a zone is echoed, and the window in its time', async () => {
    const { job } = await create({ timeRange, timezone: 'Asia/Kathmandu' });
    expect(job.timezone).toBe('Asia/Kathmandu');
    expect(job.timeRange.start).toMatch(/T05:45:00\+05:45$/);
    expect(Date.parse(job.timeRange.start)).toBe(Date.parse(timeRange.start));
    expect(Date.parse(job.timeRange.end)).toBe(Date.parse(timeRange.end));
  });

  test('models are each named once, in lower case', async () => {
    const [one, other] = [randomUUID(), randomUUID()].sort();
    const { job } = await create({ timeRange, models: [other, one, other?.toUpperCase()] });
    expect(job.models).toEqual([one, other]);
  });

  test('the last second of a day may be meant', async () => {
    const end = midnight(1).replace('00:00:00', '23:59:59');
    const { job } = await create({ timeRange: { ...timeRange, end } });
    expect(job.timeRange.end).toBe(end);
  });

  test('400 days are taken, hourly too', async () => {
    const whole = { start: midnight(400), end: midnight(0) };
    await create({ timeRange: whole, granularity: 'hourly' });
    // Not over HTTP, where somebody waits for the answer; a file may take its time.
    await create({ timeRange: whole, granularity: 'hourly', timezone: 'Asia/Kathmandu' });
  });

  test('delivery may name the configured bucket, or none', async () => {
    const bucket = system.settings.S3_BUCKET;
    await create({ timeRange, delivery: { type: 's3', bucket } });
    await create({ timeRange, delivery: { type: 's3' } });
    expect(await refused({ timeRange, delivery: { type: 's3', bucket: 'mine' } })).toEqual([
      {
        path: 'delivery.bucket',
        message: `must be ${bucket}, the only bucket that is configured`,
      },
    ]);
  });

  test('a charset beside the content type does no harm', async () => {
    const init = jsonPost({ timeRange }, adminHeaders, 'application/json; charset=utf-8');
    await ask(202, jobForm, home(randomUUID()), init);
  });
});

describe('a wrong request', () => {
  const { start, end } = timeRange;
  const dateTime = /^must be an RFC 3339 date-time with a zone/;

  test.each<[string, object, string, RegExp]>([
    ['no timeRange', {}, 'timeRange', /^is required$/],
    ['no start', { timeRange: { end } }, 'timeRange.start', /^is required$/],
    ['no end', { timeRange: { start } }, 'timeRange.end', /^is required$/],
    ['a date', { timeRange: { start: '2026-01-01', end } }, 'timeRange.start', dateTime],
    [
      '30 February',
      { timeRange: { start, end: '2026-02-30T00:00:00Z' } },
      'timeRange.end',
      dateTime,
    ],
    ['no zone', { timeRange: { start: '2026-01-01T00:00:00', end } }, 'timeRange.start', dateTime],
    ['start = end', { timeRange: { start, end: start } }, 'timeRange.end', /^must be after start$/],
    ['start > end', { timeRange: { start: end, end: start } }, 'timeRange.end', /^must be after/],
    ['an unknown zone', { timeRange, timezone: 'Mars/Olympus' }, 'timezone', /^must be an IANA/],
    ['an empty zone', { timeRange, timezone: '' }, 'timezone', /^must be an IANA/],
    ['a zone of null', { timeRange, timezone: null }, 'timezone', /string/],
    ['a model’s name', { timeRange, models: [randomUUID(), 'x'] }, 'models[1]', /^must be a uuid$/],
    ['no models', { timeRange, models: [] }, 'models', /^must name at least one model/],
    ['models as text', { timeRange, models: randomUUID() }, 'models', /array/],
    [
      'too many models',
      { timeRange, models: Array.from({ length: 101 }, () => randomUUID()) },
      'models',
      /^must name at most 100 models$/,
    ],
    [
      'an unknown format',
      { timeRange, format: 'xlsx' },
      'format',
      /^must be one of csv, focus, ev/,
    ],
    ['a week', { timeRange, granularity: 'weekly' }, 'granularity', /^must be hourly, daily or mo/],
    ['an unknown field', { timeRange, model: 'x' }, 'model', /^is not a field of an export/],
    ['one in timeRange', { timeRange: { ...timeRange, to: 1 } }, 'timeRange.to', /^is not a field/],
    [
      'one in delivery',
      { timeRange, delivery: { type: 's3', key: 'x' } },
      'delivery.key',
      /^is not/,
    ],
    [
      'delivery by mail',
      { timeRange, delivery: { type: 'mail' } },
      'delivery.type',
      /^must be s3$/,
    ],
    ['delivery of no type', { timeRange, delivery: {} }, 'delivery.type', /^must be s3$/],
  ])('with %s is told so', async (_, body, path, message) => {
    expect(await refused(body)).toEqual([{ path, message: expect.stringMatching(message) }]);
  });

  test('more fields than there are are refused by their number, and 20 faults are told', async () => {
    const extra = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`extra${n}`, n]));
    const few = await refused({ timeRange, ...extra(60) });
    expect(few).toHaveLength(21);
    expect(few.at(-1)).toEqual({ path: '', message: 'and 40 more' });
    expect(await refused({ timeRange: { ...timeRange, ...extra(3_000) } })).toHaveLength(21);
    expect(await refused({ timeRange, ...extra(3_000) })).toEqual([
      { path: '', message: 'must have at most 64 fields' },
    ]);
  });

  test.each<[string, string]>([
    ['an array', '[]'],
    ['null', 'null'],
    ['text', '"csv"'],
  ])('that is %s is told so', async (_, body) => {
    expect(await refused(body)).toEqual([{ path: '', message: expect.stringMatching(/object/) }]);
  });

  test('that is no JSON is told so', async () => {
    for (const body of ['', '{', '{"timeRange":}']) {
      expect(await refused(body)).toEqual([
        { path: '', message: expect.stringMatching(/^must be JSON: /) },
      ]);
    }
  });

  test('with many faults is told all of them at once', async () => {
    const faults = await refused({
      timeRange: { start: 'yesterday', until: 1 },
      granularity: 'weekly',
      timezone: 'Mars/Olympus',
      models: ['x'],
      format: 'xlsx',
      delivery: { type: 'mail', key: 1 },
      filter: 'x',
    });
    expect(new Set(faults.map(({ path }) => path))).toEqual(
      new Set([
        'timeRange.start',
        'timeRange.end',
        'timeRange.until',
        'granularity',
        'timezone',
        'models[0]',
        'format',
        'delivery.type',
        'delivery.key',
        'filter',
      ]),
    );
    expect(faults).toHaveLength(10);
  });

  test('is told what is wrong with its window and its bucket beside all else', async () => {
    const faults = await refused({
      timeRange: { start: midnight(1), end: midnight(2) },
      granularity: 'weekly',
      delivery: { type: 's3', bucket: 'mine' },
    });
    expect(faults.map(({ path }) => path).sort()).toEqual([
      'delivery.bucket',
      'granularity',
      'timeRange.end',
    ]);
  });

  test('is told of a window that is too long and too old, and the oldest time is taken', async () => {
    const faults = await refused({ timeRange: { start: midnight(900), end: midnight(1) } });
    expect(faults).toEqual([
      { path: 'timeRange.end', message: 'must be at most 400 days after start' },
      { path: 'timeRange.start', message: `must not be before ${midnight(400)} (retention)` },
    ]);
    await create({ timeRange: { start: midnight(400), end: midnight(390) } });
  });

  test('refuses query parameters: none of them would be heeded', async () => {
    for (const path of [home(randomUUID()), home(null)]) {
      const init = jsonPost({ timeRange }, adminHeaders);
      const { body } = await ask(400, problemForm, `${path}?format=focus`, init);
      expect(body.errors).toEqual([{ path: 'format', message: 'is not a parameter here' }]);
    }
  });

  test.each([
    ['text/plain', 'text/plain'],
    ['a form', 'application/x-www-form-urlencoded'],
    ['no content type at all', null],
  ])('as %s is a 415 that names what to send', async (_, contentType) => {
    const path = home(randomUUID());
    const body = new TextEncoder().encode(JSON.stringify({ timeRange }));
    const type: Record<string, string> =
      contentType === null ? {} : { 'Content-Type': contentType };
    const init = { method: 'POST', body, headers: { ...adminHeaders, ...type } };
    const problem = (await ask(415, problemForm, path, init)).body;
    expect(problem.detail).toMatch(/send application\/json$/);
  });

  test('leaves no job behind', async () => {
    const orgId = randomUUID();
    const init = jsonPost({ timeRange, format: 'xlsx' }, adminHeaders);
    await ask(400, problemForm, home(orgId), init);
    expect(await countJobs(orgId)).toBe(0);
  });
});

test('formats of single events go back only as far as those are kept, and say how far', async () => {
  const short = await startSystem({ stream: false, environment: { RAW_RETENTION_DAYS: '3' } });
  const taken = async (body: object) =>
    ask(202, jobForm, home(randomUUID()), jsonPost(body, adminHeaders), short);
  try {
    const old = { start: midnight(4), end: midnight(1) };
    for (const format of ['events', 'focus']) {
      expect(await refused({ timeRange: old, format }, short)).toEqual([
        { path: 'timeRange.start', message: `must not be before ${midnight(3)} (retention)` },
      ]);
      await taken({ timeRange: { ...old, start: midnight(3) }, format });
    }
    await taken({ timeRange: old });
    // Half an hour is in no rollup.
    const half = { ...old, start: old.start.replace('00:00Z', '30:00Z') };
    for (const body of [{ timeRange: half }, { timeRange: old, timezone: 'Asia/Kathmandu' }]) {
      expect(await refused(body, short)).toEqual([
        {
          path: 'timeRange.start',
          message: expect.stringContaining(`before ${midnight(3)} single events are no longer`),
        },
      ]);
    }
  } finally {
    await short.close();
  }
});

describe('Idempotency-Key', () => {
  const keyed = () => ({ 'Idempotency-Key': randomUUID() });

  test.each([
    ['an org', randomUUID()],
    ['all orgs', null],
  ])('the same request for %s twice is one job', async (_, orgId) => {
    const key = keyed();
    const before = await countJobs(orgId);
    const [first, second] = [
      await create({ timeRange, format: 'events' }, orgId, key),
      await create({ timeRange, format: 'events' }, orgId, key),
    ];
    expect(second.job).toEqual(first.job);
    expect(second.headers.get('Location')).toBe(first.headers.get('Location'));
    expect(await countJobs(orgId)).toBe(before + 1);
  });

  test.each([
    ['an org', randomUUID()],
    ['all orgs', null],
  ])('20 times the same request for %s at once is one job', async (_, orgId) => {
    const key = keyed();
    const before = await countJobs(orgId);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => create({ timeRange }, orgId, key)),
    );
    expect(new Set(answers.map(({ job }) => job.jobId)).size).toBe(1);
    expect(await countJobs(orgId)).toBe(before + 1);
  });

  test('the same request in other words is the same', async () => {
    const [orgId, key] = [randomUUID(), keyed()];
    const models = [randomUUID(), randomUUID()];
    const first = await create({ timeRange, models }, orgId, key);
    const again = {
      timeRange: { start: timeRange.start.replace('Z', '+00:00'), end: timeRange.end },
      models: models.toReversed().map((model) => model.toUpperCase()),
      granularity: 'day',
      timezone: 'UTC',
      format: 'csv',
    };
    expect((await create(again, orgId, key)).job).toEqual(first.job);
  });

  test.each<[string, object]>([
    ['granularity', { granularity: 'hourly' }],
    ['timezone', { timezone: 'Europe/Berlin' }],
    ['models', { models: [randomUUID()] }],
    ['format', { format: 'focus' }],
    ['window', { timeRange: { ...timeRange, start: midnight(9) } }],
  ])('beside another %s is a 409 that names the header', async (_, change) => {
    const [orgId, key] = [randomUUID(), keyed()];
    await create({ timeRange }, orgId, key);
    const init = jsonPost({ timeRange, ...change }, { ...adminHeaders, ...key });
    const { body } = await ask(409, problemForm, home(orgId), init);
    expect(body.type).toBe('urn:analytics:problem:conflict');
    expect(body.errors).toEqual([
      { path: 'Idempotency-Key', message: expect.stringContaining('another export') },
    ]);
    expect(body.detail).toContain('Idempotency-Key');
    expect(await countJobs(orgId)).toBe(1);
  });

  test('of another actor, another org or all orgs is another job', async () => {
    const [orgId, randomOrg, key] = [randomUUID(), randomUUID(), keyed()];
    const another = { ...key, 'X-Actor-Subject': 'somebody else' };
    // Each asks for something else, so that none can be taken for another's.
    const askAll = async () => [
      await create({ timeRange }, orgId, key),
      await create({ timeRange, format: 'focus' }, orgId, another),
      await create({ timeRange, format: 'events' }, randomOrg, key),
      await create({ timeRange, granularity: 'hourly' }, null, key),
    ];
    const jobs = (await askAll()).map(({ job }) => job);
    expect(new Set(jobs.map(({ jobId }) => jobId)).size).toBe(4);
    expect((await askAll()).map(({ job }) => job)).toEqual(jobs);
    expect(jobs[1]?.initiatedBy).toBe('somebody else');
  });

  test('requests without a key are each a job', async () => {
    const orgId = randomUUID();
    await create({ timeRange }, orgId);
    await create({ timeRange }, orgId);
    expect(await countJobs(orgId)).toBe(2);
  });

  test.each([
    ['empty', ''],
    ['of two words', 'a b'],
    ['too long', 'x'.repeat(256)],
    ['not ASCII', 'schlüssel'],
  ])('that is %s is a 400', async (_, key) => {
    const headers = { ...adminHeaders, 'Idempotency-Key': key };
    for (const path of [home(randomUUID()), home(null)]) {
      const { body } = await ask(400, problemForm, path, jsonPost({ timeRange }, headers));
      expect(body.errors).toEqual([
        { path: 'Idempotency-Key', message: expect.stringContaining('printable ASCII') },
      ]);
    }
  });

  test('may be as long as 255 characters', async () => {
    await create({ timeRange }, randomUUID(), { 'Idempotency-Key': `"!~${'x'.repeat(252)}` });
  });
});

describe('50 waiting jobs', () => {
  test('are an org’s limit, and nobody else’s', async () => {
    const orgId = randomUUID();
    await insertJobs(orgId, 30);
    await insertJobs(orgId, 19, 'running');
    // What is done does not wait.
    await insertJobs(orgId, 60, 'failed');
    const key = { 'Idempotency-Key': 'the-50th' };
    const { job: last } = await create({ timeRange }, orgId, key);
    const init = jsonPost({ timeRange }, adminHeaders);
    const { headers, body } = await ask(429, problemForm, home(orgId), init);
    expect(headers.get('Retry-After')).toMatch(/^[1-9]\d*$/);
    expect(body).toMatchObject({
      type: 'urn:analytics:problem:too-many-requests',
      status: 429,
      detail: expect.stringContaining('50'),
      instance: home(orgId),
    });
    expect(await countJobs(orgId)).toBe(110);
    await create({ timeRange });
    await create({ timeRange }, null);
    // Whoever did not hear the answer asks again, and it is not one more.
    expect((await create({ timeRange }, orgId, key)).job).toEqual(last);
    await database.query(`update analytics.export_jobs set status = 'failed' where job_id = $1`, [
      last.jobId,
    ]);
    await create({ timeRange }, orgId);
  });

  test('are the limit of those over all orgs too', async () => {
    const waiting = await insertJobs(null, 50 - (await countJobs(null)));
    await ask(429, problemForm, home(null), jsonPost({ timeRange }, adminHeaders));
    await database.query('delete from analytics.export_jobs where job_id = any($1)', [waiting]);
    await create({ timeRange }, null);
  });
});

describe('the list', () => {
  const listed = async (path: string) => (await ask(200, pageForm, path)).body;

  /** The ids of a listing, page by page; `between` runs after the first page. */
  async function pages(path: string, limit: number, between = async () => {}) {
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const next: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page = await listed(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}${next}`);
      // Only the last page may be short, and none is empty.
      expect(page.items.length).toBeGreaterThan(0);
      if (page.nextCursor !== null) expect(page.items).toHaveLength(limit);
      if (cursor === null) await between();
      found.push(...page.items.map(({ jobId }) => jobId));
      expect(found.length).toBeLessThan(1_000);
      cursor = page.nextCursor;
    } while (cursor !== null);
    return found;
  }

  test('is empty where nothing was asked for', async () => {
    expect(await listed(home(randomUUID()))).toEqual({ items: [], nextCursor: null });
  });

  test.each([
    ['an org', randomUUID()],
    ['all orgs', null],
  ])('of %s holds its own jobs alone, newest first', async (_, orgId) => {
    // Whatever other tests asked for over all orgs.
    const before = (await listed(`${home(orgId)}?limit=500`)).items;
    const jobs = [];
    for (const granularity of ['hourly', 'daily', 'monthly']) {
      await create({ timeRange });
      jobs.unshift((await create({ timeRange, granularity }, orgId)).job);
    }
    const { items, nextCursor } = await listed(`${home(orgId)}?limit=500`);
    expect(items).toEqual([...jobs, ...before]);
    expect(nextCursor).toBeNull();
  });

  test('goes on over pages without gaps or doubles, also within one microsecond', async () => {
    const orgId = randomUUID();
    const older = (await insertJobs(orgId, 5)).sort().reverse();
    const newer = (await insertJobs(orgId, 7)).sort().reverse();
    const all = [...newer, ...older];
    for (const limit of [1, 2, 4, 7, 11]) expect(await pages(home(orgId), limit)).toEqual(all);
    // As many as there are: there is no page after it.
    expect((await listed(`${home(orgId)}?limit=12`)).nextCursor).toBeNull();
  });

  test('is not moved by jobs that come while it is read', async () => {
    const orgId = randomUUID();
    const jobs = (await insertJobs(orgId, 5)).sort().reverse();
    const found = await pages(home(orgId), 2, async () => {
      await insertJobs(orgId, 3);
    });
    expect(found).toEqual(jobs);
  });

  test('can be of one status, page by page too', async () => {
    const orgId = randomUUID();
    for (const status of ['pending', 'running', 'failed']) {
      const jobs = (await insertJobs(orgId, 3, status)).sort().reverse();
      const path = `${home(orgId)}?status=${status}`;
      expect(await pages(path, 2)).toEqual(jobs);
      const { items } = await listed(path);
      expect(items.map((job) => job.status)).toEqual([status, status, status]);
    }
    expect((await listed(`${home(orgId)}?status=expired`)).items).toEqual([]);
    expect((await listed(home(orgId))).items).toHaveLength(9);
  });

  test('has 50 jobs a page unless told, from 1 to 500', async () => {
    const orgId = randomUUID();
    await insertJobs(orgId, 51);
    expect((await listed(home(orgId))).items).toHaveLength(50);
    expect((await listed(`${home(orgId)}?limit=1`)).items).toHaveLength(1);
    expect((await listed(`${home(orgId)}?limit=500`)).items).toHaveLength(51);
  });

  const cursorOf = (place: unknown) => Buffer.from(JSON.stringify(place)).toString('base64url');
  test.each<[string, string, string, RegExp]>([
    ['status', 'status=done', 'status', /^must be one of pending, running, succeeded, failed, exp/],
    ['an empty status', 'status=', 'status', /^must be one of/],
    ['two statuses', 'status=failed&status=expired', 'status', /^can be given only once$/],
    ['limit 0', 'limit=0', 'limit', /^must be at least 1$/],
    ['limit 501', 'limit=501', 'limit', /^must be at most 500$/],
    ['limit x', 'limit=x', 'limit', /^must be a whole number$/],
    ['limit -1', 'limit=-1', 'limit', /^must be a whole number$/],
    ['an unknown name', 'state=failed', 'state', /^is not a parameter here$/],
    ['a cursor of one’s own', 'cursor=abc', 'cursor', /nextCursor of an earlier answer/],
    ['an empty cursor', 'cursor=', 'cursor', /^must not be empty$/],
    ...[
      ['no time', ['now', randomUUID()]],
      ['an impossible month', ['2026-13-01 00:00:00+00', randomUUID()]],
      ['30 February', ['2026-02-30 00:00:00+00', randomUUID()]],
      ['the year 0', ['0000-01-01 00:00:00+00', randomUUID()]],
      ['the hour 25', ['2026-01-01 25:00:00+00', randomUUID()]],
      ['an impossible zone', ['2026-01-01 00:00:00+99', randomUUID()]],
      ['a year beyond all', ['999999-01-01 00:00:00+00', randomUUID()]],
      ['no job', ['2026-01-01 00:00:00+00', 'x']],
      ['too much', ['2026-01-01 00:00:00+00', randomUUID(), 1]],
    ].map(
      ([what, place]) =>
        [`a cursor with ${what}`, `cursor=${cursorOf(place)}`, 'cursor', /nextCursor/] as [
          string,
          string,
          string,
          RegExp,
        ],
    ),
  ])('refuses %s', async (_, query, path, message) => {
    for (const orgId of [randomUUID(), null]) {
      const { body } = await ask(400, problemForm, `${home(orgId)}?${query}`);
      expect(body.errors).toEqual([{ path, message: expect.stringMatching(message) }]);
    }
  });
});

test('one job takes no parameters', async () => {
  const orgId = randomUUID();
  const { job } = await create({ timeRange }, orgId);
  for (const more of ['', '/manifest', '/download']) {
    const path = `${home(orgId)}/${job.jobId}${more}?fresh=true`;
    const { body } = await ask(400, problemForm, path);
    expect(body.errors).toEqual([{ path: 'fresh', message: 'is not a parameter here' }]);
  }
});

test('an org that is no uuid is a 400 to an admin', async () => {
  for (const [path, init] of [
    [home('acme'), jsonPost({ timeRange }, adminHeaders)],
    [home('acme'), undefined],
    [`${home('acme')}/${randomUUID()}`, undefined],
  ] as const) {
    const { body } = await ask(400, problemForm, path, init);
    expect(body.errors).toEqual([{ path: 'orgId', message: 'must be a uuid' }]);
  }
});
