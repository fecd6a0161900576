import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { KubernetesObject } from '../scripts/knative/render.ts';
import { readSettings, settingNames } from '../shared/platform/env.ts';
import { dataOf, environmentOf } from './support/manifest-environment.ts';
import { nodesOf } from './support/manifest-nodes.ts';
import { podsOf } from './support/manifest-pods.ts';
import { describeOverlays, secretTemplate } from './support/manifests.ts';
import { settingsRead } from './support/settings-read.ts';

/** Without a default, and yet ours to leave unset: the README says what each is for. */
const optional = new Set([
  // HTTP_PORT by default.
  'PORT',
  'HTTP_HOST',
  'S3_SSE',
  'FOCUS_PROVIDER_NAME',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  // Of the other AUTH_MODE.
  'JWT_JWKS_URL',
  'JWT_ISSUER',
  'JWT_AUDIENCE',
]);
const defaults = new Set(Object.keys(readSettings({})));
const secrets = await secretTemplate();

await describeOverlays((objects) => {
  const configured = Object.values(dataOf(objects, 'ConfigMap')).flatMap(Object.entries<string>);
  const codeOf = ({ name }: { name: string }) => settingsRead(name.replace('analytics-', ''));

  describe.each(podsOf(objects))('$name', (pod) => {
    const environment = environmentOf(pod, [...objects, ...secrets]);
    const missing = (names: Iterable<string>) =>
      [...names].filter((name) => environment[name] === undefined);

    test('starts with the settings it is given', async () => {
      const { required, knowsActors } = await codeOf(pod);
      expect(() => readSettings(environment, { knowsActors })).not.toThrow();
      expect(missing(required)).toEqual([]);
    });

    test('is given every setting that its code reads and that has no default', async () => {
      const { read } = await codeOf(pod);
      const needed = [...read].filter((name) => !defaults.has(name) && !optional.has(name));
      expect(missing(needed)).toEqual([]);
    });

    test('is given what the ConfigMaps say of its settings', async () => {
      const { read } = await codeOf(pod);
      const said = Object.fromEntries(configured.filter(([name]) => read.has(name)));
      expect(environment).toMatchObject(said);
    });

    test('is given no setting of its own that its code does not read', async () => {
      const { read } = await codeOf(pod);
      expect(pod.container.env.filter(({ name }) => !read.has(name))).toEqual([]);
    });
  });

  test('the ConfigMaps hold settings alone, each once, and some code reads it', async () => {
    const code = await Promise.all(podsOf(objects).map(codeOf));
    const read = new Set(code.flatMap((one) => [...one.read]));
    const names = configured.map(([name]) => name);
    expect(names.filter((name) => !settingNames.includes(name) || !read.has(name))).toEqual([]);
    expect(names).toEqual([...new Set(names)]);
  });

  test('every key of the secrets is used, and every one used is there', () => {
    const known = Object.entries(dataOf(secrets, 'Secret')).flatMap(([secret, keys]) =>
      Object.keys(keys).map((key) => `${secret}/${key}`),
    );
    expect([...new Set(secretKeysOf(objects))].sort()).toEqual(known.sort());
  });
});

const keyRef = z.object({ name: z.string(), key: z.string() });

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
