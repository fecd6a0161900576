import * as z from 'zod';
import { faultsOf } from '../../shared/platform/errors.ts';
import type { KubernetesObject } from '../knative/render.ts';
import { goDurationMs, isoDurationMs } from './duration.ts';

/** The fields that are imitated of each kind, as the overlay has them once it is rendered. */

const metadata = z.looseObject({ name: z.string(), namespace: z.string().default('default') });
const nameAndKey = z.looseObject({
  name: z.string(),
  key: z.string(),
  optional: z.boolean().default(false),
});
const nameOnly = z.looseObject({ name: z.string(), optional: z.boolean().default(false) });
const whole = z.number().int().min(0);
/** In annotations and in KEDA's metadata numbers are text. */
const wholeText = z.string().regex(/^\d+$/).transform(Number);
const numberText = z.string().transform(Number).pipe(z.number());

/** Kubernetes puts in values where it finds `$(NAME)`. */
const isPlain = (text: string) => !/\$\(\w+\)/.test(text);

const container = z.looseObject({
  image: z.string(),
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).optional(),
  env: z
    .array(
      z.strictObject({
        name: z.string(),
        value: z.string().refine(isPlain, 'refers to a variable, which is not imitated').optional(),
        valueFrom: z
          .strictObject({
            configMapKeyRef: nameAndKey.optional(),
            secretKeyRef: nameAndKey.optional(),
          })
          .optional(),
      }),
    )
    .default([]),
  envFrom: z
    .array(z.strictObject({ configMapRef: nameOnly.optional(), secretRef: nameOnly.optional() }))
    .default([]),
  readinessProbe: z
    .looseObject({ httpGet: z.looseObject({ path: z.string() }).optional() })
    .optional(),
});
export type Container = z.output<typeof container>;

/** A second container would be a process of its own beside the first: there is none so far. */
const containers = z.tuple([container]);

const scaling = z
  .looseObject({
    'autoscaling.knative.dev/min-scale': wholeText.default(0),
    'autoscaling.knative.dev/max-scale': wholeText.default(0),
    'autoscaling.knative.dev/target': numberText.default(100),
    'autoscaling.knative.dev/window': goDurationMs.default(60_000),
    'autoscaling.knative.dev/scale-down-delay': goDurationMs.default(0),
    'autoscaling.knative.dev/scale-to-zero-pod-retention-period': goDurationMs.default(0),
  })
  .transform((given) => ({
    minScale: given['autoscaling.knative.dev/min-scale'],
    /** Zero means any number. */
    maxScale: given['autoscaling.knative.dev/max-scale'] || Number.POSITIVE_INFINITY,
    /** Requests at once in one pod, above which another is started. */
    target: given['autoscaling.knative.dev/target'],
    /** How long the last pod stays without a request. */
    idleMs:
      given['autoscaling.knative.dev/window'] +
      given['autoscaling.knative.dev/scale-down-delay'] +
      given['autoscaling.knative.dev/scale-to-zero-pod-retention-period'],
  }));

export const knativeService = z.looseObject({
  metadata,
  spec: z.looseObject({
    template: z.looseObject({
      metadata: z.looseObject({ annotations: scaling.prefault({}) }).prefault({}),
      spec: z.looseObject({
        containers,
        /** Requests at once in one pod, which none exceeds; zero means any number. */
        containerConcurrency: whole.default(0),
        timeoutSeconds: whole.default(300),
      }),
    }),
  }),
});
export type KnativeService = z.output<typeof knativeService>;

const podTemplate = z.looseObject({
  spec: z.looseObject({ containers, terminationGracePeriodSeconds: whole.default(30) }),
});
/** How many replicas there are a scaler says. */
const deployment = z.looseObject({ metadata, spec: z.looseObject({ template: podTemplate }) });
export type Deployment = z.output<typeof deployment>;

export const job = z.looseObject({
  metadata,
  spec: z.looseObject({
    activeDeadlineSeconds: whole.optional(),
    backoffLimit: whole.default(6),
    template: podTemplate,
  }),
});
export type Job = z.output<typeof job>;

const configMap = z.looseObject({
  metadata,
  data: z.record(z.string(), z.string()).default({}),
});

const postgresqlTrigger = z.looseObject({
  type: z.literal('postgresql'),
  metadata: z.looseObject({
    query: z.string(),
    targetQueryValue: numberText,
    activationTargetQueryValue: numberText.default(0),
  }),
  authenticationRef: z.looseObject({ name: z.string() }),
});
const scalerTriggers = z
  .array(z.looseObject({ type: z.string() }))
  .transform((triggers) => ({
    /** The one that is asked here. */
    postgresql: triggers.find(({ type }) => type === 'postgresql'),
    /** Types of the others. */
    leftOut: triggers.flatMap(({ type }) => (type === 'postgresql' ? [] : [type])),
  }))
  .pipe(z.object({ postgresql: postgresqlTrigger, leftOut: z.array(z.string()) }));

export const scaledObject = z.looseObject({
  metadata,
  spec: z.looseObject({
    scaleTargetRef: z.looseObject({ name: z.string() }),
    pollingInterval: whole.default(30),
    cooldownPeriod: whole.default(300),
    minReplicaCount: whole.default(0),
    maxReplicaCount: whole.default(100),
    fallback: z
      .looseObject({
        failureThreshold: whole,
        replicas: whole,
        behavior: z.enum(['static', 'currentReplicasIfHigher']).default('static'),
      })
      .optional(),
    triggers: scalerTriggers,
  }),
});
export type ScaledObject = z.output<typeof scaledObject>;

export const triggerAuthentication = z.looseObject({
  metadata,
  spec: z.looseObject({
    secretTargetRef: z.array(
      z.looseObject({ parameter: z.string(), name: z.string(), key: z.string() }),
    ),
  }),
});
export type TriggerAuthentication = z.output<typeof triggerAuthentication>;

const destination = z.strictObject({
  ref: z.looseObject({ kind: z.enum(['Service', 'Broker']), name: z.string() }),
  /** A path on what is referred to. */
  uri: z.string().startsWith('/').default('/'),
});
export type Destination = z.output<typeof destination>;

export const pingSource = z.looseObject({
  metadata,
  spec: z.looseObject({
    schedule: z.string(),
    timezone: z.string().default('Etc/UTC'),
    contentType: z.string().optional(),
    data: z.string().default(''),
    sink: destination,
  }),
});
export type PingSource = z.output<typeof pingSource>;

const delivery = z.strictObject({
  retry: whole.default(0),
  backoffPolicy: z.enum(['linear', 'exponential']).default('exponential'),
  backoffDelay: isoDurationMs.default(0),
  timeout: isoDurationMs.optional(),
  deadLetterSink: destination.optional(),
});
export type Delivery = z.output<typeof delivery>;

export const broker = z.looseObject({
  metadata,
  spec: z.looseObject({ delivery: delivery.optional() }).default({}),
});
export type Broker = z.output<typeof broker>;

export const trigger = z.looseObject({
  metadata,
  spec: z.looseObject({
    broker: z.string(),
    filter: z
      .strictObject({ attributes: z.record(z.string(), z.string()).default({}) })
      .default({ attributes: {} }),
    subscriber: destination,
    delivery: delivery.optional(),
  }),
});
export type Trigger = z.output<typeof trigger>;

const sinkBinding = z.looseObject({
  metadata,
  spec: z.looseObject({
    subject: z.looseObject({ kind: z.string(), name: z.string() }),
    sink: destination,
  }),
});
export type SinkBinding = z.output<typeof sinkBinding>;

const stringMatch = z.union([
  z.strictObject({ exact: z.string() }),
  z.strictObject({ prefix: z.string() }),
  z.strictObject({ regex: z.string() }),
]);
export type StringMatch = z.output<typeof stringMatch>;

export const virtualService = z.looseObject({
  metadata,
  spec: z.looseObject({
    hosts: z.array(z.string()).min(1),
    http: z.array(
      z.looseObject({
        // Strict: a condition that is not looked at would let too much through.
        match: z
          .array(
            z.strictObject({
              name: z.string().optional(),
              uri: stringMatch.optional(),
              method: stringMatch.optional(),
            }),
          )
          .optional(),
        rewrite: z.strictObject({ authority: z.string() }).optional(),
        route: z.tuple([z.looseObject({ destination: z.looseObject({ host: z.string() }) })]),
      }),
    ),
  }),
});
export type VirtualService = z.output<typeof virtualService>;

const scrapeConfig = z.looseObject({
  metadata,
  spec: z.looseObject({
    staticConfigs: z.array(z.looseObject({ targets: z.array(z.string()) })).default([]),
    // By default the type is Bearer.
    authorization: z
      .strictObject({ credentials: z.strictObject({ name: z.string(), key: z.string() }) })
      .optional(),
  }),
});

export interface Manifests {
  services: KnativeService[];
  deployments: Deployment[];
  jobs: Job[];
  configMaps: z.output<typeof configMap>[];
  scaledObjects: ScaledObject[];
  triggerAuthentications: TriggerAuthentication[];
  pingSources: PingSource[];
  brokers: Broker[];
  triggers: Trigger[];
  sinkBindings: SinkBinding[];
  virtualServices: VirtualService[];
  scrapeConfigs: z.output<typeof scrapeConfig>[];
  /** What has no part in a run on one machine, as `kind name`. */
  leftOut: string[];
}

/** Kinds are told apart by their group too: there are Services of the core as well. */
const isOf = (group: string, kind: string) => (object: KubernetesObject) =>
  object.kind === kind && (object.apiVersion.split('/').at(-2) ?? '') === group;

/**
 * The parts of an overlay that a run on one machine imitates.
 *
 * @throws Error that names every field which is missing, or is not imitated and must not be passed over.
 */
export function readManifests(objects: readonly KubernetesObject[]): Manifests {
  const rest = new Set(objects);
  const faults: string[] = [];
  const read = <Form extends z.ZodType>(group: string, kind: string, form: Form) =>
    objects.filter(isOf(group, kind)).flatMap((object): z.output<Form>[] => {
      rest.delete(object);
      const parsed = form.safeParse(object);
      if (parsed.success) return [parsed.data];
      for (const { path, message } of faultsOf(parsed.error)) {
        faults.push(`${kind} ${object.metadata.name}: ${path} ${message}`);
      }
      return [];
    });
  const manifests: Omit<Manifests, 'leftOut'> = {
    services: read('serving.knative.dev', 'Service', knativeService),
    deployments: read('apps', 'Deployment', deployment),
    jobs: read('batch', 'Job', job),
    configMaps: read('', 'ConfigMap', configMap),
    scaledObjects: read('keda.sh', 'ScaledObject', scaledObject),
    triggerAuthentications: read('keda.sh', 'TriggerAuthentication', triggerAuthentication),
    pingSources: read('sources.knative.dev', 'PingSource', pingSource),
    brokers: read('eventing.knative.dev', 'Broker', broker),
    triggers: read('eventing.knative.dev', 'Trigger', trigger),
    sinkBindings: read('sources.knative.dev', 'SinkBinding', sinkBinding),
    virtualServices: read('networking.istio.io', 'VirtualService', virtualService),
    scrapeConfigs: read('monitoring.coreos.com', 'ScrapeConfig', scrapeConfig),
  };
  if (faults.length > 0)
    throw new Error(`these manifests cannot be run here: ${faults.join('; ')}`);
  const scalers = manifests.scaledObjects.flatMap(({ metadata: { name }, spec }) =>
    spec.triggers.leftOut.map((type) => `trigger ${type} of ScaledObject ${name}`),
  );
  const objectsLeft = [...rest].map(({ kind, metadata: { name } }) => `${kind} ${name}`);
  return { ...manifests, leftOut: [...scalers, ...objectsLeft] };
}
