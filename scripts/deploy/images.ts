import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isSeq, parse, parseDocument, stringify, YAMLSeq } from 'yaml';
import * as z from 'zod';
import type { Overlay } from '../knative/render.ts';
import type { DeployedFunction } from './functions.ts';
import { command, file, root, type Step } from './step.ts';
import { copyUpload } from './upload.ts';

/** Where images are pushed, and by which tag they are told from those before. */
export interface Images {
  registry: string;
  tag: string;
}

export function imageOf({ object }: DeployedFunction, { registry, tag }: Images): string {
  return `${registry}/${object}:${tag}`;
}

/**
 * A folder for an environment, so that two deployments are not in each other's way, and the steps
 * that put a copy of each function into it.
 */
export function withCopies(
  environment: Overlay,
  functions: readonly DeployedFunction[],
): { folder: string; copies: Step[] } {
  const folder = `.data/deploy/${environment}`;
  return { folder, copies: functions.map(({ name }) => copyUpload(name, join(folder, name))) };
}

export function buildAndPush(folder: string, one: DeployedFunction, images: Images): Step {
  const path = join(folder, one.name);
  return command(['func', 'build', '--path', path, '--image', imageOf(one, images), '--push']);
}

/**
 * An overlay with these images, in a folder three levels below the root: the committed overlay
 * stays as it is.
 *
 * @param isWhole false leaves only what is named after the functions
 */
export function overlayWithImages(
  folder: string,
  overlay: Overlay,
  functions: readonly DeployedFunction[],
  images: Images,
  isWhole: boolean,
): Step {
  const named = overlayFile.parse(parse(readOverlay(overlay))).images;
  const text = stringify({
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    // kustomize takes no absolute paths.
    resources: [`../../../knative/overlays/${overlay}`],
    images: functions.map((one) => ({
      ...entryOf(one, images),
      // Where the overlay names images itself, its manifests have only those names left.
      name: named.find(({ name }) => name === one.object)?.newName ?? one.object,
    })),
    ...(isWhole ? {} : { patches: withoutOthers(functions) }),
  });
  return file(join(folder, 'kustomization.yaml'), text);
}

/** kustomize can only take away, and cannot say "all but": so those to stay are marked for a while. */
function withoutOthers(functions: readonly DeployedFunction[]) {
  const mark = 'analytics-service/stays';
  const any = { apiVersion: 'any', kind: 'any' };
  const names = `(${functions.map(({ object }) => object).join('|')})`;
  return [
    {
      target: { name: names },
      patch: stringify({ ...any, metadata: { name: 'any', annotations: { [mark]: 'true' } } }),
    },
    {
      target: { annotationSelector: `${mark}!=true` },
      patch: stringify({ $patch: 'delete', ...any, metadata: { name: 'any' } }),
    },
    {
      target: { annotationSelector: `${mark}=true` },
      patch: stringify([
        { op: 'remove', path: `/metadata/annotations/${mark.replace('/', '~1')}` },
      ]),
    },
  ];
}

/** The same in the committed overlay itself, whose comments and other images stay. */
export function imagesInOverlay(
  overlay: Overlay,
  functions: readonly DeployedFunction[],
  images: Images,
): Step {
  const document = parseDocument(readOverlay(overlay));
  const found = document.get('images');
  const list = isSeq(found) ? found : new YAMLSeq();
  for (const one of functions) {
    const entry = document.createNode(entryOf(one, images));
    const at = list.items.findIndex((item) => isMap(item) && item.get('name') === one.object);
    if (at === -1) list.add(entry);
    else list.set(at, entry);
  }
  document.set('images', list);
  return file(pathOf(overlay), document.toString({ lineWidth: 0 }));
}

const overlayFile = z.looseObject({
  images: z.array(z.looseObject({ name: z.string(), newName: z.string().optional() })).default([]),
});

function readOverlay(overlay: Overlay): string {
  return readFileSync(join(root, pathOf(overlay)), 'utf8');
}

function pathOf(overlay: Overlay): string {
  return `knative/overlays/${overlay}/kustomization.yaml`;
}

function entryOf({ object }: DeployedFunction, { registry, tag }: Images) {
  return { name: object, newName: `${registry}/${object}`, newTag: tag };
}
