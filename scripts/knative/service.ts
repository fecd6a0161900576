import type { IService } from '@kubernetes-models/knative/serving.knative.dev/v1';
import type { FuncYaml } from './func-yaml.ts';
import type { RevisionSettings } from './revisions.ts';

/**
 * The Knative Service of a function: what `func deploy` makes of its func.yaml, and what func
 * cannot say. func's own `BUILT` and `ADDRESS` are left out, which nothing here reads, and so are
 * its annotations for Dapr.
 */
export function knativeService(func: FuncYaml, revision: RevisionSettings): IService {
  const { annotations, serviceAccountName, healthEndpoints, options } = func.deploy;
  const { concurrency, ...limits } = options.resources.limits;
  const labels = labelsOf(func);
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: func.name, labels, ...(isEmpty(annotations) ? {} : { annotations }) },
    spec: {
      template: {
        metadata: { labels, annotations: { ...annotations, ...autoscaling(func, revision) } },
        spec: {
          serviceAccountName,
          timeoutSeconds: revision.timeoutSeconds,
          // Event-driven functions answer when the work is done; by default the first byte is
          // waited for no longer than 300 s.
          responseStartTimeoutSeconds: revision.timeoutSeconds,
          ...(concurrency === undefined ? {} : { containerConcurrency: concurrency }),
          containers: [
            {
              image: func.name,
              ...environment(func),
              livenessProbe: { httpGet: { path: healthEndpoints.liveness } },
              readinessProbe: { httpGet: { path: healthEndpoints.readiness } },
              resources: { requests: options.resources.requests, limits },
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                readOnlyRootFilesystem: true,
                runAsNonRoot: true,
                seccompProfile: { type: 'RuntimeDefault' },
              },
            },
          ],
        },
      },
    },
  };
}

function labelsOf({ name, runtime, deploy }: FuncYaml): Record<string, string> {
  return {
    'function.knative.dev': 'true',
    'function.knative.dev/name': name,
    'function.knative.dev/runtime': runtime,
    // Their names of old, by which func still finds its functions.
    'boson.dev/function': 'true',
    'boson.dev/runtime': runtime,
    ...Object.fromEntries(deploy.labels.map(({ key, value }) => [key, value])),
  };
}

function autoscaling(
  { deploy }: FuncYaml,
  { lastPodRetention, scaleDownDelay }: RevisionSettings,
): Record<string, string> {
  const { min, max, metric, target, utilization } = deploy.options.scale;
  const given = {
    'min-scale': min,
    'max-scale': max,
    metric,
    target,
    'target-utilization-percentage': utilization,
    'scale-to-zero-pod-retention-period': lastPodRetention,
    'scale-down-delay': scaleDownDelay,
  };
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) =>
      value === undefined ? [] : [[`autoscaling.knative.dev/${name}`, String(value)]],
    ),
  );
}

const reference = /^\{\{ *(secret|configMap):([a-z0-9-]+)(?::([A-Za-z0-9._-]+))? *\}\}$/;

/** func's environment: text, a key of a Secret or ConfigMap, or all keys of one. */
function environment({ name, run }: FuncYaml) {
  const env = [];
  const envFrom = [];
  for (const { name: variable, value } of run.envs) {
    const [, kind, source, key] = reference.exec(value) ?? [];
    if (variable === undefined) {
      if (source === undefined || key !== undefined) {
        throw new Error(`${name}: ${value} must be a whole configMap or secret, or have a name`);
      }
      envFrom.push(
        kind === 'secret' ? { secretRef: { name: source } } : { configMapRef: { name: source } },
      );
    } else if (source === undefined) {
      if (value.startsWith('{{')) throw new Error(`${name}: ${variable}: ${value} is not known`);
      env.push({ name: variable, value });
    } else if (key === undefined) {
      throw new Error(`${name}: ${variable}: ${value} must name a key`);
    } else {
      const from = { name: source, key };
      env.push({
        name: variable,
        valueFrom: kind === 'secret' ? { secretKeyRef: from } : { configMapKeyRef: from },
      });
    }
  }
  return { env, envFrom };
}

function isEmpty(record: Readonly<Record<string, string>>): boolean {
  return Object.keys(record).length === 0;
}
