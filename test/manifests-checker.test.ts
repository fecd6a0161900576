import { describe, expect, test } from 'vitest';
import { Document } from 'yaml';
import { parseObjects } from '../scripts/knative/render.ts';
import { schemaFaults } from './support/manifest-schema.ts';
import { valueFaults } from './support/manifest-values.ts';
import { argoApplications, renderedOverlays, secretTemplate } from './support/manifests.ts';

/** A slip in one of our own manifests: what is written where; undefined leaves it out. */
interface Slip {
  of: string;
  at: readonly string[];
  to: unknown;
  /** Where the fault is found, when it is not there. */
  found?: string;
}

const container = ['spec', 'template', 'spec', 'containers', '0'];
const annotation = (name: string) => ['spec', 'template', 'metadata', 'annotations', name];
const usage = 'Service analytics-usage';
const consumer = 'Deployment analytics-consumer';
const scaling = 'ScaledObject analytics-consumer';
const refresh = 'PingSource analytics-refresh';
const requested = 'Trigger analytics-export-requested';

const slips: Record<string, Slip[]> = {
  'a key that is not known': [
    { of: usage, at: ['metadata', 'label'], to: {} },
    { of: usage, at: ['spec', 'template', 'spec', 'containerConcurency'], to: 5 },
    { of: usage, at: [...container, 'livenessProbe', 'httpGet', 'pth'], to: '/' },
    { of: usage, at: [...container, 'startupProbe'], to: { httpget: {} } },
    { of: usage, at: [...container, 'securityContext', 'runAsNonroot'], to: true },
    { of: usage, at: [...container, 'resources', 'limit'], to: {} },
    { of: consumer, at: [...container, 'envForm'], to: [] },
    { of: consumer, at: ['spec', 'selector', 'matchLabel'], to: {} },
    { of: 'Job analytics-bootstrap', at: ['spec', 'backofLimit'], to: 3 },
    { of: scaling, at: ['spec', 'maxReplicas'], to: 4 },
    { of: scaling, at: ['spec', 'advanced'], to: { horizontalPodAutoscaler: {} } },
    {
      of: scaling,
      at: ['spec', 'triggers', '0', 'metadata', 'targetQuery'],
      to: '1',
      found: '/spec/triggers/0/metadata',
    },
    {
      of: 'TriggerAuthentication analytics-database',
      at: ['spec', 'secretTargetRef', '0', 'keys'],
      to: 'url',
    },
    { of: refresh, at: ['spec', 'sink', 'ref', 'nam'], to: 'x' },
    { of: requested, at: ['spec', 'delivery', 'retries'], to: 5 },
    { of: 'SinkBinding analytics-exports', at: ['spec', 'subject', 'nam'], to: 'x' },
    {
      of: 'VirtualService analytics',
      at: ['spec', 'http', '0', 'match', '0', 'uri', 'regexp'],
      to: 'x',
    },
    { of: 'Gateway analytics', at: ['spec', 'servers', '0', 'host'], to: 'x' },
    { of: 'NetworkPolicy analytics-nothing', at: ['spec', 'podSelectors'], to: {} },
    {
      of: 'PodMonitor analytics-functions',
      at: ['spec', 'podMetricsEndpoints', '0', 'prt'],
      to: 'x',
    },
    { of: 'ScrapeConfig analytics-status', at: ['spec', 'scrapeIntervall'], to: '30s' },
    { of: 'PrometheusRule analytics', at: ['spec', 'groups', '0', 'rules', '0', 'exp'], to: 'x' },
    { of: 'ServiceAccount analytics-usage', at: ['automountToken'], to: false },
    { of: 'Secret analytics-database', at: ['stringDate'], to: {} },
    {
      of: 'Application analytics-service-production',
      at: ['spec', 'syncPolicy', 'automated', 'prun'],
      to: true,
    },
  ],
  'a value of the wrong type': [
    { of: usage, at: ['spec', 'template', 'spec', 'timeoutSeconds'], to: '60' },
    { of: usage, at: annotation('autoscaling.knative.dev/min-scale'), to: 0 },
    { of: consumer, at: [...container, 'ports', '0', 'containerPort'], to: '8080' },
    { of: scaling, at: ['spec', 'maxReplicaCount'], to: '4' },
    { of: scaling, at: ['spec', 'triggers', '0', 'metadata', 'targetQueryValue'], to: 50_000 },
    { of: 'ConfigMap analytics-settings', at: ['data', 'RABBITMQ_STREAM_PARTITIONS'], to: 4 },
    { of: refresh, at: ['spec', 'data'], to: { job: 'refresh' } },
    { of: requested, at: ['spec', 'filter', 'attributes', 'type'], to: 1 },
    { of: 'VirtualService analytics', at: ['spec', 'http', '0', 'timeout'], to: 60 },
    { of: 'NetworkPolicy analytics-nothing', at: ['spec', 'policyTypes'], to: 'Ingress' },
    { of: 'PodMonitor analytics-functions', at: ['spec', 'jobLabel'], to: 1 },
  ],
  'a required key left out': [
    { of: consumer, at: ['spec', 'selector'], to: undefined, found: '/spec must' },
    { of: consumer, at: [...container, 'name'], to: undefined, found: '/spec/template/spec/' },
    { of: scaling, at: ['spec', 'scaleTargetRef'], to: undefined, found: '/spec must' },
    {
      of: scaling,
      at: ['spec', 'triggers', '0', 'metadata', 'query'],
      to: undefined,
      found: '/spec/triggers/0/metadata',
    },
    {
      of: 'Application analytics-service-production',
      at: ['spec', 'destination'],
      to: undefined,
      found: '/spec must',
    },
  ],
  'a word or a form that is not taken': [
    { of: usage, at: ['kind'], to: 'Servic' },
    { of: usage, at: ['metadata', 'labels', 'networking.knative.dev/visibilty'], to: 'x' },
    { of: usage, at: ['metadata', 'labels', 'networking.knative.dev/visibility'], to: 'local' },
    { of: usage, at: annotation('autoscaling.knative.dev/max-scales'), to: '1' },
    { of: usage, at: annotation('autoscaling.knative.dev/metric'), to: 'requests' },
    { of: usage, at: annotation('autoscaling.knative.dev/initial-scale'), to: '0' },
    { of: usage, at: annotation('autoscaling.knative.dev/scale-down-delay'), to: '90' },
    { of: usage, at: ['spec', 'template', 'spec', 'timeoutSeconds'], to: 900 },
    {
      of: usage,
      at: ['spec', 'template', 'spec', 'nodeSelector'],
      to: {},
      found: '/spec/template/spec',
    },
    { of: consumer, at: [...container, 'imagePullPolicy'], to: 'always' },
    { of: 'Job analytics-bootstrap', at: ['spec', 'template', 'spec', 'restartPolicy'], to: 'no' },
    { of: scaling, at: ['spec', 'triggers', '0', 'type'], to: 'postgres' },
    { of: refresh, at: ['spec', 'schedule'], to: '61 * * * *' },
    { of: refresh, at: ['spec', 'schedule'], to: '* * * *' },
    { of: refresh, at: ['spec', 'timezone'], to: 'Europe/Bern' },
    { of: refresh, at: ['spec', 'data'], to: '{job: refresh}' },
    { of: requested, at: ['spec', 'delivery', 'backoffPolicy'], to: 'expo' },
    { of: requested, at: ['spec', 'delivery', 'backoffDelay'], to: '2s' },
    { of: requested, at: ['spec', 'delivery', 'timeout'], to: '10m' },
    { of: 'Gateway analytics', at: ['spec', 'servers', '0', 'port', 'protocol'], to: 'HTPS' },
    { of: 'NetworkPolicy analytics-nothing', at: ['spec', 'policyTypes', '0'], to: 'Ingres' },
    { of: 'ScrapeConfig analytics-status', at: ['spec', 'scrapeInterval'], to: '30' },
    {
      of: 'Application analytics-service-production',
      at: ['spec', 'syncPolicy', 'syncOptions', '0'],
      to: 'CreateNamespaces=true',
    },
  ],
};

const rendered = await renderedOverlays();
const objects = [
  ...(rendered.find(({ overlay }) => overlay === 'production')?.objects ?? []),
  ...(await secretTemplate()),
  ...(await argoApplications()),
];

describe.skipIf(rendered.length === 0).each(Object.entries(slips))('%s is found', (_, cases) => {
  const named = cases.map((slip) => ({ ...slip, name: `${slip.of} /${slip.at.join('/')}` }));
  test.each(named)('$name: $to', ({ of, at, to, found = `/${at.join('/')}` }) => {
    const object = objects.find(({ kind, metadata }) => `${kind} ${metadata.name}` === of);
    const document = new Document(object);
    if (to === undefined) document.deleteIn(at);
    else document.setIn(at, to);
    const [slipped] = parseObjects(document.toString());
    if (slipped === undefined) throw new Error(`there is no ${of}`);
    expect([...schemaFaults(slipped), ...valueFaults(slipped)]).toContainEqual(
      expect.stringContaining(found),
    );
  });
});
