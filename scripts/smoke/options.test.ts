import { describe, expect, test } from 'vitest';
import { readSettings } from '../../shared/platform/env.ts';
import { tenantRoles } from '../cli/actor.ts';
import { smokeOrgId } from './events.ts';
import { readSmokeOptions } from './options.ts';

function read(...args: string[]) {
  return readSmokeOptions(args, readSettings({}));
}

describe('npm run smoke reads', () => {
  test('nothing: the service of this machine, a tenant of the reserved org', () => {
    expect(read()).toEqual({
      url: 'http://127.0.0.1:8084',
      metricsUrl: 'http://127.0.0.1:8084/metrics',
      metricsToken: null,
      orgId: smokeOrgId,
      actor: {
        kind: 'gateway',
        subject: 'smoke',
        roles: tenantRoles,
        orgs: [smokeOrgId],
        secret: null,
      },
      timeoutMs: 120_000,
      skipExports: false,
      allowRbacOff: false,
      verbose: false,
      json: false,
    });
    expect(tenantRoles).not.toContain('admin');
  });

  test.each([
    ['http://localhost:1', 'http://localhost:1', 'http://localhost:1/metrics'],
    ['http://[::1]:1/analytics/v1/', 'http://[::1]:1', 'http://[::1]:1/metrics'],
    ['https://api.example.org/', 'https://api.example.org', null],
    ['https://example.org/eu/analytics/v1', 'https://example.org/eu', null],
    ['http://localhost.example.org', 'http://localhost.example.org', null],
  ])('--url %s', (given, url, metricsUrl) => {
    expect(read('--url', given)).toMatchObject({ url, metricsUrl });
    const metrics = 'http://10.0.0.1:9090/metrics';
    expect(read('--url', given, '--metrics-url', metrics).metricsUrl).toBe(metrics);
  });

  test('who asks', () => {
    const org = '00000000-0000-4000-8000-00000000000A';
    expect(read('--org-id', org).actor).toMatchObject({ orgs: [org.toLowerCase()] });
    const args = ['--subject', 'me', '--roles', 'admin, other', '--orgs', `${org},${smokeOrgId}`];
    expect(read(...args, '--gateway-secret', 'secret').actor).toEqual({
      kind: 'gateway',
      subject: 'me',
      roles: ['admin', 'other'],
      orgs: [org.toLowerCase(), smokeOrgId],
      secret: 'secret',
    });
    expect(read('--token', 'abc.def').actor).toEqual({ kind: 'token', token: 'abc.def' });
  });

  test.each([
    [['--url', 'ftp://x'], '--url must be an http:// URL'],
    [['--url', 'http://me:secret@x'], '--url must have no user, query or fragment'],
    [['--url', 'http://x/?a=b'], '--url must have no user, query or fragment'],
    [['--timeout', '5'], '--timeout must be a duration such as 250ms, 30s, 5m or 24h'],
    [['--timeout', '2h'], '--timeout must be at most 1h'],
    [['--orgs', 'acme'], '--orgs must be a uuid'],
    [['--subject', ' '], '--subject must not be empty'],
    [['--gateway-secret', 'ü'], '--gateway-secret must be printable ASCII'],
    [['--token', 'a', '--roles', 'b'], "option '--token <jwt>' cannot be used with option"],
    [['--fast'], "unknown option '--fast'"],
  ])('%j with what is wrong', (args, fault) => {
    expect(() => read(...args)).toThrow(fault);
  });
});
