import { readFileSync } from 'node:fs';
import * as z from 'zod';

const json = z.record(z.string(), z.unknown());
const referenced = z.strictObject({ $ref: z.string().startsWith('#/components/headers/') });
const header = z.object({ required: z.boolean(), schema: json });
const parameter = z.object({
  name: z.string(),
  in: z.enum(['query', 'header']),
  required: z.boolean(),
  schema: json,
});
const response = z.strictObject({
  description: z.string(),
  headers: z.record(z.string(), z.union([referenced, header])),
  content: z
    .record(
      z.string(),
      z.object({ schema: json, examples: z.record(z.string(), z.object({ value: z.unknown() })) }),
    )
    .default({}),
});
const operation = z.object({
  operationId: z.string(),
  'x-roles': z.array(z.string()).min(1).optional(),
  security: z.array(json),
  parameters: z.array(z.union([z.strictObject({ $ref: z.string() }), parameter])).default([]),
  requestBody: z.object({ content: z.record(z.string(), z.unknown()) }).optional(),
  responses: z.record(z.string(), response),
});
const documentForm = z.object({
  servers: z.tuple([z.object({ url: z.string() })]),
  paths: z.record(z.string(), z.partialRecord(z.enum(['get', 'post']), operation)),
  components: z.object({
    schemas: z.record(z.string(), json),
    headers: z.record(z.string(), header),
  }),
});

/** The document as it is served, as text. */
export const documentText = readFileSync(
  new URL('../../docs/openapi.json', import.meta.url),
  'utf8',
);
const document = documentForm.parse(JSON.parse(documentText));
export const basePath = document.servers[0].url;

export interface DocumentedOperation extends z.output<typeof operation> {
  /** Such as `GET /orgs/{orgId}/usage`. */
  name: string;
  method: string;
  path: string;
}

export const documentedOperations: readonly DocumentedOperation[] = Object.entries(
  document.paths,
).flatMap(([path, methods]) =>
  Object.entries(methods).map(([verb, one]) => {
    const method = verb.toUpperCase();
    return { name: `${method} ${path}`, method, path, ...one };
  }),
);

/** The query parameters of an operation. */
export function queryParameters({ parameters }: DocumentedOperation) {
  return parameters.flatMap((one) => ('in' in one && one.in === 'query' ? [one] : []));
}

/**
 * Everything that an operation takes from outside: `path orgId`, `query start`, `header
 * Idempotency-Key`, and `body models`, a field of its JSON.
 */
export function inputsOf({ path, parameters, requestBody }: DocumentedOperation): string[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => `path ${name}`);
  const named = parameters.flatMap((one) => ('in' in one ? [`${one.in} ${one.name}`] : []));
  const body = JSON.stringify(requestBody?.content['application/json'] ?? null);
  const fields = [...body.matchAll(/"#\/components\/schemas\/(\w+)"/g)].flatMap(([, schema = '']) =>
    Object.keys(json.parse(document.components.schemas[schema]?.properties ?? {})),
  );
  return [...new Set([...inPath, ...named, ...fields.map((name) => `body ${name}`)])];
}

/** The headers of a documented response: whether a value is one that the document allows. */
export function headerChecks(of: z.output<typeof response>): [name: string, z.ZodType][] {
  return Object.entries(of.headers).map(([name, given]) => {
    const { schema, required } =
      '$ref' in given
        ? header.parse(document.components.headers[given.$ref.split('/').at(-1) ?? ''])
        : given;
    const form = z.fromJSONSchema(schema);
    // A header is text, whatever it means.
    const read = z.string().transform((text) => (schema.type === 'integer' ? Number(text) : text));
    const present = read.refine((value) => form.safeParse(value).success);
    return [name, required ? present : present.nullable()];
  });
}

/** Which refusal a response's example shows: its type for programs, its title for people. */
export function refusalExample({ content }: z.output<typeof response>) {
  const named = z.object({ type: z.string(), title: z.string() });
  return named.parse(content['application/problem+json']?.examples.refused?.value);
}

/**
 * A schema of the document as one that takes no field which is not in it. The document itself lets
 * answers grow.
 */
export function closedSchema(schema: Record<string, unknown>): z.ZodType {
  const $defs = document.components.schemas;
  return z.fromJSONSchema(json.parse(closed({ ...schema, $defs })));
}

function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const inner = Object.fromEntries(
    Object.entries(value).map(([key, given]) => [
      key,
      key === '$ref' ? String(given).replace('#/components/schemas/', '#/$defs/') : closed(given),
    ]),
  );
  const isOpen = inner.type === 'object' && 'properties' in inner;
  return isOpen ? { additionalProperties: false, ...inner } : inner;
}
