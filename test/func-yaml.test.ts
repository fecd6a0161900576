import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { readSettings } from '../shared/platform/env.ts';
import { messageOf } from '../shared/platform/errors.ts';

/** As func's own schema for 0.36.0 has it: no other keys, and these patterns. */
const env = z.strictObject({
  name: z
    .string()
    .regex(/^[-._a-zA-Z][-._a-zA-Z0-9]*$/)
    .optional(),
  value: z.string(),
});
const label = z.strictObject({
  key: z
    .string()
    .regex(/^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/),
  value: z.string().regex(/^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/),
});
const quantity = z.string().regex(/^[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*$/);
const funcYaml = z.strictObject({
  specVersion: z.literal('0.36.0'),
  name: z.string().regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/),
  runtime: z.literal('node'),
  created: z.iso.datetime(),
  namespace: z.literal('analytics'),
  invoke: z.enum(['http', 'cloudevent']).optional(),
  build: z.strictObject({ builder: z.enum(['pack', 's2i']) }),
  run: z.strictObject({ envs: z.array(env) }),
  deploy: z
    .strictObject({
      namespace: z.literal('analytics'),
      labels: z.array(label),
      serviceAccountName: z.string(),
      healthEndpoints: z.strictObject({ liveness: z.string(), readiness: z.string() }),
      options: z.strictObject({
        scale: z.strictObject({
          min: z.int().min(0),
          max: z.int().min(0),
          metric: z.enum(['concurrency', 'rps']),
          target: z.number().min(0),
        }),
        resources: z.strictObject({
          requests: z.strictObject({ cpu: quantity, memory: quantity }),
          limits: z.strictObject({ cpu: quantity, memory: quantity }),
        }),
      }),
    })
    .optional(),
});

const folder = new URL('../functions/', import.meta.url);
const names = readdirSync(folder);
/** What func builds and does not deploy. */
const images = ['bootstrap', 'consumer'];

function read(name: string): unknown {
  return parse(readFileSync(new URL(`${name}/func.yaml`, folder), 'utf8'));
}

/** Whether the code would notice a setting of that name. */
function isSetting(name: string): boolean {
  try {
    return name in readSettings({ [name]: 'x' });
  } catch (error) {
    return messageOf(error).includes(name);
  }
}

test('a name that is no setting is not taken for one', () => {
  expect(['DATABASE_URL', 'S3_SECRET_KEY', 'DATABASE_URI'].map(isSetting)).toEqual([
    true,
    true,
    false,
  ]);
});

describe.each(names)('func.yaml of %s', (name) => {
  test('has what func knows, and nothing else', () => {
    const { created, invoke, deploy } = funcYaml.parse(read(name));
    expect(new Date(created).getTime()).toBeLessThan(Date.now());
    const isDeployed = !images.includes(name);
    expect({ invoke: invoke !== undefined, deploy: deploy !== undefined }).toEqual({
      invoke: isDeployed,
      deploy: isDeployed,
    });
  });

  test('is named after its folder, like its package and its service account', () => {
    const { name: given, deploy } = funcYaml.parse(read(name));
    expect(given).toBe(`analytics-${name}`);
    if (deploy !== undefined) expect(deploy.serviceAccountName).toBe(given);
    const manifest: unknown = JSON.parse(
      readFileSync(new URL(`${name}/package.json`, folder), 'utf8'),
    );
    expect(manifest).toEqual({
      name: given,
      version: '0.1.0',
      private: true,
      type: 'module',
      engines: { node: '24.x' },
      scripts: { start: 'node dist/index.cjs' },
    });
  });

  test('gives nothing that the code does not read, and secrets only by reference', () => {
    const { run } = funcYaml.parse(read(name));
    const whole = run.envs.filter((one) => one.name === undefined).map(({ value }) => value);
    expect(whole[0]).toBe('{{ configMap:analytics-settings }}');
    // An endpoint without keys ends a start, so the two come together.
    const hasKeys = run.envs.some((one) => one.name === 'S3_SECRET_KEY');
    expect(whole.slice(1)).toEqual(hasKeys ? ['{{ configMap:analytics-object-store }}'] : []);
    for (const { name: variable, value } of run.envs) {
      if (variable === undefined) continue;
      expect(isSetting(variable), variable).toBe(true);
      expect(value).toMatch(/^\{\{ secret:analytics-[a-z0-9]+:[a-z-]+ \}\}$/);
    }
  });

  test('keeps a Knative Service inside the cluster', () => {
    const { deploy } = funcYaml.parse(read(name));
    if (images.includes(name)) return;
    expect(deploy?.labels).toContainEqual({
      key: 'networking.knative.dev/visibility',
      value: 'cluster-local',
    });
  });
});
