import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import * as z from 'zod';
import { sampleOrgs } from '../scripts/sample-events.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { sections } from '../scripts/smoke/check.ts';
import { planEvents, smokeOrgId, strangerOrgId } from '../scripts/smoke/events.ts';
import { syntheticOrgId } from '../shared/data-quality/synthetic.ts';
import { decodeMessage, encodeEvent, usageStatuses } from '../shared/events/usage-event.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { runbookAnchors } from './support/runbook.ts';
import { smokeCommand as smoke } from './support/smoke-command.ts';
import { type System, type SystemOptions, startSystem } from './support/system.ts';

// A test is a run or two of half a minute, on a machine that may be busy.
vi.setConfig({ testTimeout: 180_000 });

const everyCheck = [
  'healthz',
  'readyz',
  'metrics',
  'no-actor',
  'other-org',
  'validate',
  'publish',
  'invalid',
  'resend',
  'consumed',
  'usage',
  'rollup',
  'reliability',
  'models',
  'export',
  'download',
  'hidden',
];
const secret = 'a-secret-of-the-gateway';

interface Service {
  url: string;
  system: System;
  close(): Promise<void>;
}

/** A service with its schedules running, at a port. */
async function startService(options: SystemOptions = {}): Promise<Service> {
  const schedules = { refreshEveryMs: 300, exportsEveryMs: 1_000 };
  const system = await startSystem({ ...schedules, ...options });
  const server: Server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
  return {
    system,
    url: `http://127.0.0.1:${server.port}`,
    close: async () => {
      await server.close();
      await system.close();
    },
  };
}

async function onService(options: SystemOptions, work: (service: Service) => Promise<void>) {
  const service = await startService(options);
  try {
    await work(service);
  } finally {
    await service.close();
  }
}

describe('on a service with a stream', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService();
  });
  afterAll(() => service.close());

  const reserved = ['--org-id', smokeOrgId];

  test('everything passes', async () => {
    const { code, stdout, stderr, checks } = await smoke(service.url, reserved);
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
    expect(Object.keys(checks)).toEqual(everyCheck);
    expect(new Set(Object.values(checks))).toEqual(new Set(['ok']));
    expect(stdout).toMatch(/\nOK: 17 passed, 0 skipped\n$/);
  });

  test('it passes beside the events of an earlier run; --json is one object, and nothing else', async () => {
    const args = [...reserved, '--json', '--url', `${service.url}/analytics/v1/`];
    const { code, stdout } = await smoke('http://127.0.0.1:1', args);
    const report: unknown = JSON.parse(stdout);
    expect(report).toMatchObject({
      passed: true,
      url: service.url,
      orgId: smokeOrgId,
      isReached: true,
      clientId: expect.stringMatching(/^smoke-[0-9a-f]{8}$/),
    });
    const { checks } = z.object({ checks: z.array(z.looseObject({})) }).parse(report);
    expect(checks.map(({ name }) => name)).toEqual(everyCheck);
    expect(checks[0]).toEqual({
      name: 'healthz',
      outcome: 'ok',
      detail: 'OK',
      tookMs: expect.any(Number),
    });
    expect(code).toBe(0);
  });

  test('an actor without a right is told which, and what that leaves out', async () => {
    const { code, checks, lineOf } = await smoke(service.url, ['--roles', 'analytics:usage:read']);
    expect(code).toBe(1);
    expect(lineOf('publish')).toMatch(
      /came 403 \(missing role: one of analytics:events:write, admin\); next: --roles and --orgs/,
    );
    expect(lineOf('usage')).toBe('skip usage       needs consumed');
    expect(checks).toMatchObject({ 'other-org': 'ok', consumed: 'skip', hidden: 'skip' });
  });

  test('an actor of another org may not publish', async () => {
    const { code, lineOf } = await smoke(service.url, ['--orgs', randomUUID()]);
    expect(code).toBe(1);
    expect(lineOf('publish')).toMatch(
      /came 0 accepted, 12 rejected: orgId forbidden: .*; next: --orgs must name the org/,
    );
  });

  test('an admin passes, and is not taken for the stranger who must be refused', async () => {
    const { code, stdout } = await smoke(service.url, ['--roles', 'admin']);
    expect(code, stdout).toBe(0);
  });

  test('wrong usage is one line and exit code 2', async () => {
    expect(await smoke(service.url, ['--timeout', '5', '--org-id', 'acme'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr:
        'smoke: --org-id must be a uuid; ' +
        '--timeout must be a duration such as 250ms, 30s, 5m or 24h\n',
    });
  });
});

test('without a stream, where events are stored as they are taken, everything passes', async () => {
  await onService({ stream: false }, async ({ url }) => {
    const { code, stdout } = await smoke(url);
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/stream not_configured/);

    // Not known to be this machine: the cluster does not route /metrics.
    const outside = url.replace('127.0.0.1', '0.0.0.0');
    const unrouted = await smoke(outside, ['--skip-exports']);
    expect(unrouted.code, unrouted.stdout).toBe(0);
    expect(unrouted.lineOf('metrics')).toMatch(/^skip metrics .*give --metrics-url$/);
    const args = ['--skip-exports', '--metrics-url', `${url}/metrics`];
    expect((await smoke(outside, args)).checks).toMatchObject({ metrics: 'ok' });
  });
});

test('with the consumer stopped it fails in the time it was given, and says whom to look for', async () => {
  await onService({ consume: false }, async ({ url }) => {
    const { code, stdout, checks, lineOf } = await smoke(url, ['--timeout', '5s']);
    expect(code).toBe(1);
    // The last look may itself take a while on a busy machine.
    expect(Number(/(\d+) ms$/.exec(lineOf('consumed'))?.[1])).toBeLessThan(10_000);
    expect(lineOf('consumed')).toMatch(
      /^FAIL consumed .* came none, with 0 of 12 events stored; next: docs\/runbook.md#analyticsconsumerdown; asked GET \/analytics\/v1\/orgs\/[0-9a-f-]+\/usage smoke-/,
    );
    expect(checks).toMatchObject({ resend: 'ok', usage: 'skip', export: 'skip', hidden: 'skip' });
    expect(stdout).toMatch(/\nFAILED: consumed; 9 passed, 7 skipped\n$/);
  });
});

test('without a refresh events are stored, but nobody knows up to when', async () => {
  await onService({ stream: false, refreshEveryMs: 0 }, async ({ url }) => {
    const { code, lineOf } = await smoke(url, ['--timeout', '2s']);
    expect(code).toBe(1);
    expect(lineOf('consumed')).toMatch(
      /came none, with 12 of 12 events stored; next: docs\/runbook.md#analyticsrefreshdown/,
    );
  });
});

test('with the export worker away the export fails; without exports the rest passes', async () => {
  await onService({ stream: false, exportsEveryMs: 0 }, async ({ url }) => {
    const without = await smoke(url, ['--timeout', '10s']);
    expect(without.code).toBe(1);
    expect(without.lineOf('export')).toMatch(
      /^FAIL export .* came pending; next: docs\/runbook.md#stuck-exports/,
    );
    expect(without.checks).toMatchObject({ models: 'ok', download: 'skip', hidden: 'skip' });

    const skipping = await smoke(url, ['--skip-exports']);
    expect(skipping.code, skipping.stdout).toBe(0);
    expect(skipping.lineOf('export')).toBe('skip export      --skip-exports');
  });
});

test('a service that lets everyone in fails, unless that is said to be meant', async () => {
  const environment = { ENABLE_RBAC: 'false' };
  await onService({ stream: false, environment }, async ({ url }) => {
    const refused = await smoke(url);
    expect(refused.code).toBe(1);
    expect(refused.lineOf('no-actor')).toMatch(/^FAIL no-actor .* came 200, .*ENABLE_RBAC=true/);
    expect(refused.checks).toMatchObject({ 'other-org': 'skip', download: 'ok', hidden: 'skip' });

    const meant = await smoke(url, ['--allow-rbac-off']);
    expect(meant.code, meant.stdout).toBe(0);
    expect(meant.lineOf('no-actor')).toMatch(/^skip no-actor .*RBAC is off/);
  });
});

test('the gateway’s secret comes by option or environment, is never shown, and must be right', async () => {
  const environment = { GATEWAY_SHARED_SECRET: secret };
  await onService({ stream: false, environment }, async ({ url }) => {
    const right = await smoke(url, ['--gateway-secret', secret, '--verbose']);
    expect(right.code, right.stdout).toBe(0);
    expect(right.stderr).toMatch(/^> POST .*\/events smoke-[0-9a-f]{8}-\d+$/m);
    expect(right.stderr).toMatch(/^< 202 \d+ ms {"accepted":12,/m);
    expect(right.stdout + right.stderr).not.toContain(secret);
    expect(right.stdout + right.stderr).not.toMatch(/Signature/i);
    expect((await smoke(url, ['--skip-exports'], environment)).code).toBe(0);

    const wrong = await smoke(url, ['--gateway-secret', 'another']);
    expect(wrong.code).toBe(1);
    expect(wrong.lineOf('validate')).toMatch(
      /came 401 \(X-Gateway-Secret is missing or wrong\); next: --gateway-secret or --token/,
    );
    expect(wrong.checks).toMatchObject({ 'no-actor': 'ok', 'other-org': 'FAIL', publish: 'skip' });
  });
});

test('where nothing answers the exit code is 3, after one line', async () => {
  const nobody = await smoke(`http://127.0.0.1:${await freePort()}`);
  expect(nobody.code).toBe(3);
  expect(nobody.stdout).toMatch(
    /^FAIL healthz .*ECONNREFUSED.*; next: is --url the address of the API\?.*\nFAILED: nothing answers at http:\S+\n$/,
  );

  const silent = createServer(() => {});
  await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening));
  try {
    const { port } = silent.address() as AddressInfo;
    const waiting = await smoke(`http://127.0.0.1:${port}`);
    expect(waiting.code).toBe(3);
    expect(waiting.stdout).toMatch(/^FAIL healthz .*came none within 10000 ms;/);
  } finally {
    silent.closeAllConnections();
    await new Promise((closed) => silent.close(closed));
  }
});

test('every section that a failure leads to is in the runbook', async () => {
  const anchors = await runbookAnchors();
  for (const section of Object.values(sections)) expect(anchors).toContain(section);
});

test('its events are valid, too few for an alert, and of orgs that nobody else uses', () => {
  const nowMs = Date.now();
  const { events, sums, statusCounts } = planEvents(smokeOrgId, 'smoke', nowMs);
  const rules = { nowMs, rawRetentionDays: 1 };
  for (const event of events) expect(decodeMessage(encodeEvent(event), rules)).toEqual({ event });
  for (const status of usageStatuses) {
    expect(events.filter((event) => event.status === status)).toHaveLength(statusCounts[status]);
  }
  expect(sums.errors).toBe(4);
  for (const { occurredAtMs } of events) {
    const near = events.filter((other) => Math.abs(other.occurredAtMs - occurredAtMs) < 300_000);
    expect(near).toHaveLength(1);
  }
  const orgs = [smokeOrgId, strangerOrgId, syntheticOrgId, ...sampleOrgs];
  expect(new Set(orgs).size).toBe(orgs.length);
});
