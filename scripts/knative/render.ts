import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { runCommand } from '../services/run-command.ts';

/** The clusters there are manifests for: folders of `knative/overlays`. */
export const overlays = ['development', 'production'] as const;
export type Overlay = (typeof overlays)[number];

const kubernetesObject = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
});

/** Any Kubernetes object: what all have in common is typed, the rest is for its reader to parse. */
export type KubernetesObject = z.output<typeof kubernetesObject>;

/**
 * What `kubectl apply -k` would send for an overlay.
 *
 * @throws Error with kubectl's words when the overlay does not render, or kubectl is missing.
 */
export async function renderOverlay(overlay: Overlay): Promise<KubernetesObject[]> {
  const folder = fileURLToPath(new URL(`../../knative/overlays/${overlay}`, import.meta.url));
  return parseObjects(await runCommand('kubectl', ['kustomize', folder], { timeoutMs: 60_000 }));
}

/** @throws Error naming what is no YAML, or no Kubernetes object. */
export function parseObjects(text: string): KubernetesObject[] {
  return parseAllDocuments(text).map((document) => {
    const [fault] = document.errors;
    if (fault !== undefined) throw fault;
    return kubernetesObject.parse(document.toJS());
  });
}
