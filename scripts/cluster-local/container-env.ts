import type { Container } from './manifests.ts';

export type Keys = Readonly<Record<string, string>>;

/** What containers refer to, by name. */
export interface References {
  configMaps: Readonly<Record<string, Keys>>;
  secrets: Readonly<Record<string, Keys>>;
}

/**
 * The variables that the manifest gives a container: all keys of its `envFrom`, then its `env`.
 *
 * @throws Error that names every reference to what is not there, with which a kubelet would not
 *   start the container either.
 */
export function containerEnv(container: Container, references: References): Record<string, string> {
  const env: Record<string, string> = {};
  const missing: string[] = [];
  const keysOf = (from: keyof References, name: string) => references[from][name];

  for (const { configMapRef, secretRef } of container.envFrom) {
    for (const [from, ref] of [
      ['configMaps', configMapRef],
      ['secrets', secretRef],
    ] as const) {
      if (ref === undefined) continue;
      const keys = keysOf(from, ref.name);
      if (keys !== undefined) Object.assign(env, keys);
      else if (!ref.optional) missing.push(`${wordFor[from]} ${ref.name}`);
    }
  }
  for (const { name, value = '', valueFrom } of container.env) {
    if (valueFrom === undefined) {
      env[name] = value;
      continue;
    }
    for (const [from, ref] of [
      ['configMaps', valueFrom.configMapKeyRef],
      ['secrets', valueFrom.secretKeyRef],
    ] as const) {
      if (ref === undefined) continue;
      const found = keysOf(from, ref.name)?.[ref.key];
      if (found !== undefined) env[name] = found;
      else if (!ref.optional)
        missing.push(`${name}: key ${ref.key} of ${wordFor[from]} ${ref.name}`);
    }
  }
  if (missing.length > 0) throw new Error(`there is no ${missing.join(', nor ')}`);
  return env;
}

const wordFor: Record<keyof References, string> = { configMaps: 'ConfigMap', secrets: 'Secret' };
