import * as z from 'zod';
import type { KubernetesObject } from '../../scripts/knative/render.ts';
import type { Pod } from './manifest-pods.ts';

export type Data = Readonly<Record<string, string>>;

const dataForm = z.record(z.string(), z.string());
const binding = z.looseObject({ subject: z.looseObject({ name: z.string() }) });

/** What Secrets or ConfigMaps hold, by name. */
export function dataOf(
  objects: readonly KubernetesObject[],
  kind: 'Secret' | 'ConfigMap',
): Readonly<Record<string, Data>> {
  return Object.fromEntries(
    objects
      .filter((object) => object.kind === kind)
      .map((object) => {
        const data = kind === 'Secret' ? object.stringData : object.data;
        return [object.metadata.name, dataForm.parse(data)];
      }),
  );
}

/**
 * The environment that a cluster starts a pod with.
 *
 * @param objects the overlay's, and the Secrets
 * @throws Error for a name or a key that is not there.
 */
export function environmentOf(pod: Pod, objects: readonly KubernetesObject[]): Data {
  const sources = { Secret: dataOf(objects, 'Secret'), ConfigMap: dataOf(objects, 'ConfigMap') };
  const all = (kind: keyof typeof sources, ref?: { name: string }) => {
    if (ref === undefined) return [];
    const data = sources[kind][ref.name];
    if (data === undefined) throw new Error(`there is no ${kind} ${ref.name}`);
    return Object.entries(data);
  };
  const one = (kind: keyof typeof sources, { name, key }: { name: string; key: string }) => {
    const value = sources[kind][name]?.[key];
    if (value === undefined) throw new Error(`there is no key ${key} in a ${kind} ${name}`);
    return value;
  };
  const { envFrom, env } = pod.container;
  return Object.fromEntries([
    ...platformGives(pod, objects),
    ...envFrom.flatMap(({ configMapRef, secretRef }) => [
      ...all('ConfigMap', configMapRef),
      ...all('Secret', secretRef),
    ]),
    ...env.map(({ name, value = '', valueFrom: { secretKeyRef, configMapKeyRef } = {} }) => {
      if (secretKeyRef !== undefined) return [name, one('Secret', secretKeyRef)];
      if (configMapKeyRef !== undefined) return [name, one('ConfigMap', configMapKeyRef)];
      return [name, value];
    }),
  ]);
}

/** Knative says where to listen and by which name, and a SinkBinding where events go. */
function platformGives(pod: Pod, objects: readonly KubernetesObject[]): [string, string][] {
  const isBound = objects.some(
    ({ kind, spec }) => kind === 'SinkBinding' && binding.parse(spec).subject.name === pod.name,
  );
  const given: [string, string][] = [];
  if (pod.isKnative) given.push(['PORT', '8080'], ['K_SERVICE', pod.name]);
  if (isBound) given.push(['K_SINK', 'http://broker-ingress.example']);
  return given;
}
