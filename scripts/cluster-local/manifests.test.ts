import { describe, expect, test } from 'vitest';
import { parseObjects } from '../knative/render.ts';
import { keptWarm } from './kept-warm.ts';
import { readManifests } from './manifests.ts';

const service = (name: string, annotations = '{}', more = '') => `
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: ${name}, namespace: analytics }
spec:
  template:
    metadata: { annotations: ${annotations} }
    spec:
      containers: [{ image: "registry.example.com/${name}:v1" ${more} }]
`;
const ping = (name: string, schedule: string, to: string) => `
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: { name: ${name}, namespace: analytics }
spec:
  schedule: "${schedule}"
  sink: { ref: { apiVersion: serving.knative.dev/v1, kind: Service, name: ${to} } }
`;
const read = (...documents: string[]) => readManifests(parseObjects(documents.join('---')));

test('a Service of the core is not one of Knative, and is named as left out', () => {
  const core = '\napiVersion: v1\nkind: Service\nmetadata: { name: usage }\n';
  const { services, leftOut } = read(service('usage'), core);
  expect(services.map(({ metadata }) => metadata.name)).toEqual(['usage']);
  expect(leftOut).toEqual(['Service usage']);
});

test("what a Service does not say has Knative's defaults", () => {
  const [found] = read(service('usage')).services;
  expect(found?.spec.template).toMatchObject({
    metadata: { annotations: { minScale: 0, maxScale: Infinity, target: 100, idleMs: 60_000 } },
    spec: { timeoutSeconds: 300, containerConcurrency: 0 },
  });
});

describe('what is wrong, or must not be passed over, is named with its object', () => {
  test.each([
    [
      'a number that is none',
      service('usage', '{ autoscaling.knative.dev/min-scale: "one" }'),
      /Service usage: spec\.template\.metadata\.annotations\.autoscaling\.knative\.dev\/min-scale /,
    ],
    [
      'a second container',
      service('usage').replace('}]', '}, { image: sidecar }]'),
      /Service usage: spec\.template\.spec\.containers /,
    ],
    [
      'a source of a variable',
      service('usage', '{}', ', env: [{ name: A, valueFrom: { fieldRef: {} } }]'),
      /Service usage: .*valueFrom .*fieldRef/,
    ],
    [
      'a variable in a value',
      service('usage', '{}', ', env: [{ name: A, value: "http://$(HOST)" }]'),
      /Service usage: .*env\[0\]\.value refers to a variable/,
    ],
    [
      'a sink elsewhere',
      ping('refresh', '* * * * *', 'usage').replace('kind: Service,', 'kind: Channel,'),
      /PingSource refresh: spec\.sink\.ref\.kind /,
    ],
  ])('%s', (_, document, words) => {
    expect(() => read(document)).toThrow(words);
  });

  test('a condition of a route, and a scaler without the query', () => {
    const route = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: analytics }
spec:
  hosts: [a.example.com]
  http: [{ match: [{ headers: { x: { exact: y } } }], route: [{ destination: { host: b } }] }]
`;
    const scaler = `
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: { name: consumer }
spec: { scaleTargetRef: { name: consumer }, triggers: [{ type: cron, metadata: {} }] }
`;
    expect(() => read(route, scaler)).toThrow(
      /ScaledObject consumer: spec\.triggers\.postgresql .*VirtualService analytics: spec\.http\[0\]\.match\[0\] .*headers/,
    );
  });
});

test('kept warm is what has a minimum, or is asked no less often than it may be idle', () => {
  const manifests = read(
    service('usage'),
    service('status', '{ autoscaling.knative.dev/min-scale: "1" }'),
    service('refresh'),
    service('verify'),
    service('often', '{ autoscaling.knative.dev/scale-to-zero-pod-retention-period: 5m }'),
    ping('refresh', '* * * * *', 'refresh'),
    // Every minute, but not at night.
    ping('by-day', '* 8-18 * * *', 'verify'),
    ping('often', '*/5 * * * *', 'often'),
  );
  expect(keptWarm(manifests)).toEqual(['status', 'refresh', 'often']);
});
