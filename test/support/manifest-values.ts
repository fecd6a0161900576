import { Cron } from 'croner';
import * as z from 'zod';
import type { KubernetesObject } from '../../scripts/knative/render.ts';
import { isTimeZone } from '../../shared/queries/time-window.ts';
import { formFaults } from './form-faults.ts';
import { nodesOf } from './manifest-nodes.ts';

/** Words that Kubernetes takes where its schema says only "string". */
const words: readonly { path: RegExp; of: readonly string[] }[] = [
  { path: /\/imagePullPolicy$/, of: ['Always', 'IfNotPresent', 'Never'] },
  { path: /\/restartPolicy$/, of: ['Always', 'OnFailure', 'Never'] },
  { path: /\/concurrencyPolicy$/, of: ['Allow', 'Forbid', 'Replace'] },
  { path: /\/backoffPolicy$/, of: ['linear', 'exponential'] },
  { path: /\/policyTypes\/\d+$/, of: ['Ingress', 'Egress'] },
  { path: /(gress\/\d+|containers\/\d+)\/ports\/\d+\/protocol$/, of: ['TCP', 'UDP'] },
  { path: /\/seccompProfile\/type$/, of: ['RuntimeDefault', 'Localhost'] },
  { path: /\/matchExpressions\/\d+\/operator$/, of: ['In', 'NotIn', 'Exists', 'DoesNotExist'] },
  { path: /^\/spec\/strategy\/type$/, of: ['Recreate', 'RollingUpdate'] },
  { path: /\/whenUnsatisfiable$/, of: ['DoNotSchedule', 'ScheduleAnyway'] },
  { path: /\/unhealthyPodEvictionPolicy$/, of: ['IfHealthyBudget', 'AlwaysAllow'] },
  { path: /\/httpGet\/scheme$/, of: ['HTTP', 'HTTPS'] },
  { path: /\/behavior\/scale(Up|Down)\/selectPolicy$/, of: ['Max', 'Min', 'Disabled'] },
  { path: /\/behavior\/scale(Up|Down)\/policies\/\d+\/type$/, of: ['Pods', 'Percent'] },
  { path: /\/metricType$/, of: ['AverageValue', 'Value'] },
  {
    path: /^\/spec\/syncPolicy\/syncOptions\/\d+$/,
    of: [
      'CreateNamespace=true',
      'ServerSideApply=true',
      'RespectIgnoreDifferences=true',
      'PruneLast=true',
      'ApplyOutOfSyncOnly=true',
    ],
  },
  { path: /\/servers\/\d+\/port\/protocol$/, of: ['HTTP', 'HTTPS', 'HTTP2', 'GRPC', 'TLS', 'TCP'] },
];

const whole = z.string().regex(/^\d+$/, 'must be a whole number');
const number = z.string().regex(/^\d+(\.\d+)?$/, 'must be a number');
const duration = z.string().regex(/^(\d+h)?(\d+m)?(\d+s)?$/, 'must be a duration in whole seconds');

/** Annotations by what reads them; one that nothing reads is a slip. */
const annotations: Readonly<Record<string, z.ZodType>> = {
  'autoscaling.knative.dev/class': z.enum(['kpa.autoscaling.knative.dev']),
  'autoscaling.knative.dev/metric': z.enum(['concurrency', 'rps']),
  'autoscaling.knative.dev/target': number,
  'autoscaling.knative.dev/target-utilization-percentage': number,
  'autoscaling.knative.dev/target-burst-capacity': z.string().regex(/^(-1|\d+)$/),
  'autoscaling.knative.dev/min-scale': whole,
  'autoscaling.knative.dev/max-scale': whole,
  // 0 is refused unless the whole cluster allows it.
  'autoscaling.knative.dev/initial-scale': z.string().regex(/^[1-9]\d*$/, 'must be at least 1'),
  'autoscaling.knative.dev/activation-scale': z
    .string()
    .regex(/^([2-9]|[1-9]\d+)$/, 'must be at least 2'),
  'autoscaling.knative.dev/window': duration,
  'autoscaling.knative.dev/scale-down-delay': duration,
  'autoscaling.knative.dev/scale-to-zero-pod-retention-period': duration,
  'serving.knative.dev/rollout-duration': duration,
  'eventing.knative.dev/broker.class': z.enum(['MTChannelBasedBroker', 'RabbitMQBroker', 'Kafka']),
  'sidecar.istio.io/inject': z.enum(['true', 'false']),
  'autoscaling.keda.sh/paused': z.enum(['true', 'false']),
  'argocd.argoproj.io/sync-wave': z.string().regex(/^-?\d+$/, 'must be a whole number'),
  'argocd.argoproj.io/hook': z.enum(['PreSync', 'Sync', 'PostSync']),
  'argocd.argoproj.io/hook-delete-policy': z.enum(['BeforeHookCreation', 'HookSucceeded']),
  'argocd.argoproj.io/sync-options': listOf('Prune=false', 'Delete=false', 'ServerSideApply=true'),
  'argocd.argoproj.io/compare-options': listOf(
    'ServerSideDiff=true',
    'IncludeMutationWebhook=true',
    'IgnoreExtraneous',
  ),
};

/** Labels likewise: `visibilty` would put a function on the open net. */
const labels: Readonly<Record<string, z.ZodType>> = {
  'app.kubernetes.io/name': z.string().regex(/^analytics(-[a-z]+)*$/),
  'app.kubernetes.io/component': z.string(),
  'app.kubernetes.io/part-of': z.literal('analytics-service'),
  'analytics-service/stage': z.enum(['prepare', 'bootstrap', 'run']),
  'networking.knative.dev/visibility': z.literal('cluster-local'),
  'function.knative.dev': z.literal('true'),
  'function.knative.dev/name': z.string(),
  'function.knative.dev/runtime': z.literal('node'),
  'boson.dev/function': z.literal('true'),
  'boson.dev/runtime': z.literal('node'),
  'bindings.knative.dev/include': z.literal('true'),
  'pod-security.kubernetes.io/enforce': z.enum(['baseline', 'restricted']),
  'pod-security.kubernetes.io/warn': z.enum(['baseline', 'restricted']),
  'istio-injection': z.enum(['enabled', 'disabled']),
};

/** Knative refuses the rest of a pod's fields, unless a flag of the whole cluster allows them. */
const knativePod = z.strictObject({
  serviceAccountName: z.string().optional(),
  automountServiceAccountToken: z.boolean().optional(),
  enableServiceLinks: z.boolean().optional(),
  containerConcurrency: z.number().optional(),
  // The most that Knative allows, unless the whole cluster is told otherwise.
  timeoutSeconds: z.int().max(600).optional(),
  responseStartTimeoutSeconds: z.int().max(600).optional(),
  idleTimeoutSeconds: z.int().max(600).optional(),
  imagePullSecrets: z.array(z.unknown()).optional(),
  volumes: z.array(z.unknown()).optional(),
  containers: z.array(z.unknown()).length(1),
});

/** KEDA takes any text for a trigger, and tells of a slip only when it runs. */
const kedaTrigger = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('postgresql'),
    metadata: z.strictObject({
      query: z.string(),
      targetQueryValue: number,
      activationTargetQueryValue: number.optional(),
    }),
    authenticationRef: z.strictObject({ name: z.string() }),
  }),
  z.looseObject({
    type: z.literal('rabbitmq'),
    metadata: z.strictObject({
      protocol: z.enum(['http', 'amqp', 'auto']),
      // Not by QueueLength, which on a stream is what retention holds and never falls.
      mode: z.enum(['MessageRate', 'DeliverGetRate', 'PublishedToDeliveredRatio']),
      queueName: z.string(),
      useRegex: z.enum(['true', 'false']).optional(),
      operation: z.enum(['sum', 'max', 'avg']).optional(),
      vhostName: z.string().optional(),
      value: number,
      activationValue: number.optional(),
    }),
    authenticationRef: z.strictObject({ name: z.string() }),
  }),
]);

/** A schedule as Knative reads it: five fields, or six with the seconds. */
const schedule = z
  .string()
  .regex(/^[\d*/,-]+( [\d*/,-]+){4,5}$/, 'must have five or six fields of digits, *, /, - and ,')
  .refine(isSchedule, 'is no schedule');

const pingSource = z.looseObject({
  schedule,
  timezone: z.string().refine(isTimeZone, 'is no time zone').optional(),
  contentType: z.literal('application/json'),
  data: z.string().refine(isJson, 'must be JSON'),
});

const delivery = z.looseObject({ backoffDelay: z.iso.duration().optional() });

const forms: readonly { kind: string; path: RegExp; form: z.ZodType }[] = [
  { kind: 'Service', path: /^\/spec\/template\/spec$/, form: knativePod },
  { kind: 'ScaledObject', path: /^\/spec\/triggers\/\d+$/, form: kedaTrigger },
  { kind: 'PingSource', path: /^\/spec$/, form: pingSource },
  { kind: 'Trigger', path: /^\/spec\/delivery$/, form: delivery },
  { kind: 'Broker', path: /^\/spec\/delivery$/, form: delivery },
];

/**
 * What a schema lets through and a cluster does not, or only fails at later: words that are not
 * known, annotations nothing reads, schedules, triggers. Each fault begins with its path.
 */
export function valueFaults(object: KubernetesObject): string[] {
  return [...nodesOf(object)].flatMap(({ path, value }) => [
    ...words
      .filter((one) => one.path.test(path) && !one.of.includes(String(value)))
      .map(({ of }) => `${path}: must be one of ${of.join(', ')}`),
    ...forms
      .filter((one) => one.kind === object.kind && one.path.test(path))
      .flatMap(({ form }) => formFaults(form, value, path)),
    ...(/^(\/spec\/template)?\/metadata\/annotations$/.test(path)
      ? namedFaults(annotations, Object(value), path)
      : []),
    ...(/^(\/spec\/template)?\/metadata\/labels$/.test(path)
      ? namedFaults(labels, Object(value), path)
      : []),
  ]);
}

/** Names outside `known`, and values that are not as it has them. */
function namedFaults(known: Readonly<Record<string, z.ZodType>>, given: object, path: string) {
  return Object.entries(given).flatMap(([name, value]: [string, unknown]) => {
    const form = known[name];
    if (form === undefined) return [`${path}/${name}: is not known`];
    return formFaults(form, value, `${path}/${name}`);
  });
}

function listOf(...options: string[]) {
  return z
    .string()
    .refine(
      (text) => text.split(',').every((option) => options.includes(option)),
      `must be a list of ${options.join(', ')}`,
    );
}

function isSchedule(text: string): boolean {
  try {
    return new Cron(text, { paused: true }).nextRun() !== null;
  } catch {
    return false;
  }
}

function isJson(text: string): boolean {
  try {
    return JSON.parse(text) !== undefined;
  } catch {
    return false;
  }
}
