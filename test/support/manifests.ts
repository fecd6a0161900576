import { readdir, readFile } from 'node:fs/promises';
import { describe, inject, test } from 'vitest';
import {
  type KubernetesObject,
  type Overlay,
  overlays,
  parseObjects,
  renderOverlay,
} from '../../scripts/knative/render.ts';
// Brings the types of what global-setup provides.
import type {} from './global-setup.ts';

export interface Rendered {
  overlay: Overlay;
  objects: readonly KubernetesObject[];
}

const knative = new URL('../../knative/', import.meta.url);

/** Every overlay as a cluster would be given it; none where there is no kubectl to render it. */
export async function renderedOverlays(): Promise<Rendered[]> {
  if (!inject('hasKubectl')) return [];
  return Promise.all(
    overlays.map(async (overlay) => ({ overlay, objects: await renderOverlay(overlay) })),
  );
}

/** Makes a suite of tests for each overlay, or a skipped test that says why there is none. */
export async function describeOverlays(
  suite: (objects: Rendered['objects'], overlay: Overlay) => void,
): Promise<void> {
  const rendered = await renderedOverlays();
  if (rendered.length === 0) test.skip('there is no kubectl here to render the manifests');
  for (const { overlay, objects } of rendered) describe(overlay, () => suite(objects, overlay));
}

/** The secrets that an operator makes: names and keys are real, values are placeholders. */
export async function secretTemplate(): Promise<KubernetesObject[]> {
  return parseObjects(await readFile(new URL('secrets.example.yaml', knative), 'utf8'));
}

/** How Argo CD is told of the overlays. */
export async function argoApplications(): Promise<KubernetesObject[]> {
  const folder = new URL('argocd/', knative);
  const texts = (await readdir(folder)).map((file) => readFile(new URL(file, folder), 'utf8'));
  return (await Promise.all(texts)).flatMap(parseObjects);
}
