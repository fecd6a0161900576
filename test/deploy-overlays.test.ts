import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { chooseFunctions } from '../scripts/deploy/functions.ts';
import { overlayWithImages } from '../scripts/deploy/images.ts';
import { root } from '../scripts/deploy/step.ts';
import {
  type KubernetesObject,
  type Overlay,
  overlays,
  parseObjects,
} from '../scripts/knative/render.ts';
import { runCommand } from '../scripts/services/run-command.ts';

const folder = `.data/deploy/test-${randomUUID()}`;
const images = { registry: 'registry.example.com/team', tag: 'v7' };
const all = chooseFunctions(['all']);

afterAll(() => rm(join(root, folder), { recursive: true, force: true }));

async function rendered(
  overlay: Overlay,
  functions: typeof all,
  isWhole: boolean,
): Promise<KubernetesObject[]> {
  await overlayWithImages(folder, overlay, functions, images, isWhole).run();
  const text = await runCommand('kubectl', ['kustomize', join(root, folder)], {
    timeoutMs: 60_000,
  });
  return parseObjects(text);
}

const stageOf = ({ metadata }: KubernetesObject) => metadata.labels?.['analytics-service/stage'];
const imagesIn = (object: KubernetesObject) =>
  [...JSON.stringify(object).matchAll(/"image":"([^"]+)"/g)].map(([, image]) => image);

describe.each(overlays)('the overlay of %s', (overlay) => {
  test('is applied in three stages, with the images that were pushed', async () => {
    const objects = await rendered(overlay, all, true);
    for (const object of objects) {
      expect(['prepare', 'bootstrap', 'run'], object.metadata.name).toContain(stageOf(object));
    }
    const found = objects.flatMap((object) =>
      imagesIn(object).map((image) => [object.metadata.name, image, stageOf(object)]),
    );
    expect(found.toSorted()).toEqual(
      all
        .map(({ object, form }) => [
          object,
          `${images.registry}/${object}:${images.tag}`,
          form === 'job' ? 'bootstrap' : 'run',
        ])
        .toSorted(),
    );
  });

  test.each(all)('deploys $name and nothing else', async (one) => {
    const objects = await rendered(overlay, [one], false);
    expect(new Set(objects.map(({ metadata }) => metadata.name))).toEqual(new Set([one.object]));
    const kinds = objects.filter((object) => stageOf(object) !== 'prepare').map(({ kind }) => kind);
    const expected = {
      service: ['Service'],
      deployment: ['Deployment', 'ScaledObject'],
      job: ['Job'],
    };
    expect(kinds).toEqual(expect.arrayContaining(expected[one.form]));
    expect(JSON.stringify(objects)).not.toContain('analytics-service/stays');
  });
});
