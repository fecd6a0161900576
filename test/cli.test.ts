import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { encodeEvent, type UsageEvent } from '../shared/events/usage-event.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { analyticsCommand } from './support/analytics-command.ts';
import { analyticsHere } from './support/analytics-here.ts';
import { type Front, type FrontOptions, startFront } from './support/front.ts';
import { nowWithRoom } from './support/midnight.ts';
import { type System, startSystem } from './support/system.ts';
import { sign, startTokenIssuer, type TokenIssuer, validClaims } from './support/token-issuer.ts';
import { makeTrace } from './support/trace.ts';
import { usageEvent } from './support/usage-events.ts';

const orgId = '00000000-0000-4000-8000-00000000000a';
const { modelId } = usageEvent();
const other = '00000000-0000-4000-8000-0000000000a2';
/** What would clear the screen, and turn what follows around. */
const hostileName = 'chat\u001b[2J\u009b31m\u202elarge';
/** Whatever is no printable text, but for line ends. */
const raw = /[^\P{Cc}\n]|\p{Cf}/u;

let system: System;
let server: Server;
let url: string;
let folder: string;
let environment: Record<string, string>;

const analytics = (line: string, more: string[] = [], over: Record<string, string> = {}) =>
  analyticsHere([...line.split(' '), ...more], { ...environment, ...over });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-cli-'));
  system = await startSystem({ stream: false, exportsEveryMs: 500 });
  server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
  url = `http://127.0.0.1:${server.port}`;
  environment = { ...system.environment, ANALYTICS_URL: url, ANALYTICS_ORG: orgId };
  const names = join(folder, 'names.json');
  await writeFile(
    names,
    JSON.stringify([
      { kind: 'model', id: modelId, name: hostileName },
      { kind: 'model', id: other, name: 'code-small' },
      { kind: 'org', id: orgId, name: 'Acme' },
    ]),
  );
  expect(await analytics('catalog import --json', [names])).toMatchObject({ code: 0 });
  const occurredAtMs = await nowWithRoom();
  const event = (fields: Partial<UsageEvent> = {}) => usageEvent({ occurredAtMs, ...fields });
  const events = [
    ...Array.from({ length: 5 }, () => event()),
    event({ modelId: other, clientId: '', costEstimateCents: '9007199254740.9931' }),
    event({ modelId: other, status: 'error', errorCode: 'over\u001b[2Jloaded' }),
  ];
  const file = join(folder, 'events.ndjson');
  await writeFile(file, events.map((event) => `${encodeEvent(event)}\n`).join(''));
  const sent = await analytics('events send', [file]);
  expect(sent).toMatchObject({ code: 0, stdout: '7 accepted, 0 rejected\n' });
  await system.refresh();
});
afterAll(async () => {
  await server?.close();
  await system?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('what the API knows', () => {
  test.each([
    ['usage', `/orgs/${orgId}/usage`],
    ['reliability', `/orgs/${orgId}/reliability`],
    ['models', `/orgs/${orgId}/models`],
    ['freshness', `/orgs/${orgId}/freshness`],
    ['orgs', '/orgs'],
  ])('%s --json is the answer of the API itself, digit for digit', async (line, path) => {
    const range = ['--start', '2026-01-01', '--end', 'tomorrow'];
    const takesRange = !['models', 'freshness'].includes(line);
    const { code, stdout, stderr } = await analytics(`${line} --json`, takesRange ? range : []);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const tomorrow = `${new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;
    const query = takesRange ? `?start=2026-01-01T00:00:00Z&end=${tomorrow}` : '';
    const headers = { 'X-Actor-Subject': 'x', 'X-Actor-Roles': 'admin' };
    const answer = await system.app.request(`/analytics/v1${path}${query}`, { headers });
    const timeless = (text: string) => text.replace(/"(lagSeconds|completeThrough)":[^,}]*/g, '$1');
    expect(timeless(stdout)).not.toMatch(raw);
    const told = stdout.replace(/\\u(009b|202e)/g, (_, hex) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    expect(timeless(told)).toBe(`${timeless(await answer.text())}\n`);
  });

  test('usage is a table with names, its totals and how complete it is', async () => {
    const { code, stdout } = await analytics('usage');
    expect(code).toBe(0);
    expect(stdout).not.toMatch(raw);
    expect(stdout).toMatch(/^day +model +invocations +errors +input tokens/);
    expect(stdout).toContain('chat\\u{1b}[2J\\u{9b}31m\\u{202e}large');
    expect(stdout).toMatch(/^total +7 +1 +70 +140 +9007199254741\.7335$/m);
    expect(stdout).toMatch(/\nfresh: complete through \d{4}-/);
  });

  test.each([
    [['--model', 'code-small', '--group-by', 'none'], /^total +2 +1 /m],
    [['--model', modelId.toUpperCase(), '--group-by', 'none'], /^total +5 +0 /m],
    [['--model', 'code-small', '--model', hostileName], /^total +7 /m],
    [['--client', '', '--group-by', 'client'], /\(none\) +1 .*\ntotal +1 /],
    [
      ['--start', '30m', '--granularity', 'hour', '--timezone', 'Europe/Berlin'],
      / \d\d:00\+0[12]:00 /,
    ],
    [['--start', 'this-month', '--granularity', 'month', '--group-by', 'none'], /^\d{4}-\d\d +7 /m],
    [['--start', '3d', '--end', '2d'], /^total +0 /m],
  ])('usage %j', async (args, words) => {
    const { code, stdout } = await analytics('usage', args);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(words) });
  });

  test('reliability tells errors and percentiles, and the most frequent errors by name', async () => {
    const { code, stdout } = await analytics('reliability --group-by none');
    expect(code).toBe(0);
    expect(stdout).not.toMatch(raw);
    expect(stdout).toMatch(/^total +7 +14\.29% +1 +0 +0 +\d+ +\d+ +\d+$/m);
    expect(stdout).toMatch(/^over\\u\{1b\}\[2Jloaded +code-small +web +1$/m);
  });

  test('freshness, models and orgs have names too', async () => {
    expect((await analytics('freshness')).stdout).toMatch(/^code-small +fresh /m);
    expect((await analytics('models')).stdout).toMatch(new RegExp(`^code-small +${other} `, 'm'));
    const { stdout } = await analytics('orgs --limit 1');
    expect(stdout).toMatch(new RegExp(`^Acme +${orgId} +7 `, 'm'));
  });

  test.each([
    ['a model that nobody knows', 'usage --model nonsense', {}, 2, /--model nonsense is no id/],
    [
      'a window that the API refuses',
      'usage --start 2020-01-01',
      {},
      2,
      /start must not be before/,
    ],
    ['nobody', 'usage --subject me --roles none --orgs', {}, 1, /analytics:usage:read.*--roles/],
    ['an export that is not there', `exports show ${orgId}`, {}, 1, /there is no export/],
  ])('%s', async (_, line, over, expected, words) => {
    const args = line.endsWith('--orgs') ? [orgId] : [];
    const { code, stdout, stderr } = await analytics(line, args, over);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(words);
    expect(stderr).toMatch(/^[^\n]+\n$/);
  });
});

describe('events', () => {
  test.each([
    ['a list', (events: Buffer[]) => `[${events.join(',')}]`, 'event 1'],
    ['one a line', (events: Buffer[]) => events.join('\r\n'), 'line 2'],
  ])('%s: what is wrong is told event by event, and sent by none', async (_, form, label) => {
    const good = encodeEvent(usageEvent());
    const bad = Buffer.from('{"latencyMs":-1,"status":"\\u001b[2J","orgId":"x"}');
    const input = form([good, bad]);
    const file = join(folder, `${randomUUID()}.json`);
    await writeFile(file, input);
    const { code, stdout, stderr } = await analytics('events validate', [file]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '1 valid, 1 rejected\n' });
    expect(stderr).toMatch(new RegExp(`^${label}: .*latencyMs: must`));
    expect(stderr).not.toMatch(raw);
    const json = await analytics('events validate --json', [file]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      valid: 1,
      rejected: 1,
      errors: [{ event: label, reason: expect.stringContaining('latencyMs: must') }],
    });
  });

  test('events of which none is taken are named one by one, sent or tried', async () => {
    const file = join(folder, `${randomUUID()}.json`);
    await writeFile(file, '[{"latencyMs":-1},{"status":"success"}]');
    for (const [command, taken] of [
      ['events send', 'accepted'],
      ['events validate', 'valid'],
    ] as const) {
      const { code, stdout, stderr } = await analytics(command, [file]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: `0 ${taken}, 2 rejected\n` });
      expect(stderr).toMatch(/^event 0: eventId: is required;.*latencyMs: must not be negative/);
      expect(stderr).toMatch(/\nevent 1: eventId: is required;/);
    }
  });

  test('of many wrong events each is named, however few faults an answer tells', async () => {
    const file = join(folder, `${randomUUID()}.json`);
    await writeFile(file, JSON.stringify(Array(300).fill({})));
    const { stdout, stderr } = await analytics('events validate', [file]);
    expect(stdout).toBe('0 valid, 300 rejected\n');
    expect(stderr.trim().split('\n')).toHaveLength(300);
    expect(stderr).toMatch(/^event 299: eventId: is required; and \d+ more$/m);
  });

  test('a line that is no JSON stops no other, and nothing counts twice', async () => {
    const org = randomUUID();
    const lines = [
      encodeEvent(usageEvent({ orgId: org })),
      '{',
      encodeEvent(usageEvent({ orgId: org })),
    ];
    const file = join(folder, `${randomUUID()}.ndjson`);
    await writeFile(file, lines.join('\n'));
    for (let time = 0; time < 2; time += 1) {
      const { code, stdout, stderr } = await analytics('events send', [file]);
      expect({ code, stdout, stderr }).toEqual({
        code: 1,
        stdout: '2 accepted, 1 rejected\n',
        stderr: 'line 2: is not JSON\n',
      });
    }
    const { stdout } = await analytics('usage --json --group-by none', ['--org', org]);
    expect(JSON.parse(stdout).totals.invocations).toBe(2);
  });

  test('costs that are numbers are sent digit for digit', async () => {
    const org = randomUUID();
    const costEstimateCents = '12345678901234.5678';
    const event = encodeEvent(usageEvent({ orgId: org, costEstimateCents }))
      .toString()
      .replace(`"${costEstimateCents}"`, costEstimateCents);
    expect(event).toContain(`"costEstimateCents":${costEstimateCents},`);
    const file = join(folder, `${randomUUID()}.json`);
    await writeFile(file, event);
    // In a process of its own: within one, both ends would know a kept number by the same mark.
    const validated = await analyticsCommand(['events', 'validate', file], environment);
    expect(validated).toMatchObject({ code: 0, stdout: '1 valid, 0 rejected\n' });
    const sent = await analyticsCommand(['events', 'send', file], environment);
    expect(sent).toMatchObject({ code: 0, stdout: '1 accepted, 0 rejected\n' });
    const { stdout } = await analytics('usage --json --group-by none', ['--org', org]);
    expect(stdout).toContain(`"costEstimateCents":${costEstimateCents}`);
  });

  test('of a gzipped file, and of one in UTF-16', async () => {
    const file = join(folder, `${randomUUID()}.ndjson.gz`);
    const line = encodeEvent(usageEvent({ orgId: randomUUID() })).toString();
    for (const bytes of [gzipSync(line), Buffer.from(`\uFEFF${line}`, 'utf16le')]) {
      await writeFile(file, bytes);
      expect(await analytics('events validate', [file])).toMatchObject({
        code: 0,
        stdout: '1 valid, 0 rejected\n',
      });
    }
  });

  test('from standard input, as the program starts', async () => {
    const event = usageEvent({ orgId: randomUUID(), costEstimateCents: '0.1000' });
    const input = JSON.stringify(JSON.parse(encodeEvent(event).toString()), null, 2);
    const sent = await analyticsCommand(['events', 'send', '-', '--json'], environment, { input });
    expect(sent).toEqual({
      code: 0,
      stdout: '{"accepted":1,"rejected":0,"errors":[]}\n',
      stderr: '',
    });
  });
});

const jobForm = z.object({
  jobId: z.guid(),
  status: z.string(),
  checksum: z.string(),
  bytes: z.number(),
});

describe('exports', () => {
  const place = () => join(folder, `${randomUUID()}.csv`);
  const sha256 = async (path: string) =>
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex');

  test('is asked for, waited for, saved for its owner alone, and checked', async () => {
    const path = place();
    const args = ['--start', 'today', '--end', 'tomorrow', '--output', path, '--json'];
    const { code, stdout } = await analytics('exports create', args);
    expect(code).toBe(0);
    const saved = z.object({ jobId: z.guid(), checksum: z.string() }).parse(JSON.parse(stdout));
    expect(await sha256(path)).toBe(saved.checksum);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'utf8')).toContain('Acme');

    const listed = await analytics('exports list --status succeeded');
    expect(listed.stdout).toMatch(new RegExp(`^${saved.jobId} +succeeded +daily csv `, 'm'));
    const shown = await analytics('exports show', [saved.jobId]);
    expect(shown.stdout).toMatch(new RegExp(`^SHA-256 +${saved.checksum}$`, 'm'));
    const waited = await analytics('exports wait --json', [saved.jobId]);
    expect(jobForm.parse(JSON.parse(waited.stdout))).toMatchObject(saved);

    await writeFile(path, 'mine');
    const refused = await analytics('exports download', [saved.jobId, '--output', path]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--force') });
    expect(await readFile(path, 'utf8')).toBe('mine');
    const forced = await analytics('exports download --force', [saved.jobId, '--output', path]);
    expect(forced).toMatchObject({ code: 0, stdout: `${path}\n` });
    expect(await sha256(path)).toBe(saved.checksum);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('one model by its name, over all orgs, and without waiting', async () => {
    const one = await analytics('exports create --wait --json --model code-small');
    expect(JSON.parse(one.stdout)).toMatchObject({ status: 'succeeded', models: [other] });
    const all = await analytics('exports create --all-orgs --granularity month');
    expect(all).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\S{36} pending\n$/) });
    const listed = await analytics('exports list --all-orgs --limit 1');
    expect(listed.stdout).toContain(all.stdout.slice(0, 36));
  });

  describe('a download', () => {
    let jobId: string;
    let front: Front;
    let path: string;
    beforeAll(async () => {
      const made = await analytics('exports create --wait --json');
      jobId = jobForm.parse(JSON.parse(made.stdout)).jobId;
    });
    beforeEach(() => {
      path = place();
    });
    afterEach(async () => {
      await front.close();
      // Nothing of a file that is not right is left.
      expect((await readdir(folder)).filter((name) => name.includes('.part'))).toEqual([]);
    });
    const download = async (options: FrontOptions) => {
      front = await startFront(system.app, options);
      return analytics('exports download', [jobId, '--output', path], { ANALYTICS_URL: front.url });
    };

    test('of another file than the job tells of ends with exit code 1', async () => {
      const { code, stderr } = await download({
        onAnswer: async ({ path: asked }, answer) => {
          if (!asked.endsWith(jobId)) return null;
          const job = z.looseObject({}).parse(await answer.json());
          return Response.json({ ...job, checksum: '0'.repeat(64) });
        },
      });
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringMatching(
          /^exports: the file is not the export's: SHA-256 \w{64}, not 0{64}/,
        ),
      });
      await expect(stat(path)).rejects.toThrow('ENOENT');
    });

    /** A store between, which may break off what it sends. */
    async function through(answer: (response: ServerResponse, file: Buffer) => void) {
      let asked = 0;
      const headers: string[] = [];
      let source = '';
      const store = createServer(async (request, response) => {
        asked += 1;
        headers.push(...Object.keys(request.headers));
        answer(response, Buffer.from(await (await fetch(source)).arrayBuffer()));
      });
      await new Promise<void>((done) => store.listen(0, '127.0.0.1', done));
      const { port } = store.address() as AddressInfo;
      const outcome = await download({
        onAnswer: async (_, given) => {
          const location = given.headers.get('Location');
          if (location === null) return null;
          source = new URL(location, url).href;
          return new Response(null, {
            status: 302,
            headers: { Location: `http://127.0.0.1:${port}/` },
          });
        },
      });
      await new Promise((done) => store.close(done));
      return { ...outcome, asked, headers };
    }

    test('that breaks off begins anew, and tells the store nothing of who asks', async () => {
      let times = 0;
      const { code, asked, headers } = await through((response, file) => {
        times += 1;
        response.writeHead(200, { 'Content-Length': file.length });
        if (times === 1) response.write(file.subarray(0, 10), () => response.destroy());
        else response.end(file);
      });
      expect({ code, asked }).toEqual({ code: 0, asked: 2 });
      expect(headers.filter((name) => /^(x-|authorization)/.test(name))).toEqual([]);
      expect(await sha256(path)).toHaveLength(64);
    });

    test('that always breaks off is given up with exit code 3', async () => {
      const { code, asked, stderr } = await through((response) => response.destroy());
      expect({ code, asked }).toEqual({ code: 3, asked: 3 });
      expect(stderr).toMatch(/^exports: the download broke: .*tried 3 times\)\n$/);
      await expect(stat(path)).rejects.toThrow('ENOENT');
    });

    test('of more than the job tells of is not read to its end', async () => {
      const { code } = await through((response, file) => {
        response.writeHead(200);
        response.write(Buffer.concat([file, file]));
      });
      expect(code).toBe(1);
    });
  });
});

describe('an API that is not what it should be', () => {
  const answering = async (answer: () => Response, line = 'usage') => {
    const front = await startFront(system.app, { onAnswer: async () => answer() });
    try {
      return await analytics(line, [], { ANALYTICS_URL: front.url });
    } finally {
      await front.close();
    }
  };
  const problem = (status: number, detail: string) =>
    Response.json({ detail }, { status, headers: { 'Retry-After': '0' } });

  test.each([
    ['a page', () => new Response('<html>'), 1, /is --url its address\?/],
    ['other JSON', () => Response.json({ series: 'no' }), 1, /answered what the API does not/],
    [
      'a page that is not found',
      () => new Response('no', { status: 404 }),
      1,
      /is --url the address/,
    ],
    ['a login page', () => new Response(null, { status: 302 }), 1, /answered 302/],
    [
      'nothing, for now',
      () => problem(503, 'the database is away'),
      3,
      /database is away.*tried 4 times/,
    ],
    [
      'an attack on the terminal',
      () => problem(418, 'tea\u001b[2J\npot\u202e'),
      1,
      /tea\\u\{1b\}\[2J pot\\u\{202e\}/,
    ],
  ])('%s', async (_, answer, expected, words) => {
    const { code, stdout, stderr } = await answering(answer);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(words);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).not.toMatch(raw);
  });
});

describe('a service that knows tokens', () => {
  let issuer: TokenIssuer;
  let jwtSystem: System;
  let jwtServer: Server;
  let asked: Record<string, string>;
  const token = (claims: object) => {
    const [key] = issuer.keys;
    if (key === undefined) throw new Error('the issuer has no key');
    return sign(key, validClaims(issuer, { ...claims }));
  };

  beforeAll(async () => {
    issuer = await startTokenIssuer();
    jwtSystem = await startSystem({ stream: false, environment: issuer.environment });
    jwtServer = await serve(jwtSystem.app, { HTTP_PORT: 0 }, '127.0.0.1');
    asked = { ANALYTICS_URL: `http://127.0.0.1:${jwtServer.port}`, ANALYTICS_ORG: orgId };
  });
  afterAll(async () => {
    await jwtServer?.close();
    await jwtSystem?.close();
    await issuer?.close();
  });

  test('is seeded and replayed to over HTTP', async () => {
    const ANALYTICS_TOKEN = await token({ roles: ['admin'] });
    const seeded = await analyticsHere(['seed', '--to', 'http', '--events', '50', '--json'], {
      ...asked,
      ANALYTICS_TOKEN,
    });
    expect(seeded).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(seeded.stdout)).toMatchObject({ counted: { counts: { stored: 50 } } });
    const trace = join(folder, 'trace.csv');
    await makeTrace(trace);
    const replayed = await analyticsHere(
      ['replay', trace, '--to', 'http', '--shift-to', 'yesterday', '--json'],
      { ...asked, ANALYTICS_TOKEN },
    );
    expect(replayed.code).toBe(0);
    expect(JSON.parse(replayed.stdout)).toMatchObject({ isWhole: true, refused: 0 });
    const without = await analyticsHere(['seed', '--to', 'http'], asked);
    expect(without).toMatchObject({ code: 1, stderr: expect.stringContaining('401') });
  });

  test.each([
    ['of the org', async () => token({ roles: ['analytics:usage:read'], orgs: [orgId] }), 0, /^$/],
    [
      'of another org',
      async () => token({ roles: ['analytics:usage:read'], orgs: [other] }),
      1,
      /--token/,
    ],
    [
      'that has expired',
      async () => token({ roles: ['admin'], exp: 1 }),
      1,
      /--token \(ANALYTICS_TOKEN\)/,
    ],
    ['that is not there', async () => '', 1, /--token \(ANALYTICS_TOKEN\)/],
  ])('and asked with a token %s', async (_, tokenOf, expected, words) => {
    const { code, stderr } = await analyticsHere(['models'], {
      ...asked,
      ANALYTICS_TOKEN: await tokenOf(),
    });
    expect({ code, stderr }).toEqual({ code: expected, stderr: expect.stringMatching(words) });
  });
});

describe('for machines', () => {
  test.each([
    ['refresh --json', z.object({ foldedBatches: z.number().nullable() })],
    ['refresh --from 2d --to today --json', z.object({ days: z.number() })],
    ['verify --json', z.object({ passed: z.literal(true), repaired: z.array(z.string()) })],
    ['migrate --json', z.object({ applied: z.array(z.string()), storage: z.string() })],
    [
      'freshness --compare --json',
      z.object({ keys: z.number(), differences: z.array(z.unknown()) }),
    ],
    ['freshness --clear --json', z.object({ dropped: z.number() })],
  ])('%s is one JSON value', async (line, form) => {
    const { stdout, stderr } = await analytics(line);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^[^\n]+\n$/);
    form.parse(JSON.parse(stdout));
  });
});

test('a closed pipe is no fault, and no colour goes where no terminal is', async () => {
  const { code, stdout } = await analyticsCommand(['models'], environment);
  expect({ code, hasColour: stdout.includes('\u001b') }).toEqual({ code: 0, hasColour: false });
});

test('sums beyond 2^53 are shown digit for digit', async () => {
  const busy = randomUUID();
  const file = join(folder, 'busy.ndjson');
  const events = [Number.MAX_SAFE_INTEGER, 250].map((inputTokens) =>
    usageEvent({ orgId: busy, inputTokens }),
  );
  await writeFile(file, events.map((event) => `${encodeEvent(event)}\n`).join(''));
  expect(await analytics('events send', [file])).toMatchObject({ code: 0 });
  const sum = '9,007,199,254,741,241';
  const usage = await analytics('usage', ['--org', busy]);
  expect(usage.stdout).toMatch(new RegExp(`^total +2 +0 +${sum} +40 `, 'm'));
  expect((await analytics('orgs')).stdout).toMatch(new RegExp(`${busy} +2 +0 +${sum} +40 `));
});
