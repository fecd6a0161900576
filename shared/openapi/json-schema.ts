import * as z from 'zod';

export type Json = Record<string, unknown>;

const components = '#/components/schemas/';

/**
 * zod schemas as the JSON schemas of one document. A schema with an `id` becomes a component, once,
 * and is referred to.
 */
export class JsonSchemas {
  /** The components so far, by name. */
  readonly components: Json = {};

  /** As it is sent: before defaults and transforms. */
  of(schema: z.ZodType): Json {
    const { $schema: _, $defs = {}, ...own } = z.toJSONSchema(schema, { io: 'input' });
    for (const [name, definition] of Object.entries($defs)) {
      this.components[name] = referring(definition);
    }
    return z.record(z.string(), z.unknown()).parse(referring(own));
  }
}

/** The same with references into the document instead of the schema. */
function referring(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(referring);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string'
        ? inner.replace('#/$defs/', components)
        : referring(inner),
    ]),
  );
}
