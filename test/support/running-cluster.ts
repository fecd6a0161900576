import { z } from 'zod';
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
  const { name, namespace } = object.metadata;
  if (object.kind === 'Deployment') {
    const { template } = deploymentForm.parse(object).spec;
    return pod(`${name}-5d4c7b9f6-x2v8q`, namespace, template.metadata.labels, template.spec);
  }
  if (object.apiVersion !== 'serving.knative.dev/v1' || object.kind !== 'Service') return undefined;
  const revision = `${name}-00001`;
  return pod(
    `${revision}-deployment-6f7d8c9b5-k4j2h`,
    namespace,
    {
      app: revision,
      'serving.knative.dev/service': name,
      'serving.knative.dev/configuration': name,
      'serving.knative.dev/revision': revision,
    },
    { containers: [{ name: 'user-container' }, { name: 'queue-proxy' }] },
  );
}

function pod(
  name: string,
  namespace = 'default',
  labels: Record<string, string>,
  spec: { containers: { name: string }[] },
): KubernetesObject {
  const containerStatuses = spec.containers.map((container) => ({
    name: container.name,
    ready: true,
    restartCount: 0,
    state: { running: {} },
  }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec,
    status: { phase: 'Running', containerStatuses },
  };
}
