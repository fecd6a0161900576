import * as z from 'zod';
import type { KubernetesObject } from '../../scripts/knative/render.ts';

const keyRef = z.strictObject({ name: z.string(), key: z.string() });
const envFrom = z.strictObject({
  configMapRef: z.strictObject({ name: z.string() }).optional(),
  secretRef: z.strictObject({ name: z.string() }).optional(),
});
const env = z.strictObject({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .strictObject({ secretKeyRef: keyRef.optional(), configMapKeyRef: keyRef.optional() })
    .optional(),
});
const probe = z.looseObject({
  httpGet: z.looseObject({
    path: z.string(),
    port: z.union([z.string(), z.number()]).optional(),
  }),
});

const containerForm = z.looseObject({
  name: z.string().optional(),
  image: z.string(),
  env: z.array(env).default([]),
  envFrom: z.array(envFrom).default([]),
  ports: z
    .array(z.looseObject({ name: z.string().optional(), containerPort: z.number() }))
    .default([]),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  startupProbe: probe.optional(),
  resources: z.looseObject({
    requests: z.record(z.string(), z.string()),
    limits: z.record(z.string(), z.string()),
  }),
  securityContext: z.record(z.string(), z.unknown()).default({}),
});

const templateForm = z.looseObject({
  metadata: z
    .looseObject({ labels: z.record(z.string(), z.string()).default({}) })
    .default({ labels: {} }),
  spec: z.looseObject({
    serviceAccountName: z.string().optional(),
    automountServiceAccountToken: z.boolean().optional(),
    securityContext: z.record(z.string(), z.unknown()).default({}),
    containers: z.array(containerForm).length(1),
  }),
});

export type Container = z.output<typeof containerForm>;

/** The pods that an object of the manifests has a cluster start. */
export interface Pod {
  /** The object's own, `analytics-usage`. */
  name: string;
  isKnative: boolean;
  /** With those that Knative adds. */
  labels: Readonly<Record<string, string>>;
  /** By name, with those of Knative's queue proxy. */
  ports: Readonly<Record<string, number>>;
  spec: z.output<typeof templateForm>['spec'];
  container: Container;
}

const owners = ['apps/v1 Deployment', 'batch/v1 Job', 'serving.knative.dev/v1 Service'];
const ownerForm = z.looseObject({ spec: z.looseObject({ template: templateForm }) });

/** Every pod there may be, one for each object that has a template. */
export function podsOf(objects: readonly KubernetesObject[]): Pod[] {
  return objects.flatMap((object) => {
    const { apiVersion, kind, metadata } = object;
    if (!owners.includes(`${apiVersion} ${kind}`)) return [];
    const { template } = ownerForm.parse(object).spec;
    const [container] = template.spec.containers;
    if (container === undefined) throw new Error(`${metadata.name} has no container`);
    const isKnative = kind === 'Service';
    return [
      {
        name: metadata.name,
        isKnative,
        labels: { ...template.metadata.labels, ...(isKnative ? knativeLabels(metadata.name) : {}) },
        ports: isKnative
          ? knativePorts
          : Object.fromEntries(
              container.ports.map(({ name = '', containerPort }) => [name, containerPort]),
            ),
        spec: template.spec,
        container,
      },
    ];
  });
}

function knativeLabels(service: string): Record<string, string> {
  const revision = `${service}-00001`;
  return {
    app: revision,
    'serving.knative.dev/service': service,
    'serving.knative.dev/configuration': service,
    'serving.knative.dev/revision': revision,
  };
}

/**
 * Of a pod of Knative Serving: ours, and those of the queue proxy, through which all requests come.
 * Its names and numbers are those of knative.dev/serving/pkg/networking and its resources/queue.go.
 */
export const knativePorts = {
  'user-port': 8080,
  'http-queueadm': 8022,
  'http-autometric': 9090,
  'http-usermetric': 9091,
  'queue-port': 8012,
  'https-port': 8112,
} as const;
