import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import * as z from 'zod';

const probePath = z.string().startsWith('/');
const quantities = z.strictObject({ cpu: z.string(), memory: z.string() });

/**
 * As much of func's schema as we use. Strict, so that nothing in a func.yaml is left out of the
 * manifest in silence; what only concerns building is let through.
 */
const funcYaml = z.strictObject({
  specVersion: z.string(),
  name: z.string(),
  runtime: z.string(),
  created: z.string(),
  registry: z.string().optional(),
  namespace: z.string().optional(),
  invoke: z.enum(['http', 'cloudevent']),
  build: z.unknown(),
  run: z.strictObject({
    envs: z.array(z.strictObject({ name: z.string().optional(), value: z.string() })),
  }),
  deploy: z.strictObject({
    namespace: z.string(),
    annotations: z.record(z.string(), z.string()).default({}),
    labels: z.array(z.strictObject({ key: z.string(), value: z.string() })).default([]),
    serviceAccountName: z.string(),
    healthEndpoints: z.strictObject({ liveness: probePath, readiness: probePath }),
    options: z.strictObject({
      scale: z.strictObject({
        min: z.int().min(0),
        max: z.int().min(1),
        metric: z.enum(['concurrency', 'rps']),
        target: z.number().positive(),
        utilization: z.number().positive().optional(),
      }),
      resources: z.strictObject({
        requests: quantities,
        limits: quantities.extend({ concurrency: z.int().min(0).optional() }),
      }),
    }),
  }),
});

export type FuncYaml = z.output<typeof funcYaml>;

/** Reads `functions/NAME/func.yaml`; throws as `parseFuncYaml` does. */
export function readFuncYaml(name: string): FuncYaml {
  const path = `functions/${name}/func.yaml`;
  return parseFuncYaml(
    path,
    readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8'),
  );
}

/** @throws Error that names the file and every fault. */
export function parseFuncYaml(path: string, text: string): FuncYaml {
  const parsed = funcYaml.safeParse(parse(text));
  if (parsed.success) return parsed.data;
  throw new Error(`${path} does not say what a manifest needs:\n${z.prettifyError(parsed.error)}`);
}
