import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { overlays } from '../scripts/knative/render.ts';
import { roles } from '../shared/access.ts';
import { labelSelector, selects } from './support/label-selector.ts';
import { nodesOf } from './support/manifest-nodes.ts';
import { podsOf } from './support/manifest-pods.ts';
import { referencesOf } from './support/manifest-references.ts';
import { argoApplications, describeOverlays, secretTemplate } from './support/manifests.ts';

const secrets = (await secretTemplate()).map(({ metadata }) => metadata.name);
const stages = ['prepare', 'bootstrap', 'run'];
/** As kubectl has them. */
const kinds: Readonly<Record<string, string>> = {
  deploy: 'Deployment',
  deployment: 'Deployment',
  ksvc: 'Service',
  scaledobject: 'ScaledObject',
  pingsource: 'PingSource',
  trigger: 'Trigger',
  job: 'Job',
  configmap: 'ConfigMap',
};
const commands = (
  await Promise.all(
    ['README.md', 'docs/runbook.md'].map((file) =>
      readFile(new URL(`../${file}`, import.meta.url), 'utf8'),
    ),
  )
)
  .join('\n')
  .match(/kubectl [^`\n|]+/g);

const applicationForm = z.looseObject({
  source: z.looseObject({ path: z.string() }),
  destination: z.looseObject({ namespace: z.literal('analytics') }),
  ignoreDifferences: z.array(z.looseObject({ kind: z.string(), name: z.string().optional() })),
});
const monitorForm = z.looseObject({
  selector: labelSelector,
  jobLabel: z.string(),
  podMetricsEndpoints: z.array(z.looseObject({ port: z.string(), path: z.string() })),
});

await describeOverlays((objects) => {
  const pods = podsOf(objects);
  const links = objects.flatMap((from) =>
    referencesOf(from).map((reference) => ({
      ...reference,
      from,
      to: objects.find(
        ({ kind, metadata }) => kind === reference.kind && metadata.name === reference.name,
      ),
      title: `${from.kind} ${from.metadata.name} ${reference.path}`,
    })),
  );

  test('every object that is named is there, and every secret in the template', () => {
    const dangling = links
      .filter(({ kind, name, to }) => (kind === 'Secret' ? !secrets.includes(name) : !to))
      .map(({ title, kind, name }) => `${title}: no ${kind} ${name}`);
    expect(dangling).toEqual([]);
    expect(links.length).toBeGreaterThan(50);
  });

  test('Prometheus brings the token that status asks for, and a pod alone is asked without', () => {
    const scraped = objects.filter(({ kind }) => kind === 'ScrapeConfig');
    const brought = scraped.map((config) =>
      z
        .looseObject({
          spec: z.looseObject({
            authorization: z.strictObject({
              credentials: z.strictObject({ name: z.string(), key: z.string() }),
            }),
          }),
        })
        .parse(config),
    );
    const status = pods.find(({ name }) => name === 'analytics-status');
    const asked = status?.container.env.find(({ name }) => name === 'METRICS_TOKEN');
    expect(brought).toHaveLength(1);
    for (const { spec } of brought) {
      expect(asked?.valueFrom).toEqual({ secretKeyRef: spec.authorization.credentials });
    }
    const others = pods.filter(({ container }) =>
      container.env.some(({ name }) => name === 'METRICS_TOKEN'),
    );
    expect(others).toEqual([status]);
  });

  test('every object is in our namespace and says whose it is and when it is applied', () => {
    for (const { kind, metadata } of objects) {
      expect(metadata.namespace, metadata.name).toBe(
        kind === 'Namespace' ? undefined : 'analytics',
      );
      expect(metadata.labels, `${kind} ${metadata.name}`).toMatchObject({
        'app.kubernetes.io/part-of': 'analytics-service',
        'analytics-service/stage': expect.toSatisfy((stage) => stages.includes(stage)),
      });
    }
  });

  test('nothing is applied before what it names', () => {
    const stageOf = ({ metadata }: (typeof objects)[number]) =>
      stages.indexOf(metadata.labels?.['analytics-service/stage'] ?? '');
    const waveOf = ({ metadata: { annotations = {} } }: (typeof objects)[number]) =>
      annotations['argocd.argoproj.io/hook'] === 'PreSync'
        ? Number.NEGATIVE_INFINITY
        : Number(annotations['argocd.argoproj.io/sync-wave'] ?? 0);
    const early = links
      .filter(({ from, to }) => to && (stageOf(from) < stageOf(to) || waveOf(from) < waveOf(to)))
      .map(({ title, name }) => `${title}: before ${name}`);
    expect(early).toEqual([]);
  });

  test('every service account and every broker is used', () => {
    const used = links.map(({ kind, name }) => `${kind} ${name}`);
    for (const { kind, metadata } of objects) {
      if (kind === 'ServiceAccount' || kind === 'Broker' || kind === 'TriggerAuthentication') {
        expect(used).toContain(`${kind} ${metadata.name}`);
      }
    }
  });

  test('every selector selects a pod', () => {
    const selectors = objects.flatMap((object) =>
      [...nodesOf(object)]
        .filter(({ path }) => /^\/spec\/(selector|podSelector)$/.test(path))
        .filter(() => object.kind !== 'Gateway')
        .map(({ value }) => ({ title: `${object.kind} ${object.metadata.name}`, value })),
    );
    for (const { title, value } of selectors) {
      const selector = labelSelector.parse(value);
      const selected = pods.filter(({ labels }) => selects(selector, labels));
      expect(selected, title).not.toEqual([]);
    }
    expect(selectors.length).toBeGreaterThan(3);
  });

  test('a Deployment selects its own pods alone', () => {
    for (const { kind, metadata, spec } of objects) {
      if (kind !== 'Deployment') continue;
      const { selector } = z.looseObject({ selector: labelSelector }).parse(spec);
      const selected = pods.filter(({ labels }) => selects(selector, labels));
      expect(selected.map(({ name }) => name)).toEqual([metadata.name]);
    }
  });

  test('Prometheus finds a port and a job’s name on every pod but the bootstrap’s', () => {
    const monitors = objects
      .filter(({ kind }) => kind === 'PodMonitor')
      .map(({ spec }) => monitorForm.parse(spec));
    const scraped = monitors.flatMap(({ selector, jobLabel, podMetricsEndpoints }) =>
      pods
        .filter(({ labels }) => selects(selector, labels))
        .map(({ name, labels, ports }) => {
          for (const { port } of podMetricsEndpoints) expect(Object.keys(ports)).toContain(port);
          expect(labels[jobLabel]).toBe(name);
          return name;
        }),
    );
    const running = pods.map(({ name }) => name).filter((name) => name !== 'analytics-bootstrap');
    expect(scraped.sort()).toEqual(running.sort());
  });

  test('Argo CD leaves others’ fields alone on objects that are there', async () => {
    for (const { spec } of await argoApplications()) {
      for (const { kind, name } of applicationForm.parse(spec).ignoreDifferences) {
        const found = objects.filter(
          (object) =>
            object.kind === kind && (name ?? object.metadata.name) === object.metadata.name,
        );
        expect(found, `${kind} ${name}`).not.toEqual([]);
      }
    }
  });

  test('kubectl’s commands in the documents name objects and pods that are there', () => {
    const all = (commands ?? []).join('\n');
    const selected = [...all.matchAll(/ -l ([\w./-]+)=([\w.-]+)/g)];
    expect(selected.length).toBeGreaterThan(3);
    for (const [text, key = '', value] of selected) {
      expect(
        pods.some(({ labels }) => labels[key] === value),
        text,
      ).toBe(true);
    }
    const named = all.matchAll(/\b([a-z]+)(?: -n analytics)?[ /](analytics-[a-z-]+)/g);
    for (const [text, kind = '', name] of named) {
      if (kind === 'n') continue;
      const found = objects.some(
        (object) => object.kind === kinds[kind] && object.metadata.name === name,
      );
      expect(found, text).toBe(true);
    }
  });
});

test('Argo CD syncs each overlay into our namespace', async () => {
  const specs = (await argoApplications()).map(({ spec }) => applicationForm.parse(spec));
  const paths = specs.map(({ source }) => source.path);
  expect(paths.sort()).toEqual(overlays.map((overlay) => `knative/overlays/${overlay}`).sort());
});

test('every role that manifests and documents name exists', async () => {
  const known = new Set<string>(Object.values(roles));
  const root = fileURLToPath(new URL('../', import.meta.url));
  const files = ['README.md'];
  for (const folder of ['docs', 'knative']) {
    for (const file of await readdir(`${root}${folder}`, { recursive: true })) {
      if (/\.(md|yaml)$/.test(file)) files.push(`${folder}/${file}`);
    }
  }
  const texts = await Promise.all(files.map((file) => readFile(`${root}${file}`, 'utf8')));
  const named = texts.join('\n').match(/(?<![:\w])analytics:[a-z]+:[a-z]+\b(?![:_])/g) ?? [];
  expect([...new Set(named)].filter((role) => !known.has(role))).toEqual([]);
});
