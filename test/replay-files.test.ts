import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { modelIdOf } from '../scripts/replay/model-id.ts';
import { encodeEvent } from '../shared/events/usage-event.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { analyticsHere } from './support/analytics-here.ts';
import { type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';

/** Files as people and other systems write them: what is stored of them, value by value. */

let system: System;
let server: Server;
let folder: string;
let database: pg.Client;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'replay-files-'));
  system = await startSystem({ stream: false, exportsEveryMs: 500 });
  server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
  database = new pg.Client({ connectionString: system.settings.DATABASE_URL });
  await database.connect();
});
afterAll(async () => {
  await database?.end();
  await server?.close();
  await system?.close();
  await rm(folder, { recursive: true, force: true });
});

const analytics = (...args: string[]) =>
  analyticsHere(args, {
    ...system.environment,
    ANALYTICS_URL: `http://127.0.0.1:${server.port}`,
  });

async function fileOf(content: string | Buffer, name = 'log.csv'): Promise<string> {
  const path = join(folder, `${randomUUID()}-${name}`);
  await writeFile(path, content);
  return path;
}

const toYesterday = ['--shift-to', 'yesterday'];

/** Replays to an org of its own, unless one is named, and expects all rows to be taken. */
async function replayed(content: string | Buffer, more: string[] = [], name?: string) {
  const org = more.includes('--org') ? [] : ['--org', randomUUID()];
  const args = [await fileOf(content, name), ...toYesterday, ...org, ...more];
  const { code, stdout, stderr } = await analytics('replay', ...args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const orgId = [...more, ...org][[...more, ...org].indexOf('--org') + 1] ?? '';
  return { orgId, stdout, stderr };
}

async function storedOf(orgId: string) {
  const { rows } = await database.query(
    `select client_id, model_id, actor_id, status, error_code, latency_ms,
            input_tokens::int, output_tokens::int, trim_scale(cost_estimate_cents)::text as cost,
            metadata
     from analytics.usage_events where org_id = $1 order by occurred_at, client_id`,
    [orgId],
  );
  return rows;
}

async function sumsOf(orgId: string): Promise<{ invocations: number; cost: string }> {
  const { rows } = await database.query(
    `select count(*)::int as invocations, trim_scale(sum(cost_estimate_cents))::text as cost
     from analytics.usage_events where org_id = $1`,
    [orgId],
  );
  return rows[0];
}

describe('a log with columns of other names', () => {
  const log = `timestamp,model,client,input_tokens,output_tokens,cost_usd,latency,status_code
2026-11-20T12:47:35Z,gpt-4o-mini,team-a,1000,1000,0.00075,4.2,200
2026-11-20T12:48:35Z,gpt-4o,team-b,1000,1000,0.0125,9.9,500
`;
  const lost = ['model', 'client', 'cost_usd', 'latency', 'status_code'];

  test('is refused, each column that would be lost named, and nothing sent', async () => {
    const org = randomUUID();
    const path = await fileOf(log);
    const { code, stdout, stderr } = await analytics('replay', path, ...toYesterday, '--org', org);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`events would lose ${lost.join(', ')}, and have values made here`);
    for (const column of lost) expect(stderr).toContain(`--ignore ${column}`);
    expect(stderr).toContain('--map cost_usd=costEstimateUsd');
    expect(await storedOf(org)).toEqual([]);
  });

  test('is stored as it says once it is told what they hold', async () => {
    const maps = [
      ...['model=model', 'client=clientId', 'cost_usd=costEstimateUsd'],
      ...['latency=latencySeconds', 'status_code=status'],
    ].flatMap((map) => ['--map', map]);
    const { orgId, stdout } = await replayed(log, [...maps, '--provider', 'openai']);
    expect(await storedOf(orgId)).toMatchObject([
      {
        client_id: 'team-a',
        model_id: modelIdOf('openai', 'gpt-4o-mini'),
        status: 'success',
        error_code: null,
        latency_ms: 4_200,
        cost: '0.075',
      },
      {
        client_id: 'team-b',
        model_id: modelIdOf('openai', 'gpt-4o'),
        status: 'error',
        error_code: '500',
        latency_ms: 9_900,
        cost: '1.25',
      },
    ]);
    expect(await sumsOf(orgId)).toEqual({ invocations: 2, cost: '1.325' });
    expect(stdout).toContain(`model ${modelIdOf('openai', 'gpt-4o')} openai/gpt-4o\n`);
    expect(stdout).not.toMatch(/made from|taken for/);
  });

  test('is stored without them where that is wanted, and the summary says what was made', async () => {
    const { orgId, stdout, stderr } = await replayed(
      log,
      lost.flatMap((column) => ['--ignore', column]),
    );
    expect(await sumsOf(orgId)).toEqual({ invocations: 2, cost: '3.6' });
    expect(stderr).toContain(`left out: ${lost.join(', ')}\n`);
    expect(stdout).toContain('costs of all events made from --input-price, --output-price\n');
    expect(stdout).toContain('model of all events taken from --model\n');
    expect(stdout).toContain('latency of all events made from --ms-per-… and tokens\n');
    expect(stdout).toContain('status of all events taken for success\n');
  });

  test('is refused as JSON too, by keys of any row and within keys', async () => {
    const rows = [
      { timestamp: '2026-11-20T12:00:00Z', input_tokens: 1, output_tokens: 1, region: 'eu' },
      { timestamp: '2026-11-20T12:00:00Z', input_tokens: 1, output_tokens: 1, usage: { cost: 1 } },
    ];
    const path = await fileOf(JSON.stringify(rows), 'log.json');
    const { code, stderr } = await analytics('replay', path, ...toYesterday);
    expect(code).toBe(2);
    expect(stderr).toContain('events would lose usage.cost, and have values made here');
  });
});

test('the same rows are the same events, in whatever file they come again', async () => {
  const header = 'timestamp,input_tokens,output_tokens\n';
  const rows = ['35', '36', '37'].map((minute) => `2026-11-20T12:${minute}:35Z,1000,1000\n`);
  const log = header + rows.slice(0, 2).join('');
  const grown = header + rows.join('');
  const { orgId } = await replayed(log);
  const again = async (content: string | Buffer, name?: string) => {
    await replayed(content, ['--org', orgId], name);
    return sumsOf(orgId);
  };
  const before = { invocations: 2, cost: '3.6' };
  expect(await sumsOf(orgId)).toEqual(before);
  expect(await again(log)).toEqual(before);
  const after = { invocations: 3, cost: '5.4' };
  expect(await again(grown)).toEqual(after);
  expect(await again(log.replaceAll('\n', '\r\n'))).toEqual(after);
  expect(await again(`\uFEFF${grown}`)).toEqual(after);
  expect(await again(gzipSync(grown), 'log.csv.gz')).toEqual(after);
  expect(await again(grown.replace(/,1000/g, ',"1000.0"'))).toEqual(after);
  expect(await again(grown.replace(/^(.*),(.*),(.*)$/gm, '$3,$1,$2'))).toEqual(after);
  expect(await again(grown.replace(/$/gm, ',x').replace(/,x$/, ''))).toEqual(after);
  expect(await again(`sep=;\r\n${grown.replaceAll(',', ';')}`)).toEqual(after);
  // A part of it, that begins on the same day.
  expect(await again(header + rows.slice(1).join(''))).toEqual(after);
  const objects = rows.map((row) => {
    const [timestamp, input, output] = row.trim().split(',');
    return { output_tokens: Number(output), input_tokens: Number(input), timestamp };
  });
  expect(await again(JSON.stringify(objects), 'log.json')).toEqual(after);
  expect(await again(objects.map((one) => JSON.stringify(one)).join('\n'), 'a.jsonl')).toEqual(
    after,
  );
});

test('rows that say the same are as many events as there are rows', async () => {
  const row = '2026-11-20T12:47:35Z,1000,1000\n';
  const { orgId } = await replayed(`timestamp,input_tokens,output_tokens\n${row.repeat(5)}`);
  expect(await sumsOf(orgId)).toEqual({ invocations: 5, cost: '9' });
});

test.each([
  ['embeddings of 20 tokens at 2 cents a million', 20, 0, ['2', '0'], '0.04'],
  ['answers of 4 tokens', 4, 0, ['15', '60'], '0.06'],
  ['both sides below a unit', 3, 3, ['15', '60'], '0.225'],
])(
  'a thousand %s come to their sum',
  async (_, input, output, [inputPrice = '', outputPrice = ''], cost) => {
    const rows = Array.from({ length: 1_000 }, (_row, index) => {
      return `2026-11-20T12:${String(10 + (index % 50))}:35Z,${input},${output}\n`;
    });
    const { orgId } = await replayed(`timestamp,input_tokens,output_tokens\n${rows.join('')}`, [
      ...['--input-price', inputPrice, '--output-price', outputPrice],
    ]);
    expect(await sumsOf(orgId)).toEqual({ invocations: 1_000, cost });
  },
);

test('costs of more decimals than are stored come to their sum, and no row is refused', async () => {
  const rows = Array.from({ length: 1_000 }, (_, index) => {
    return `2026-11-20T12:${String(10 + (index % 50))}:35Z,1,1,0.00725,client-${index % 7}\n`;
  });
  const header = 'timestamp,input_tokens,output_tokens,cost_estimate_cents,client_id\n';
  const { orgId } = await replayed(header + rows.join(''));
  expect(await sumsOf(orgId)).toEqual({ invocations: 1_000, cost: '7.25' });
});

describe('our own export', () => {
  const clients = [
    ...['@acme/app', '-prod', '+49 30 1234', '=sum', '\tx', '  lead', 'trail  ', 'a;b', 'a,b'],
    ...['"q"', 'a\nb', 'a\r\nb', "'quoted", '名前', 'x'.repeat(128), '  ', "'=x", "''", 'a;=b'],
    ...['a\r', '\uFEFFb', 'a\n\uFEFFb', '\n'.repeat(128), '"', '", "'],
  ];

  test('comes back event by event, each text exactly as it was', async () => {
    const from = randomUUID();
    const to = randomUUID();
    const events = clients.map((clientId, index) =>
      usageEvent({
        orgId: from,
        clientId,
        actorId: index % 2 === 0 ? null : randomUUID(),
        occurredAtMs: Date.now() - 60_000 - index,
        ...(index % 3 === 0 ? { status: 'error', errorCode: clientId } : {}),
      }),
    );
    const lines = events.map((event) => `${encodeEvent(event)}\n`).join('');
    const sent = await fileOf(lines, 'events.ndjson');
    expect(await analytics('events', 'send', sent)).toMatchObject({ code: 0 });
    const path = join(folder, `${randomUUID()}.csv`);
    const saved = await analytics(
      ...['exports', 'create', '--org', from, '--format', 'events', '--start', '2d'],
      ...['--end', 'tomorrow', '--output', path],
    );
    expect(saved).toMatchObject({ code: 0 });
    const copy = (await readFile(path, 'utf8')).replaceAll(from, to);
    const { code, stderr } = await analytics('replay', await fileOf(copy));
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('batch_id'),
    });
    expect(await storedOf(to)).toEqual(await storedOf(from));
    expect((await storedOf(to)).map((row) => row.client_id).sort()).toEqual([...clients].sort());
  });

  test('of the rule before, which guarded the first character alone, comes back too', async () => {
    const org = randomUUID();
    const header =
      'occurred_at,event_id,org_id,model_id,actor_id,client_id,latency_ms,status,error_code,' +
      'input_tokens,output_tokens,cost_estimate_cents,input_cost_cents,output_cost_cents,batch_id';
    const cells = ["'@acme/app", "'-prod", "'=sum", "'\tx", '  lead', '"a\r\nb"', "'quoted", '  '];
    const rows = cells.map(
      (cell, index) =>
        `2026-11-20T10:00:0${index}.000Z,${randomUUID()},${org},${randomUUID()},,${cell},100,` +
        'success,,10,5,0.0001,,,64',
    );
    await replayed(`${[header, ...rows].join('\r\n')}\r\n`, ['--org', org]);
    const stored = await storedOf(org);
    expect(stored.map((row) => row.client_id)).toEqual([
      ...['@acme/app', '-prod', '=sum', '\tx', '  lead', 'a\r\nb', "'quoted", '  '],
    ]);
  });
});

test('LiteLLM’s spend logs are stored with spend, status, user and team', async () => {
  const key = 'a1b2'.repeat(16);
  const { orgId, stderr } = await replayed(`\
request_id,call_type,api_key,spend,total_tokens,prompt_tokens,completion_tokens,startTime,endTime,model,custom_llm_provider,user,metadata,team_id,messages,status
chatcmpl-1,acompletion,${key},2e-05,521,121,400,2026-11-20 12:47:35.248,2026-11-20 12:47:39.112,gpt-4o-mini,openai,default_user_id,"{""user_api_key_alias"":""team-a"",""usage_object"":{""prompt_tokens_details"":{""cached_tokens"":90}}}",team-1,{},success
chatcmpl-2,acompletion,a1b2,0.0184140,1242,18,1224,2026-11-20 12:47:35.248,2026-11-20 12:47:59.112,claude-3-5-sonnet,bedrock,u,"{}",,{},failure
`);
  expect(stderr).toContain("read as LiteLLM's spend logs\n");
  expect(stderr).toContain('left out: total_tokens, messages\n');
  expect(await storedOf(orgId)).toMatchObject([
    {
      client_id: key,
      model_id: modelIdOf('openai', 'gpt-4o-mini'),
      status: 'success',
      latency_ms: 3_864,
      cost: '0.002',
      metadata: {
        user: 'default_user_id',
        team: 'team-1',
        keyAlias: 'team-a',
        cachedInputTokens: '90',
      },
    },
    { client_id: 'a1b2', status: 'error', latency_ms: 23_864, cost: '1.8414' },
  ]);
});

test('a trace that counts from its start needs a day to start on', async () => {
  const rows = [
    { timestamp: 0, input_length: 6_758, output_length: 500, hash_ids: [0, 1, 2] },
    { timestamp: 3_052, input_length: 7_319, output_length: 490, hash_ids: [0, 14] },
  ];
  const trace = rows.map((row) => JSON.stringify(row)).join('\n');
  const unplaced = await analytics('replay', await fileOf(trace, 'mooncake.jsonl'));
  expect(unplaced).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(
      /is a Mooncake trace, whose times count from its start: .*--shift-to/,
    ),
  });
  const { orgId } = await replayed(trace, [], 'mooncake.jsonl');
  expect(await storedOf(orgId)).toMatchObject([
    { input_tokens: 6_758, output_tokens: 500 },
    { input_tokens: 7_319, output_tokens: 490 },
  ]);
});

test('times without a zone are told, ambiguous ones named, and the others sent', async () => {
  const times = [
    '2026-11-21T12:00:00+0000',
    '2026-11-21 12:00',
    '11/21/2026 12:00:00',
    '2026-11-21',
  ];
  const rows = times.map((time) => `${time},1,1\n`).join('');
  const path = await fileOf(`timestamp,input_tokens,output_tokens\n${rows}`);
  const org = ['--org', randomUUID()];
  const { code, stderr } = await analytics('replay', path, ...toYesterday, ...org);
  expect(code).toBe(1);
  expect(stderr).toContain(
    'warning: times without a zone are read as UTC, 1 of them (lines 3): --timezone',
  );
  expect(stderr).toContain('line 4 skipped: occurredAt: may be month or day first, "11/21/2026');
  expect(stderr).toContain('line 5 skipped: occurredAt: must have a time of day');
  expect(await sumsOf(org[1] ?? '')).toMatchObject({ invocations: 2 });
});

test.each([
  [
    'a.jsonl',
    '{"when":1,"prompt":2}\n',
    /has no key occurredAt \(or TIMESTAMP\), nor .*; it has: when, prompt/,
  ],
  ['a.json', '{"data":[{"a":1}]}', /has no key .*; it has: data/],
  ['a.json', '[]', /holds no rows/],
  ['a.csv', '', /holds no rows/],
  ['a.csv', 'timestamp,input_tokens,output_tokens\n', /holds no rows/],
  ['a.json', '[1,2]', /holds no JSON objects that can be read: line 1: it is not a JSON object/],
  ['a.csv', Buffer.from('504b030414000600', 'hex'), /is a zip archive/],
])('%s of %j is named for what it is', async (name, content, message) => {
  const { code, stdout, stderr } = await analytics('replay', await fileOf(content, name));
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(message);
});
