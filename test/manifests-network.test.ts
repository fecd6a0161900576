import { describe, expect, test } from 'vitest';
import { environmentOf } from './support/manifest-environment.ts';
import { knativePorts, type Pod, podsOf } from './support/manifest-pods.ts';
import { referencesOf } from './support/manifest-references.ts';
import { describeOverlays, secretTemplate } from './support/manifests.ts';
import { allows, type Endpoint, readPolicies } from './support/network-policy.ts';
import { settingsRead } from './support/settings-read.ts';

const podIn = (namespace: string, labels: Record<string, string>): Endpoint => ({
  name: `${namespace}: ${Object.values(labels).join()}`,
  ip: '10.2.0.7',
  pod: { namespace, labels },
});
const ours = ({ name, labels, ports }: Pod): Endpoint => ({
  name,
  ip: '10.2.0.8',
  pod: { namespace: 'analytics', labels, ports },
});

// With the labels that these projects give their own pods.
const gateway = podIn('istio-system', { app: 'istio-ingressgateway', istio: 'ingressgateway' });
const activator = podIn('knative-serving', { app: 'activator' });
const autoscaler = podIn('knative-serving', { app: 'autoscaler' });
const prometheus = podIn('monitoring', { 'app.kubernetes.io/name': 'prometheus' });
const dispatchers = [
  podIn('knative-eventing', { 'eventing.knative.dev/brokerRole': 'filter' }),
  podIn('knative-eventing', { 'sources.knative.dev/role': 'adapter' }),
  podIn('knative-eventing', { 'messaging.knative.dev/role': 'dispatcher' }),
];
const strangers = [
  podIn('default', { app: 'stranger' }),
  // Anybody can give a pod of their own such labels.
  podIn('default', { app: 'activator', istio: 'ingressgateway' }),
  podIn('default', { app: 'autoscaler', 'app.kubernetes.io/name': 'prometheus' }),
  podIn('istio-system', { app: 'istiod' }),
  podIn('knative-serving', { app: 'webhook' }),
  podIn('monitoring', { 'app.kubernetes.io/name': 'grafana' }),
  podIn('keda', { app: 'keda-operator' }),
  podIn('analytics', { app: 'stranger' }),
  { name: 'the internet', ip: '203.0.113.50' },
];

/** All that a pod of ours may listen on, and some that nobody does. */
const inward = [...new Set([...Object.values(knativePorts), 8013, 22, 80, 443, 9229])];
const requests = [8012, 8112];
const metrics = [8080];

/** By whom a setting is served, and where: managed or not, with TLS or without. */
const stores: Record<string, number[]> = {
  DATABASE_URL: [5432, 443],
  RABBITMQ_URL: [5671, 5672],
  REDIS_URL: [6379, 443],
  S3_ENDPOINT: [443],
  JWT_JWKS_URL: [443],
  OTEL_EXPORTER_OTLP_ENDPOINT: [4318],
};
const outward = [22, 25, 53, 80, 443, 4317, 4318, 5432, 5671, 5672, 6379, 8080, 8443, 9000, 15672];

const byNumber = (ports: Iterable<number>) => [...new Set(ports)].sort((a, b) => a - b);

await describeOverlays((objects) => {
  const policies = readPolicies(objects);
  const pods = podsOf(objects);
  /** What Knative Eventing delivers to. */
  const sinks = objects
    .filter(({ kind }) => ['PingSource', 'Trigger', 'SinkBinding'].includes(kind))
    .flatMap((object) => referencesOf(object))
    .filter(({ kind, path }) => kind === 'Service' && path.endsWith('/ref'))
    .map(({ name }) => name);
  const openTo = (from: Endpoint, to: Endpoint, ports: readonly number[], protocol?: 'UDP') =>
    byNumber(
      ports.filter((port) => allows(policies, { from, to, port, ...(protocol && { protocol }) })),
    );

  describe.each(pods)('$name', (pod) => {
    const self = ours(pod);
    const only = (ports: readonly number[], isSo: boolean) => (isSo ? byNumber(ports) : []);

    test('takes requests from the gateway and the activator alone', () => {
      expect(openTo(gateway, self, inward)).toEqual(only(requests, pod.isKnative));
      expect(openTo(activator, self, inward)).toEqual(only(requests, pod.isKnative));
    });

    test('takes events from Knative’s dispatchers where it is a sink', () => {
      for (const dispatcher of dispatchers) {
        expect(openTo(dispatcher, self, inward)).toEqual(only(requests, sinks.includes(pod.name)));
      }
    });

    test('tells the autoscaler how many requests it has', () => {
      expect(openTo(autoscaler, self, inward)).toEqual(only([9090], pod.isKnative));
    });

    test('tells Prometheus its numbers', () => {
      const isRunning = pod.name !== 'analytics-bootstrap';
      expect(openTo(prometheus, self, inward)).toEqual(only(metrics, isRunning));
    });

    test('is closed to everybody else, and to its neighbours', () => {
      const others = [...strangers, ...pods.map(ours).filter(({ name }) => name !== pod.name)];
      const open = others.flatMap((other) =>
        openTo(other, self, inward).map((port) => `${other.name} to ${port}`),
      );
      expect(open).toEqual([]);
    });

    test('reaches the stores that its code opens, and no other port', async () => {
      const { read } = await settingsRead(pod.name.replace('analytics-', ''));
      const needed = Object.entries(stores).flatMap(([name, ports]) =>
        read.has(name) ? ports : [],
      );
      for (const ip of ['203.0.113.50', '192.168.128.9']) {
        expect(openTo(self, { name: 'a store', ip }, outward)).toEqual(byNumber(needed));
      }
    });

    test('is given stores at ports that are open to it', async () => {
      const environment = environmentOf(pod, [...objects, ...(await secretTemplate())]);
      const { read } = await settingsRead(pod.name.replace('analytics-', ''));
      const urls = Object.keys(stores).flatMap((name) =>
        read.has(name) && environment[name] !== undefined ? [new URL(environment[name])] : [],
      );
      // The API's document and the console are all in memory.
      const asksNobody = ['analytics-docs', 'analytics-console'].includes(pod.name);
      expect(urls.length > 0).toBe(!asksNobody);
      for (const { host, protocol, port } of urls) {
        const asked = Number(port || { 'https:': 443 }[protocol]);
        expect(openTo(self, { name: host, ip: '203.0.113.50' }, [asked]), host).toEqual([asked]);
      }
    });

    test('reaches the broker where its code sends events', async () => {
      const { read } = await settingsRead(pod.name.replace('analytics-', ''));
      const broker = podIn('knative-eventing', { 'eventing.knative.dev/brokerRole': 'ingress' });
      const open = openTo(self, broker, [8080, 8443, 9090]);
      expect(open).toEqual(only([8080, 8443], read.has('K_SINK')));
    });

    test('asks for names at the cluster’s DNS alone', () => {
      const dns = podIn('kube-system', { 'k8s-app': 'kube-dns' });
      expect(openTo(self, dns, [53])).toEqual([53]);
      expect(openTo(self, dns, [53], 'UDP')).toEqual([53]);
      expect(openTo(self, { name: 'a resolver', ip: '203.0.113.53' }, [53], 'UDP')).toEqual([]);
    });
  });

  test('a pod that no policy knows reaches nothing but names, and nobody reaches it', () => {
    const unknown = podIn('analytics', { app: 'unknown' });
    const others = [...strangers, gateway, activator, autoscaler, ...pods.map(ours)];
    for (const other of others) {
      expect(openTo(unknown, other, [...inward, ...outward])).toEqual([]);
      expect(openTo(other, unknown, inward)).toEqual([]);
    }
  });
});
