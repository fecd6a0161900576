import * as z from 'zod';
import type { KubernetesObject } from '../../scripts/knative/render.ts';

/**
 * The manifests' objects, with one pod for each Deployment and Knative Service, as the cluster's
 * own controllers would make them: labels and names of containers are the platform's.
 */
export function runningCluster(manifests: readonly KubernetesObject[]): KubernetesObject[] {
  return [...manifests, ...manifests.flatMap((object) => podOf(object) ?? [])];
}

const deploymentForm = z.object({
  spec: z.object({
    template: z.object({
      metadata: z.object({ labels: z.record(z.string(), z.string()) }),
      spec: z.object({ containers: z.array(z.looseObject({ name: z.string() })) }),
    }),
  }),
});

function podOf(object: KubernetesObject): KubernetesObject | undefined {
  const { name, namespace = 'default' } = object.metadata;
  if (object.kind === 'Deployment') {
    const { metadata, spec } = deploymentForm.parse(object).spec.template;
    return pod({ name: `${name}-5d4c7b9f6-x2v8q`, namespace, labels: metadata.labels }, spec);
  }
  if (object.apiVersion !== 'serving.knative.dev/v1' || object.kind !== 'Service') return undefined;
  const revision = `${name}-00001`;
  const labels = {
    app: revision,
    'serving.knative.dev/service': name,
    'serving.knative.dev/configuration': name,
    'serving.knative.dev/revision': revision,
  };
  return pod(
    { name: `${revision}-deployment-6f7d8c9b5-k4j2h`, namespace, labels },
    { containers: [{ name: 'user-container' }, { name: 'queue-proxy' }] },
  );
}

/** A pod that is well. */
function pod(
  metadata: KubernetesObject['metadata'],
  spec: { containers: { name: string }[] },
): KubernetesObject {
  const containerStatuses = spec.containers.map(({ name }) => ({
    name,
    ready: true,
    restartCount: 0,
    state: { running: {} },
  }));
  const status = { phase: 'Running', containerStatuses };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec, status };
}
