import * as argo from '@kubernetes-models/argo-cd/argoproj.io/v1alpha1';
import * as istio from '@kubernetes-models/istio/networking.istio.io/v1beta1';
import * as keda from '@kubernetes-models/keda/keda.sh/v1alpha1';
import * as eventing from '@kubernetes-models/knative/eventing.knative.dev/v1';
import * as serving from '@kubernetes-models/knative/serving.knative.dev/v1';
import * as sources from '@kubernetes-models/knative/sources.knative.dev/v1';
import * as monitoring from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import * as monitoringAlpha from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1alpha1';
import * as apps from 'kubernetes-models/apps/v1';
import * as batch from 'kubernetes-models/batch/v1';
import * as networking from 'kubernetes-models/networking.k8s.io/v1';
import * as policy from 'kubernetes-models/policy/v1';
import * as core from 'kubernetes-models/v1';
import * as z from 'zod';
import type { KubernetesObject } from '../../scripts/knative/render.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { formFaults } from './form-faults.ts';

/** A class made from a kind's schema: OpenAPI for Kubernetes' own, else its CRD. */
interface Model {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly prototype: { validate(): void };
}

const models: readonly Model[] = [
  argo,
  istio,
  keda,
  eventing,
  serving,
  sources,
  monitoring,
  monitoringAlpha,
  apps,
  batch,
  networking,
  policy,
  core,
].flatMap((group): Model[] => Object.values(group));

type Check = (value: unknown) => string[];

/** Istio's v1 is the same in content; the models were made before it had that name. */
const sameAs: Readonly<Record<string, string>> = {
  'networking.istio.io/v1': 'networking.istio.io/v1beta1',
};

/**
 * Where a schema is open (Knative's volumes and filters), or older than what clusters run: Knative's
 * startup probes and delivery timeouts, KEDA's way to fall back, fields of Prometheus' ScrapeConfig.
 */
const further: readonly { kind: string; path: RegExp; check: Check }[] = [
  { kind: 'Service', path: /\/volumes\/\d+\/emptyDir$/, check: asModel(core.EmptyDirVolumeSource) },
  { kind: 'Service', path: /\/containers\/\d+\/startupProbe$/, check: asModel(core.Probe) },
  {
    kind: 'Trigger',
    path: /^\/spec\/filter\/attributes\/[a-z0-9]+$/,
    check: asForm(z.string().min(1)),
  },
  { kind: 'Trigger', path: /^\/spec\/delivery\/timeout$/, check: asForm(isoDuration()) },
  {
    kind: 'ScaledObject',
    path: /^\/spec\/fallback\/behavior$/,
    check: asForm(
      z.enum(['static', 'currentReplicas', 'currentReplicasIfHigher', 'currentReplicasIfLower']),
    ),
  },
  { kind: 'ScrapeConfig', path: /^\/spec\/scrape(Interval|Timeout)$/, check: asForm(duration()) },
  {
    kind: 'ScrapeConfig',
    path: /^\/spec\/authorization$/,
    check: asForm(
      z.strictObject({
        type: z.string().optional(),
        credentials: z.strictObject({ name: z.string().min(1), key: z.string().min(1) }),
      }),
    ),
  },
  {
    kind: 'ScrapeConfig',
    path: /^\/spec\/metricRelabelings$/,
    check: asForm(
      z.array(
        z.strictObject({
          action: z.enum(['keep', 'drop', 'replace', 'labeldrop', 'labelkeep']),
          sourceLabels: z.array(z.string()).optional(),
          regex: z.string().optional(),
          targetLabel: z.string().optional(),
          replacement: z.string().optional(),
        }),
      ),
    ),
  },
];

/**
 * What a cluster would refuse an object for, or drop from it in silence: values of a wrong type,
 * missing ones, and keys that its schema does not know. Each fault begins with its path.
 */
export function schemaFaults(object: KubernetesObject): string[] {
  const { kind } = object;
  const apiVersion = sameAs[object.apiVersion] ?? object.apiVersion;
  const model = models.find((one) => one.apiVersion === apiVersion && one.kind === kind);
  if (model === undefined) return [`/kind: no schema is known for ${apiVersion} ${kind}`];
  return faultsBy(model, { ...object, apiVersion }, ({ path, value }) => {
    const found = further.find((one) => one.kind === kind && one.path.test(path));
    return found?.check(value).map((fault) => `${path}${fault}`) ?? [`${path}: is not known`];
  });
}

/** @param onUnknown what to say of a key that the model does not know */
function faultsBy(
  model: Model,
  value: object,
  onUnknown: (unknown: { path: string; value: unknown }) => string[],
): string[] {
  const read = new Set<string>();
  const faults: string[] = [];
  const instance: object = Object.assign(Object.create(model.prototype), value);
  try {
    Reflect.apply(model.prototype.validate, watched(instance, '', read), []);
  } catch (error) {
    faults.push(messageOf(error).replaceAll(/(^|, )data/g, '$1'));
  }
  return [...faults, ...unread(value, '', read).flatMap(onUnknown)];
}

/**
 * Models do not report a key that their schema does not know: their validation, which is code made
 * from the schema, never looks at it. So it is given an object that notes what is looked at.
 */
function watched(value: object, path: string, read: Set<string>): object {
  return new Proxy(value, {
    get(target, key) {
      const child: unknown = Reflect.get(target, key);
      if (typeof key !== 'string' || !Object.hasOwn(target, key)) return child;
      read.add(`${path}/${key}`);
      return isObject(child) ? watched(child, `${path}/${key}`, read) : child;
    },
  });
}

function unread(
  value: object,
  path: string,
  read: ReadonlySet<string>,
): { path: string; value: unknown }[] {
  return Object.entries(value).flatMap(([key, child]: [string, unknown]) => {
    const childPath = `${path}/${key}`;
    if (!read.has(childPath)) return [{ path: childPath, value: child }];
    return isObject(child) ? unread(child, childPath, read) : [];
  });
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function asModel(model: Model): Check {
  return (value) => {
    if (!isObject(value)) return [': must be an object'];
    return faultsBy(model, value, ({ path }) => [`${path}: is not known`]);
  };
}

function asForm(form: z.ZodType): Check {
  return (value) => formFaults(form, value);
}

function isoDuration() {
  return z.string().regex(/^PT(\d+H)?(\d+M)?(\d+S)?$/, 'must be a duration such as PT2S');
}

function duration() {
  return z.string().regex(/^\d+(ms|s|m|h)$/, 'must be a duration such as 30s');
}
