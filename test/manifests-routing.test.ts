import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { functionRoutes } from './support/function-routes.ts';
import { describeOverlays } from './support/manifests.ts';
import { pathsOf, readVirtualService, ruleFor } from './support/virtual-service.ts';

const allRoutes = functionRoutes();
/** Those that the world may use: below the contract's base path, and the console. */
const routes = allRoutes
  .filter(({ path }) => path.startsWith('/analytics/'))
  // Hono lists the root of a base path with a slash, and serves it without.
  .map((route) => ({ ...route, path: route.path.replace(/\/events\/$/, '/events') }));
const id = '0190c2a4-7d1e-7aaa-8bbb-0123456789ab';
const gatewayForm = z.looseObject({
  servers: z.array(z.looseObject({ hosts: z.array(z.string()) })),
});

const functions = await readdir(new URL('../functions', import.meta.url));

test.each(functions)(
  'the routes known here are those that the function %s mounts',
  async (name) => {
    const index = await readFile(new URL(`../functions/${name}/index.ts`, import.meta.url), 'utf8');
    const mounted = [...index.matchAll(/\b(\w+App)\(/g)].map(([, factory = '']) => factory);
    const known = allRoutes.filter(({ owner }) => owner === name).map(({ factory }) => factory);
    expect(new Set(mounted.filter((factory) => factory !== 'httpApp'))).toEqual(new Set(known));
  },
);

await describeOverlays((objects) => {
  const specOf = (kind: string) => objects.find((object) => object.kind === kind)?.spec;
  const routing = readVirtualService(specOf('VirtualService'));
  const [host = ''] = routing.hosts;
  const ownerOf = (path: string, method = 'GET', at = host) =>
    ruleFor(routing, { host: at, method, path })?.authority.replace(
      /^analytics-(.*)\.analytics\.svc\.cluster\.local$/,
      '$1',
    );

  test.each(routes)('$method $path reaches $owner', ({ owner, method, path }) => {
    const example = path.replace(/:\w+/g, id);
    expect(ownerOf(example, method)).toBe(owner);
    expect(ownerOf(`${example}?start=2026-11-01T00:00:00Z`, method)).toBe(owner);
  });

  test('what is routed is what the code serves, no more', () => {
    const routed = routing.rules.flatMap((rule) =>
      pathsOf(rule).map((path) => `${ownerOf(path)} ${path}`),
    );
    const served = routes.map(({ owner, path }) => `${owner} ${path.replace(/:\w+/g, '*')}`);
    expect([...new Set(routed)].sort()).toEqual([...new Set(served)].sort());
  });

  test('every rule is the first for each of its paths', () => {
    for (const rule of routing.rules) {
      for (const path of pathsOf(rule)) {
        expect(ruleFor(routing, { host, method: 'GET', path })?.name, path).toBe(rule.name);
      }
    }
  });

  test.each([
    '/',
    '/metrics',
    '/health/liveness',
    '/health/readiness',
    '/internal/refresh',
    '/internal/export-worker',
    '/analytics',
    '/analytics/v1',
    '/analytics/v1/',
    '/analytics/console//',
    '/analytics/console/index.html',
    '/analytics/console/assets',
    '/analytics/console/assets/a/b',
    '/analytics/v1/metrics',
    '/analytics/v2/orgs',
    '/ANALYTICS/v1/orgs',
    '//analytics/v1/orgs',
    '/analytics//v1/orgs',
    '/analytics/v1//orgs',
    '/analytics/v1/orgs/',
    `/analytics/v1/orgs/${id}`,
    `/analytics/v1/orgs/${id}/`,
    `/analytics/v1/orgs/${id}//usage`,
    `/analytics/v1/orgs/${id}/usage/`,
    `/analytics/v1/orgs/${id}/usage/more`,
    `/analytics/v1/orgs/${id}/usages`,
    `/analytics/v1/orgs/${id}%2Fusage`,
    `/analytics/v1/orgs/${id}/usage%2F`,
    `/analytics/v1/orgs/${id}/%75sage`,
    `/analytics/v1/orgs/${id}/usage;a=b`,
    '/analytics/v1/orgs//usage',
    '/analytics%2Fv1%2Forgs',
    '/%2e%2e/metrics',
    '/analytics/v1/../../metrics',
    '/analytics/v1/orgs/../../../metrics',
    '/analytics/v1/status',
    '/analytics/v1/status/livez',
    '/analytics/v1/events/',
    '/analytics/v1/events/validate/more',
    `/analytics/v1/exports/${id}/manifest/more`,
    '/x/analytics/v1/orgs',
    '/?x=/analytics/v1/orgs',
    '/#/analytics/v1/orgs',
  ])('%s is routed nowhere', (path) => {
    for (const method of ['GET', 'POST']) expect(ownerOf(path, method)).toBeUndefined();
  });

  test.each(['', 'analytics', 'localhost', 'analytics-usage.analytics.svc.cluster.local'])(
    'the host "%s" is routed nowhere',
    (other) => {
      expect(ownerOf('/analytics/v1/orgs', 'GET', other)).toBeUndefined();
    },
  );

  test('no function that only takes CloudEvents has a route, nor has the consumer', () => {
    const reached = routing.rules.flatMap((rule) => pathsOf(rule).map((path) => ownerOf(path)));
    expect(new Set(reached)).toEqual(new Set(routes.map(({ owner }) => owner)));
  });

  test('no function has an address of its own outside the cluster', () => {
    const services = objects.filter(({ kind }) => kind === 'Service');
    for (const { metadata } of services) {
      expect(metadata.labels, metadata.name).toMatchObject({
        'networking.knative.dev/visibility': 'cluster-local',
      });
    }
    expect(services.length).toBe(new Set(allRoutes.map(({ owner }) => owner)).size);
  });

  test('the gateway listens on the one host, and everything goes to the local gateway', () => {
    const { servers } = gatewayForm.parse(specOf('Gateway'));
    expect(new Set(servers.flatMap(({ hosts }) => hosts))).toEqual(new Set(routing.hosts));
    for (const { destination } of routing.rules) {
      expect(destination).toBe('knative-local-gateway.istio-system.svc.cluster.local:80');
    }
  });
});
