import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDatabase } from '../shared/platform/database/db.ts';
import { midnight } from './support/midnight.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';

const orgId = randomUUID();
const window = `start=${midnight(3)}&end=${midnight(1)}`;
const windowed = ['usage', 'reliability'].map((name) => `/analytics/v1/orgs/${orgId}/${name}`);
const orgs = '/analytics/v1/orgs';

let system: System;

beforeAll(async () => {
  system = await startSystem({ stream: false });
});
afterAll(() => system?.close());

interface Problem {
  status: number;
  detail: string;
  errors: { path: string; message: string }[];
}

/** Expects a 400 and gives its problem. */
async function refused(path: string): Promise<Problem> {
  const response = await system.app.request(path, { headers: adminHeaders });
  const body: unknown = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status: 400 });
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
  expect(body).toEqual({
    type: 'urn:analytics:problem:invalid-request',
    title: expect.any(String),
    status: 400,
    detail: expect.any(String),
    instance: path.split('?')[0],
    errors: expect.any(Array),
  });
  return body as Problem;
}

async function status(path: string): Promise<number> {
  return (await system.app.request(path, { headers: adminHeaders })).status;
}

test('windows that need events past raw retention are refused, for all orgs as for one', async () => {
  const short = await startSystem({ stream: false, environment: { RAW_RETENTION_DAYS: '3' } });
  try {
    const from = `start=${midnight(5).replace('T00:00', 'T20:30')}&end=${midnight(1)}`;
    const whole = `start=${midnight(5)}&end=${midnight(1)}`;
    for (const path of [...windowed, orgs]) {
      expect(await short.get(`${path}?${from}`)).toMatchObject({
        status: 400,
        body: { errors: [{ path: 'start', message: expect.stringContaining('no longer kept') }] },
      });
      expect(await short.get(`${path}?${whole}`)).toMatchObject({ status: 200 });
    }
  } finally {
    await short.close();
  }
});

test.each(windowed)('NUL in a client id is refused by %s', async (path) => {
  expect((await refused(`${path}?${window}&clientId=a%00b`)).errors).toEqual([
    { path: 'clientId[0]', message: 'must not contain NUL' },
  ]);
});

const day = midnight(1);
const instantFault = /^must be an RFC 3339 date-time with a zone/;

describe.each(['usage', 'reliability'])('%s', (name) => {
  const path = `/analytics/v1/orgs/${orgId}/${name}`;

  test.each<[string, string, string, RegExp]>([
    ['no start', `end=${day}`, 'start', /^is required$/],
    ['no end', `start=${day}`, 'end', /^is required$/],
    ['an empty start', `start=&end=${day}`, 'start', instantFault],
    ['a date for a time', `start=2026-01-01&end=${day}`, 'start', instantFault],
    ['a time without a zone', `start=2026-01-01T00:00:00&end=${day}`, 'start', instantFault],
    ['30 February', `start=2026-02-30T00:00:00Z&end=${day}`, 'start', instantFault],
    ['a raw plus', `start=${midnight(3).replace('Z', '+00:00')}&end=${day}`, 'start', /%2B/],
    ['start = end', `start=${day}&end=${day}`, 'end', /^must be after start$/],
    ['start > end', `start=${day}&end=${midnight(2)}`, 'end', /^must be after start$/],
    ['granularity', `${window}&granularity=week`, 'granularity', /^must be hour, day or month$/],
    ['groupBy', `${window}&groupBy=org`, 'groupBy', /^must be one of model, client/],
    ['timezone', `${window}&timezone=Mars/Olympus`, 'timezone', /^must be an IANA time zone/],
    ['an empty timezone', `${window}&timezone=`, 'timezone', /^must be an IANA time zone/],
    ['modelId', `${window}&modelId=gpt`, 'modelId[0]', /^must be a uuid$/],
    [
      'the second modelId',
      `${window}&modelId=${orgId}&modelId=x`,
      'modelId[1]',
      /^must be a uuid$/,
    ],
    ['clientId', `${window}&clientId=${'x'.repeat(129)}`, 'clientId[0]', /^must have at most 128/],
    ['an unknown name', `${window}&modelID=${orgId}`, 'modelID', /^is not a parameter here$/],
    ['a doubled start', `${window}&start=${day}`, 'start', /^can be given only once$/],
    ['a doubled timezone', `${window}&timezone=UTC&timezone=UTC`, 'timezone', /only once$/],
  ])('refuses %s and says why', async (_, query, where, why) => {
    const { errors, detail } = await refused(`${path}?${query}`);
    expect(errors).toEqual([{ path: where, message: expect.stringMatching(why) }]);
    expect(detail).toContain(errors[0]?.message);
  });

  test('names every fault of a request at once', async () => {
    const { errors } = await refused(
      `${path}?start=yesterday&granularity=week&groupBy=org&timezone=Mars/Olympus&modelId=gpt&nonsense=1&limit=1&timezone=UTC`,
    );
    expect(new Set(errors.map((fault) => fault.path))).toEqual(
      new Set([
        'start',
        'end',
        'granularity',
        'groupBy',
        'timezone',
        'modelId[0]',
        'nonsense',
        'limit',
      ]),
    );
    expect(errors.filter((fault) => fault.path === 'timezone')).toHaveLength(2);
  });

  test('names what is wrong with the window beside what is wrong with other parameters', async () => {
    const { errors } = await refused(
      `${path}?start=${midnight(1)}&end=${midnight(500)}&granularity=week&nonsense=1`,
    );
    expect(new Set(errors.map((fault) => fault.path))).toEqual(
      new Set(['end', 'granularity', 'nonsense']),
    );
  });

  test('names the window’s length and its age together', async () => {
    const { errors } = await refused(`${path}?start=${midnight(900)}&end=${midnight(1)}`);
    expect(errors).toEqual([
      { path: 'end', message: 'must be at most 400 days after start' },
      { path: 'start', message: `must not be before ${midnight(400)} (retention)` },
    ]);
  });

  test('takes 400 days, and not a millisecond more', async () => {
    const [start, end] = [midnight(400), midnight(0)];
    expect(await status(`${path}?start=${start}&end=${end}`)).toBe(200);
    const { errors } = await refused(`${path}?start=${start}&end=${end.replace('00Z', '00.001Z')}`);
    expect(errors).toEqual([{ path: 'end', message: 'must be at most 400 days after start' }]);
  });

  test('a window older than retention is told the oldest time, and that one is taken', async () => {
    const { errors, detail } = await refused(`${path}?start=${midnight(401)}&end=${midnight(390)}`);
    const oldest = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/.exec(detail)?.[0] ?? '';
    expect(oldest).toBe(midnight(400));
    expect(errors.map((fault) => fault.path)).toEqual(['start']);
    expect(await status(`${path}?start=${oldest}&end=${midnight(390)}`)).toBe(200);
  });

  test('hours of a zone with a fractional offset are limited to 7 days', async () => {
    const zone = 'granularity=hour&timezone=Asia/Kathmandu';
    expect(await status(`${path}?start=${midnight(9)}&end=${midnight(2)}&${zone}`)).toBe(200);
    const { errors } = await refused(`${path}?start=${midnight(9)}&end=${midnight(1)}&${zone}`);
    expect(errors).toEqual([
      { path: 'granularity', message: expect.stringMatching(/at most 7 days.*granularity=day/) },
    ]);
    const days = `start=${midnight(300)}&end=${midnight(1)}&timezone=Asia/Kathmandu`;
    expect(await status(`${path}?${days}`)).toBe(200);
  });

  test.each([
    ['hourly', 'hour'],
    ['daily', 'day'],
    ['monthly', 'month'],
  ])('granularity=%s is %s', async (alias, name) => {
    const { status: code, body } = await system.get(`${path}?${window}&granularity=${alias}`);
    expect({ code, body }).toMatchObject({ code: 200, body: { granularity: name } });
  });

  test('the defaults are days, UTC and model', async () => {
    const { body } = await system.get(`${path}?${window}`);
    const explicit = await system.get(
      `${path}?${window}&granularity=day&timezone=UTC&groupBy=model`,
    );
    expect(body).toEqual(explicit.body);
    expect(body).toMatchObject({ granularity: 'day', timezone: 'UTC' });
  });

  test('an org id that is no uuid is a 400 to an admin', async () => {
    const { errors } = await refused(`${path.replace(orgId, 'acme')}?${window}`);
    expect(errors).toEqual([{ path: 'orgId', message: 'must be a uuid' }]);
  });
});

describe('percentile', () => {
  const [usage = '', reliability = ''] = windowed;

  test('may be p50, p95 or p99, and is echoed', async () => {
    for (const percentile of ['p50', 'p95', 'p99']) {
      const { body } = await system.get(`${reliability}?${window}&percentile=${percentile}`);
      expect(body).toMatchObject({ percentile, totals: { latencyMs: { p50: null } } });
    }
    for (const wrong of ['p90', '95', '']) {
      const { errors } = await refused(`${reliability}?${window}&percentile=${wrong}`);
      expect(errors).toEqual([{ path: 'percentile', message: 'must be p50, p95 or p99' }]);
    }
  });

  test('is no parameter of usage', async () => {
    const { errors } = await refused(`${usage}?${window}&percentile=p95`);
    expect(errors).toEqual([{ path: 'percentile', message: 'is not a parameter here' }]);
  });
});

describe('more than 10,000 points', () => {
  const full = randomUUID();
  const hours = 250;
  const models = 40;
  const start = midnight(20);
  const end = new Date(Date.parse(start) + hours * 3_600_000).toISOString();
  let insert: (model: number, hour: number) => Promise<unknown>;
  let close: () => Promise<void>;

  beforeAll(async () => {
    const database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
    // Straight into the rollup: what is tested is the answer's size, not how it came about.
    const rows = (from: string) =>
      `insert into analytics.usage_hourly
       select $1, $2::timestamptz + hour * interval '1 hour',
              lpad(model::text, 32, '0')::uuid, '', 1, 0, 0, 0, 1, 1, 0.5, '{513}'
       from ${from}`;
    await database.query(
      rows(`generate_series(0, ${hours - 1}) hour, generate_series(1, ${models}) model`),
      [full, start],
    );
    insert = (model, hour) =>
      database.query(rows('(values ($3::int, $4::int)) as v (model, hour)'), [
        full,
        start,
        model,
        hour,
      ]);
    close = () => database.close();
  });
  afterAll(() => close?.());

  test('exactly 10,000 are answered, one more is told to narrow the window', async () => {
    for (const path of windowed.map((one) => one.replace(orgId, full))) {
      const query = `${path}?start=${start}&end=${end}&granularity=hour`;
      const { body } = await system.get(query);
      expect(body).toMatchObject({ totals: { invocations: hours * models } });
      expect((body as { series: unknown[] }).series).toHaveLength(hours * models);
    }
    await insert(models + 1, 0);
    for (const path of windowed.map((one) => one.replace(orgId, full))) {
      const { errors } = await refused(`${path}?start=${start}&end=${end}&granularity=hour`);
      expect(errors).toEqual([
        {
          path: 'granularity',
          message: expect.stringMatching(/more than 10000 points: shorten the window/),
        },
      ]);
      expect(await status(`${path}?start=${start}&end=${end}&granularity=hour&groupBy=none`)).toBe(
        200,
      );
    }
  });
});

describe('the list of orgs', () => {
  test.each<[string, string, string, RegExp]>([
    ['no window', '', 'start', /^is required$/],
    ['limit 0', `${window}&limit=0`, 'limit', /^must be at least 1$/],
    ['limit 501', `${window}&limit=501`, 'limit', /^must be at most 500$/],
    ['limit x', `${window}&limit=x`, 'limit', /^must be a whole number$/],
    ['a cursor of one’s own', `${window}&cursor=abc`, 'cursor', /nextCursor of an earlier answer/],
    ['granularity', `${window}&granularity=day`, 'granularity', /^is not a parameter here$/],
    ['start > end', `start=${midnight(1)}&end=${midnight(2)}`, 'end', /^must be after start$/],
    ['age', `start=${midnight(402)}&end=${midnight(400)}`, 'start', /^must not be before/],
  ])('refuses %s', async (_, query, where, why) => {
    const { errors } = await refused(`${orgs}?${query}`);
    expect(errors).toContainEqual({ path: where, message: expect.stringMatching(why) });
  });

  test.each([
    ['not base64 of JSON', 'bm90IGpzb24'],
    ['SQL in the place of a cost', Buffer.from('["1;drop table x","x"]').toString('base64url')],
    ['no org', Buffer.from('["1.5","x"]').toString('base64url')],
  ])('a cursor with %s is a 400', async (_, cursor) => {
    const { errors } = await refused(`${orgs}?${window}&cursor=${cursor}`);
    expect(errors.map((fault) => fault.path)).toEqual(['cursor']);
  });
});

test('freshness and models refuse parameters they do not have', async () => {
  for (const name of ['freshness', 'models']) {
    const { errors } = await refused(`/analytics/v1/orgs/${orgId}/${name}?start=${day}&x=1`);
    expect(new Set(errors.map((fault) => fault.path))).toEqual(new Set(['start', 'x']));
  }
  const twice = `modelId=${orgId}&modelId=${orgId}`;
  const { errors } = await refused(`/analytics/v1/orgs/${orgId}/freshness?${twice}`);
  expect(errors).toEqual([{ path: 'modelId', message: 'can be given only once' }]);
});

test('where raw rows are kept for less long, a window that needs them is told where they end', async () => {
  const short = await startSystem({ stream: false, environment: { RAW_RETENTION_DAYS: '30' } });
  try {
    const ask = async (query: string) => {
      const response = await short.app.request(`${windowed[0]}?${query}`, {
        headers: adminHeaders,
      });
      return { status: response.status, body: await response.text() };
    };
    const old = `start=${midnight(60)}&end=${midnight(20)}`;
    expect(await ask(old)).toMatchObject({ status: 200 });
    const odd = await ask(`start=${midnight(60).replace('00:00Z', '30:00Z')}&end=${midnight(20)}`);
    expect(odd).toMatchObject({ status: 400, body: expect.stringContaining(midnight(30)) });
    const kathmandu = await ask(`${old}&timezone=Asia/Kathmandu`);
    expect(kathmandu).toMatchObject({ status: 400, body: expect.stringContaining(midnight(30)) });
  } finally {
    await short.close();
  }
});
