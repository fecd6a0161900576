import { describe, expect, test } from 'vitest';
import { httpApp } from '../shared/http/app.ts';
import { readSettings } from '../shared/platform/env.ts';
import { createLogger } from '../shared/platform/telemetry/telemetry.ts';
import { nodesOf } from './support/manifest-nodes.ts';
import { podsOf } from './support/manifest-pods.ts';
import { describeOverlays } from './support/manifests.ts';

/** What every function serves around its own routes: probes and metrics among them. */
const settings = readSettings({ LOG_LEVEL: 'silent' });
const shell = httpApp({ logger: createLogger(settings, 'test'), routes: [] });

await describeOverlays((objects) => {
  const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount');
  const pods = podsOf(objects);

  test('there is a pod for each function, the consumer and the bootstrap', () => {
    expect(pods.map(({ name }) => name.replace('analytics-', '')).sort()).toEqual([
      'bootstrap',
      'console',
      'consumer',
      'docs',
      'events',
      'export-worker',
      'exports',
      'refresh',
      'reliability',
      'status',
      'usage',
      'verify',
    ]);
  });

  describe.each(pods)('$name', (pod) => {
    const { container, spec } = pod;

    test('runs without any rights on its node', () => {
      expect({ ...spec.securityContext, ...container.securityContext }).toMatchObject({
        runAsNonRoot: true,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      });
      const keys = [...nodesOf(spec)].map(({ path }) => path);
      expect(keys.filter((key) => /\/(add|privileged|host[A-Z]\w+|sysctls)$/.test(key))).toEqual(
        [],
      );
    });

    test('holds no token for the cluster', () => {
      const account = accounts.find(({ metadata }) => metadata.name === spec.serviceAccountName);
      const mounted = spec.automountServiceAccountToken ?? account?.automountServiceAccountToken;
      expect(mounted).toBe(false);
    });

    test('asks for cpu and memory, and has a limit of memory that is no less', () => {
      const { requests, limits } = container.resources;
      expect(requests.cpu).toMatch(/^\d+m?$/);
      expect(mebibytes(limits.memory)).toBeGreaterThanOrEqual(mebibytes(requests.memory));
    });

    test('has an image of our registry, by a tag or digest of its own', () => {
      const [, repository, tag] =
        /^(.+?)(?::([\w.-]+))?(?:@sha256:\w{64})?$/.exec(container.image) ?? [];
      expect(repository).toMatch(new RegExp(`^[a-z0-9.-]+\\.[a-z]+/.*${pod.name}$`));
      if (!container.image.includes('@')) expect(tag).toMatch(/^(?!latest$)./);
    });
  });

  // The bootstrap runs to its end and serves nothing.
  const serving = pods.filter(({ name }) => name !== 'analytics-bootstrap');

  test.each(serving)(
    '$name is probed where it answers',
    async ({ container, isKnative, ports }) => {
      const { livenessProbe, readinessProbe, startupProbe } = container;
      expect(livenessProbe).toBeDefined();
      expect(readinessProbe).toBeDefined();
      for (const probe of [livenessProbe, readinessProbe, startupProbe]) {
        if (probe === undefined) continue;
        const { path, port } = probe.httpGet;
        expect((await shell.request(path)).status).toBe(200);
        // Knative fills in its own port where there is none, or 0.
        const known = isKnative ? [undefined, 0] : [...Object.keys(ports), ...Object.values(ports)];
        expect(known).toContain(port);
      }
    },
  );

  test('the consumer listens where its port is', () => {
    const consumer = pods.find(({ name }) => name === 'analytics-consumer');
    const port = consumer?.container.env.find(({ name }) => name === 'PORT')?.value;
    expect(Object.values(consumer?.ports ?? {}).map(String)).toEqual([port]);
  });

  test('Prometheus asks for a path that answers', async () => {
    const paths = objects.flatMap((object) =>
      [...nodesOf(object)].flatMap(({ path, value }) =>
        (object.kind === 'PodMonitor' && path.endsWith('/path')) || path === '/spec/metricsPath'
          ? [String(value)]
          : [],
      ),
    );
    expect(paths.length).toBeGreaterThan(2);
    for (const path of paths) expect((await shell.request(path)).status).toBe(200);
  });
});

function mebibytes(text = ''): number {
  const [, amount = '', unit] = /^(\d+)(Mi|Gi)$/.exec(text) ?? [];
  if (unit === undefined) throw new Error(`memory must be such as 256Mi, not ${text}`);
  return Number(amount) * (unit === 'Gi' ? 1_024 : 1);
}
