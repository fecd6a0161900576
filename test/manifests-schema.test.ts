import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { generatedManifests } from '../scripts/knative/files.ts';
import type { KubernetesObject } from '../scripts/knative/render.ts';
import { schemaFaults } from './support/manifest-schema.ts';
import { valueFaults } from './support/manifest-values.ts';
import { argoApplications, describeOverlays, secretTemplate } from './support/manifests.ts';

const faultsOf = (object: KubernetesObject) => [...schemaFaults(object), ...valueFaults(object)];
const titled = (objects: readonly KubernetesObject[]) =>
  objects.map((object) => ({ title: `${object.kind} ${object.metadata.name}`, object }));

await describeOverlays((objects) => {
  test.each(titled(objects))('a cluster takes $title as it is', ({ object }) => {
    expect(faultsOf(object)).toEqual([]);
  });

  test('no object is there twice', () => {
    const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names).toEqual([...new Set(names)]);
  });
});

const beside = [...(await secretTemplate()), ...(await argoApplications())];

test.each(titled(beside))('a cluster takes $title as it is', ({ object }) => {
  expect(faultsOf(object)).toEqual([]);
});

test.each(generatedManifests())('$path is as npm run manifests writes it', async (generated) => {
  const file = new URL(`../${generated.path}`, import.meta.url);
  expect(await readFile(file, 'utf8')).toBe(generated.text);
});
