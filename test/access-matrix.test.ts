import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type Role, roles } from '../shared/access.ts';
import { openDatabase } from '../shared/platform/database/db.ts';
import { saveNames } from '../shared/preparation/catalog.ts';
import { actorHeaders, eventJson, jsonPost } from './support/event-json.ts';
import { midnight } from './support/midnight.ts';
import {
  basePath,
  type DocumentedOperation,
  documentedOperations,
  inputsOf,
} from './support/openapi-document.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';

/** Who is let in: `open` all, `actor` whoever has a name, else who has one of the roles, or admin. */
type Gate = 'open' | 'actor' | readonly Role[];
/**
 * What one tenant's value is to another who sends it: `tenant` says whose rows, `names` something
 * of one tenant's, `plain` nothing that is anybody's.
 */
type Input = 'tenant' | 'names' | 'plain';

const readers = [roles.usageRead, roles.reliabilityRead];
const range = { 'query start': 'plain', 'query end': 'plain' } as const;
const window = {
  'path orgId': 'tenant',
  ...range,
  'query granularity': 'plain',
  'query timezone': 'plain',
  'query groupBy': 'plain',
  'query modelId': 'names',
  'query clientId': 'names',
} as const;
const list = { 'query limit': 'plain', 'query status': 'plain', 'query cursor': 'names' } as const;
const request = {
  'header Idempotency-Key': 'names',
  'body models': 'names',
  'body timeRange': 'plain',
  'body granularity': 'plain',
  'body timezone': 'plain',
  'body format': 'plain',
  'body delivery': 'plain',
} as const;
const job = { 'path jobId': 'names' } as const;
const org = { 'path orgId': 'tenant' } as const;
/** Stored under the org that the event names; nothing is looked up by the rest. */
const event = {
  'body orgId': 'tenant',
  ...Object.fromEntries(
    [
      ...['eventId', 'modelId', 'actorId', 'clientId', 'occurredAt', 'latencyMs', 'status'],
      ...['errorCode', 'inputTokens', 'outputTokens', 'costEstimateCents', 'inputCostCents'],
      ...['outputCostCents', 'metadata'],
    ].map((name) => [`body ${name}`, 'plain' as const]),
  ),
} as const;

/** The contract in one table: a route or an input that is not in it fails. */
const rules: Record<string, { gate: Gate; inputs: Record<string, Input> }> = {
  'GET /orgs/{orgId}/usage': { gate: [roles.usageRead], inputs: window },
  'GET /orgs/{orgId}/reliability': {
    gate: [roles.reliabilityRead],
    inputs: { ...window, 'query percentile': 'plain' },
  },
  'GET /orgs/{orgId}/models': { gate: readers, inputs: org },
  'GET /orgs/{orgId}/freshness': { gate: readers, inputs: { ...org, 'query modelId': 'names' } },
  'GET /orgs': {
    gate: [roles.admin],
    inputs: { ...range, 'query limit': 'plain', 'query cursor': 'plain' },
  },
  'POST /events': { gate: [roles.eventsWrite], inputs: event },
  'POST /events/validate': { gate: 'actor', inputs: { ...event, 'body orgId': 'plain' } },
  'POST /orgs/{orgId}/exports': { gate: [roles.exportsCreate], inputs: { ...org, ...request } },
  'GET /orgs/{orgId}/exports': { gate: [roles.exportsRead], inputs: { ...org, ...list } },
  'GET /orgs/{orgId}/exports/{jobId}': { gate: [roles.exportsRead], inputs: { ...org, ...job } },
  'GET /orgs/{orgId}/exports/{jobId}/manifest': {
    gate: [roles.exportsRead],
    inputs: { ...org, ...job },
  },
  'GET /orgs/{orgId}/exports/{jobId}/download': {
    gate: [roles.exportsDownload],
    inputs: { ...org, ...job, 'header Prefer': 'plain' },
  },
  'POST /exports': { gate: [roles.admin], inputs: { ...request, 'body models': 'plain' } },
  'GET /exports': { gate: [roles.admin], inputs: list },
  'GET /exports/{jobId}': { gate: [roles.admin], inputs: job },
  'GET /exports/{jobId}/manifest': { gate: [roles.admin], inputs: job },
  'GET /exports/{jobId}/download': {
    gate: [roles.admin],
    inputs: { ...job, 'header Prefer': 'plain' },
  },
  'GET /status/healthz': { gate: 'open', inputs: {} },
  'GET /status/readyz': { gate: 'open', inputs: {} },
  'GET /openapi.json': { gate: 'open', inputs: {} },
  'GET /docs': { gate: 'open', inputs: {} },
  'GET /llms.txt': { gate: 'open', inputs: {} },
};

/** A tenant with something in every table that a request reads. */
interface Tenant {
  orgId: string;
  modelId: string;
  clientId: string;
  jobId: string;
  key: string;
  /** The second page of its exports. */
  cursor: string;
}

const jobForm = z.object({ jobId: z.string() });
const pageForm = z.object({ nextCursor: z.string() });
const timeRange = { start: midnight(2), end: midnight(-1) };

let folder: string;
let system: System;
let a: Tenant;
let b: Tenant;
/** Done, over all orgs. */
let allJobId: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-matrix-'));
  system = await startSystem({
    stream: false,
    exportsFolder: folder,
    environment: { S3_ENDPOINT: '' },
  });
  a = await makeTenant('a');
  b = await makeTenant('b');
  allJobId = await createJob('/exports', adminHeaders);
  await system.exports.drain();
});
afterAll(async () => {
  await system?.close();
  await rm(folder, { recursive: true, force: true });
});

async function makeTenant(name: string): Promise<Tenant> {
  const tenant = { orgId: randomUUID(), modelId: randomUUID(), clientId: `client-of-${name}` };
  const { orgId, modelId, clientId } = tenant;
  const fields = { ...tenant, status: 'error', errorCode: `error-of-${name}` };
  const events = [eventJson(fields), eventJson({ orgId, modelId, clientId })];
  await system.app.request(`${basePath}/events`, jsonPost(events, adminHeaders));
  const database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
  await saveNames(database, {
    orgs: [{ id: orgId, name: `org-of-${name}` }],
    models: [{ id: modelId, name: `model-of-${name}` }],
  });
  await database.close();
  const home = `/orgs/${orgId}/exports`;
  const key = `key-of-${name}`;
  const headers = actorHeaders(Object.values(roles), [orgId]);
  await createJob(home, headers);
  const jobId = await createJob(home, { ...headers, 'Idempotency-Key': key });
  const page = await system.app.request(`${basePath}${home}?limit=1`, { headers });
  return { ...tenant, jobId, key, cursor: pageForm.parse(await page.json()).nextCursor };
}

async function createJob(home: string, headers: Record<string, string>): Promise<string> {
  const response = await system.app.request(`${basePath}${home}`, jsonPost({ timeRange }, headers));
  return jobForm.parse(await response.json()).jobId;
}

/** A request of an operation that is right in all but who sends it, and what `over` replaces. */
function requestOf(
  { path, method, parameters, requestBody }: DocumentedOperation,
  tenant: Tenant,
  headers: Record<string, string>,
  over: Record<string, string> = {},
) {
  const isAll = !path.includes('{orgId}');
  const query = new URLSearchParams();
  if (parameters.some((one) => 'name' in one && one.name === 'start')) {
    for (const [name, value] of Object.entries(timeRange)) query.set(name, value);
  }
  const body: Record<string, unknown> = path.includes('/events')
    ? eventJson({ orgId: tenant.orgId })
    : { timeRange };
  const sent = { ...headers };
  for (const [input, value] of Object.entries(over)) {
    const [where, name = ''] = input.split(' ');
    if (where === 'query') query.set(name, value);
    if (where === 'header') sent[name] = value;
    if (where === 'body') body[name] = name === 'models' ? [value] : value;
  }
  const bare = path
    .replace('{orgId}', over['path orgId'] ?? tenant.orgId)
    .replace('{jobId}', over['path jobId'] ?? (isAll ? allJobId : tenant.jobId));
  const init = requestBody === undefined ? { method, headers: sent } : jsonPost(body, sent);
  return system.app.request(`${basePath}${bare}?${query}`, init);
}

/** An answer below it was given; a download is a redirect. */
const opened = 303;

test('the table has every route and every input of the document, and no more', () => {
  const ruled = Object.entries(rules).map(([name, { inputs }]) => [
    name,
    Object.keys(inputs).sort(),
  ]);
  const documented = documentedOperations.map((one) => [one.name, inputsOf(one).sort()]);
  expect(Object.fromEntries(ruled)).toEqual(Object.fromEntries(documented));
});

describe.each(documentedOperations.map((one) => [one.name, one] as const))('%s', (name, one) => {
  const { gate, inputs } = rules[name] ?? { gate: [], inputs: {} };
  // One whose only event is of another org is refused as a whole.
  const isOfOrg = [inputs['path orgId'], inputs['body orgId']].includes('tenant');

  test('lets in whom the table says, by each role alone, in the own org and in another', async () => {
    const expected: Record<string, number | 'opened'> = {};
    const found: typeof expected = {};
    const ask = async (who: string, headers: Record<string, string>, status: number | 'opened') => {
      expected[who] = status;
      const response = await requestOf(one, b, headers);
      found[who] = response.status < opened ? 'opened' : response.status;
    };
    const isOpen = gate === 'open';
    await ask('nobody', {}, isOpen ? 'opened' : 401);
    await ask('roles without a name', { 'X-Actor-Roles': 'admin' }, isOpen ? 'opened' : 401);
    for (const role of [...Object.values(roles), 'nothing', 'analytics:usage']) {
      const may =
        typeof gate === 'string' || role === roles.admin || gate.some((it) => it === role);
      const isBound = isOfOrg && role !== roles.admin;
      await ask(`${role}, own org`, actorHeaders([role], [b.orgId]), may ? 'opened' : 403);
      for (const orgs of [[], [a.orgId]]) {
        const status = may && !isBound ? 'opened' : 403;
        await ask(`${role}, ${orgs.length} other orgs`, actorHeaders([role], orgs), status);
      }
    }
    expect(found).toEqual(expected);
  });

  for (const [input, kind] of Object.entries(inputs)) {
    if (kind !== 'names') continue;
    test(`${input} of another tenant shows nothing of it`, async () => {
      const known: Record<string, string> = {
        'query modelId': a.modelId,
        'query clientId': a.clientId,
        'query cursor': a.cursor,
        'path jobId': a.jobId,
        'header Idempotency-Key': a.key,
        'body models': a.modelId,
      };
      const value = known[input] ?? '';
      expect(value).not.toBe('');
      const traces = (text: string) =>
        [a.orgId, a.modelId, a.jobId, 'client-of-a', 'error-of-a', 'model-of-a', 'org-of-a'].filter(
          (trace) => trace !== value && text.includes(trace),
        );
      const asked = async (tenant: Tenant) => {
        const headers = isOfOrg ? actorHeaders(Object.values(roles), [tenant.orgId]) : adminHeaders;
        const response = await requestOf(one, tenant, headers, { [input]: value });
        return `${JSON.stringify([...response.headers])} ${await response.text()}`;
      };
      const text = await asked(b);
      expect(traces(text)).toEqual([]);
      // Its own tenant sees something by it, where it is a tenant's at all.
      if (isOfOrg) expect(traces(await asked(a))).not.toEqual([]);
      if (one.method !== 'POST') return;
      await system.exports.drain();
      const { jobId } = jobForm.parse(JSON.parse(text.slice(text.indexOf(' {') + 1)));
      expect(jobId).not.toBe(a.jobId);
      const home = isOfOrg ? `/orgs/${b.orgId}/exports` : '/exports';
      const manifest = await system.get(`${basePath}${home}/${jobId}/manifest`);
      if (input === 'body models') expect(manifest.body).toMatchObject({ rowCount: 0 });
    });
  }
});

test('an event of another org is refused alone, and the others are taken', async () => {
  const events = [eventJson({ orgId: a.orgId }), eventJson({ orgId: b.orgId })];
  const headers = actorHeaders([roles.eventsWrite], [b.orgId]);
  const response = await system.app.request(`${basePath}/events`, jsonPost(events, headers));
  expect(await response.json()).toMatchObject({
    accepted: 1,
    rejected: 1,
    results: [{ status: 'rejected', errors: [{ path: 'orgId' }] }, { status: 'accepted' }],
  });
});
