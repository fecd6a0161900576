import { describe, expect, test } from 'vitest';
import { parseFuncYaml, readFuncYaml } from './func-yaml.ts';
import { revisions } from './revisions.ts';
import { knativeService } from './service.ts';

const text = (envs = '[]', more = '') => `
specVersion: 0.36.0
name: analytics-sample
runtime: node
created: 2026-11-22T00:00:00Z
invoke: http
build: { builder: pack }
run: { envs: ${envs} }
deploy:
  namespace: analytics
  labels: [{ key: team, value: billing }]
  annotations: { note: hello }
  serviceAccountName: analytics-robot
  healthEndpoints: { liveness: /health/liveness, readiness: /health/readiness }
  options:
    scale: { min: 0, max: 3, metric: concurrency, target: 20, utilization: 80 }
    resources:
      requests: { cpu: 100m, memory: 128Mi }
      limits: { cpu: "1", memory: 256Mi, concurrency: 5 }
${more}`;
const sample = (envs?: string) => parseFuncYaml('sample/func.yaml', text(envs));
const template = (envs?: string) =>
  knativeService(sample(envs), { timeoutSeconds: 90, scaleDownDelay: '2m' }).spec?.template;
const container = (envs: string) => template(envs)?.spec?.containers[0];

test('a Service has what func.yaml says, and what func cannot say', () => {
  expect(template()).toMatchObject({
    metadata: {
      labels: { team: 'billing', 'function.knative.dev/name': 'analytics-sample' },
      annotations: {
        note: 'hello',
        'autoscaling.knative.dev/min-scale': '0',
        'autoscaling.knative.dev/max-scale': '3',
        'autoscaling.knative.dev/metric': 'concurrency',
        'autoscaling.knative.dev/target': '20',
        'autoscaling.knative.dev/target-utilization-percentage': '80',
        'autoscaling.knative.dev/scale-down-delay': '2m',
      },
    },
    spec: {
      serviceAccountName: 'analytics-robot',
      timeoutSeconds: 90,
      responseStartTimeoutSeconds: 90,
      containerConcurrency: 5,
      containers: [
        {
          image: 'analytics-sample',
          resources: {
            requests: { cpu: '100m', memory: '128Mi' },
            limits: { cpu: '1', memory: '256Mi' },
          },
        },
      ],
    },
  });
});

test('autoscaling is said of revisions, where alone the cluster takes it', () => {
  const { metadata } = knativeService(sample(), { timeoutSeconds: 60 });
  expect(metadata?.annotations).toEqual({ note: 'hello' });
});

describe('an environment variable', () => {
  test.each([
    ['{ name: A, value: plain }', { name: 'A', value: 'plain' }],
    [
      '{ name: A, value: "{{ secret:store:the-key }}" }',
      { name: 'A', valueFrom: { secretKeyRef: { name: 'store', key: 'the-key' } } },
    ],
    [
      '{ name: A, value: "{{ configMap:store:KEY }}" }',
      { name: 'A', valueFrom: { configMapKeyRef: { name: 'store', key: 'KEY' } } },
    ],
  ])('%s', (given, expected) => {
    expect(container(`[${given}]`)).toMatchObject({ env: [expected], envFrom: [] });
  });

  test.each([
    ['{ value: "{{ configMap:store }}" }', { configMapRef: { name: 'store' } }],
    ['{ value: "{{ secret:store }}" }', { secretRef: { name: 'store' } }],
  ])('of all keys: %s', (given, expected) => {
    expect(container(`[${given}]`)).toMatchObject({ env: [], envFrom: [expected] });
  });

  test.each([
    ['{ value: plain }', /plain must be a whole configMap or secret, or have a name/],
    ['{ value: "{{ secret:store:key }}" }', /must be a whole configMap or secret/],
    ['{ name: A, value: "{{ secret:store }}" }', /A: .* must name a key/],
    ['{ name: A, value: "{{ env:HOME }}" }', /A: .* is not known/],
  ])('%s is refused', (given, reason) => {
    expect(() => container(`[${given}]`)).toThrow(reason);
  });
});

describe('a func.yaml', () => {
  test('that says what no manifest would is refused, by its path', () => {
    const more = '    warmup: fast';
    expect(() => parseFuncYaml('sample/func.yaml', text('[]', more))).toThrow(
      /^sample\/func\.yaml .*\n.*Unrecognized key: "warmup"/,
    );
  });

  test.each(Object.entries(revisions))('of %s has a Service with time to end', (name, revision) => {
    const service = knativeService(readFuncYaml(name), revision);
    expect(service.metadata?.name).toBe(`analytics-${name}`);
    expect(revision.timeoutSeconds).toBeGreaterThanOrEqual(60);
    expect(revision.timeoutSeconds).toBeLessThanOrEqual(600);
  });
});
