import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { KubernetesObject } from '../scripts/knative/render.ts';
import { readSettings, settingNames } from '../shared/env.ts';
import { nodesOf } from './support/manifest-nodes.ts';
import { type Pod, podsOf } from './support/manifest-pods.ts';
import { renderedOverlays, secretTemplate } from './support/manifests.ts';
import { settingsRead } from './support/settings-read.ts';

type Data = Readonly<Record<string, string>>;
const dataForm = z.record(z.string(), z.string());
const binding = z.looseObject({ subject: z.looseObject({ name: z.string() }) });
const keyRef = z.object({ name: z.string(), key: z.string() });

/** Ours to leave unset: what each function does without is in the README. */
const optional = new Set([
  // Knative's PORT, or HTTP_PORT by default.
  'PORT',
  'HTTP_HOST',
  'S3_SSE',
  'FOCUS_PROVIDER_NAME',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
]);
const secrets = Object.fromEntries(
  (await secretTemplate()).map(({ metadata, stringData }) => [
    metadata.name,
    dataForm.parse(stringData),
  ]),
);
const defaults = new Set(Object.keys(readSettings({})));

/** The environment that a cluster starts a pod with. A name or key that is not there is an Error. */
function environmentOf({ container }: Pod, configMaps: Readonly<Record<string, Data>>): Data {
  const keyOf = (kind: string, from: Readonly<Record<string, Data>>, name: string, key: string) => {
    const value = from[name]?.[key];
    if (value === undefined) throw new Error(`there is no key ${key} in a ${kind} ${name}`);
    return value;
  };
  const allOf = (kind: string, from: Readonly<Record<string, Data>>, name: string) => {
    const all = from[name];
    if (all === undefined) throw new Error(`there is no ${kind} ${name}`);
    return Object.entries(all);
  };
  return Object.fromEntries([
    ...container.envFrom.flatMap(({ configMapRef, secretRef }) => [
      ...(configMapRef === undefined ? [] : allOf('ConfigMap', configMaps, configMapRef.name)),
      ...(secretRef === undefined ? [] : allOf('Secret', secrets, secretRef.name)),
    ]),
    ...container.env.map(({ name, value, valueFrom }): [string, string] => {
      const { secretKeyRef: secret, configMapKeyRef: config } = valueFrom ?? {};
      if (secret !== undefined) return [name, keyOf('Secret', secrets, secret.name, secret.key)];
      if (config === undefined) return [name, value ?? ''];
      return [name, keyOf('ConfigMap', configMaps, config.name, config.key)];
    }),
  ]);
}

describe.each(await renderedOverlays())('$overlay', ({ objects }) => {
  const configMaps = Object.fromEntries(
    objects
      .filter(({ kind }) => kind === 'ConfigMap')
      .map(({ metadata, data }) => [metadata.name, dataForm.parse(data)]),
  );
  const configured = Object.values(configMaps).flatMap((data) => Object.keys(data));

  describe.each(podsOf(objects))('$name', (pod) => {
    const code = settingsRead(pod.name.replace(/^analytics-/, ''));
    const environment = { ...platformGives(pod, objects), ...environmentOf(pod, configMaps) };
    const missing = (names: Iterable<string>) =>
      [...names].filter((name) => environment[name] === undefined);

    test('starts with the settings it is given', async () => {
      expect(() => readSettings(environment)).not.toThrow();
      expect(missing((await code).required)).toEqual([]);
    });

    test('is given every setting that its code reads and that has no default', async () => {
      const { read } = await code;
      expect(missing(read).filter((name) => !defaults.has(name) && !optional.has(name))).toEqual(
        [],
      );
    });

    test('is given what the ConfigMaps say of its settings', async () => {
      const { read } = await code;
      expect(missing(configured.filter((name) => read.has(name)))).toEqual([]);
    });

    test('is given no setting of its own that its code does not read', async () => {
      const { read } = await code;
      expect(pod.container.env.filter(({ name }) => !read.has(name))).toEqual([]);
    });
  });

  test('the ConfigMaps hold settings alone, each of which some code reads', async () => {
    const programs = podsOf(objects).map(({ name }) => settingsRead(name.slice(10)));
    const read = new Set((await Promise.all(programs)).flatMap((one) => [...one.read]));
    for (const name of configured) {
      expect(settingNames).toContain(name);
      expect([...read]).toContain(name);
    }
  });

  test('every key of the secrets is used, and every one used is there', () => {
    const used = new Set(secretKeysOf(objects));
    const known = Object.entries(secrets).flatMap(([secret, keys]) =>
      Object.keys(keys).map((key) => `${secret}/${key}`),
    );
    expect([...used].sort()).toEqual(known.sort());
  });
});

/** Knative says where to listen, and a SinkBinding where events go. */
function platformGives(pod: Pod, objects: readonly KubernetesObject[]): Data {
  const isBound = objects.some(
    ({ kind, spec }) => kind === 'SinkBinding' && binding.parse(spec).subject.name === pod.name,
  );
  return {
    ...(pod.isKnative ? { PORT: '8080' } : {}),
    ...(isBound ? { K_SINK: 'http://broker-ingress.knative-eventing.svc.cluster.local' } : {}),
  };
}

/** `secret/key`, wherever an object refers to one. */
function secretKeysOf(objects: readonly KubernetesObject[]): string[] {
  return objects.flatMap((object) =>
    [...nodesOf(object)].flatMap(({ path, value }) => {
      if (!/\/(secretKeyRef|secretTargetRef\/\d+)$/.test(path)) return [];
      const { name, key } = keyRef.parse(value);
      return [`${name}/${key}`];
    }),
  );
}
