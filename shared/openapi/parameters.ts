import * as z from 'zod';
import { uuid } from './answer-parts.ts';
import { exampleIds } from './examples.ts';
import type { Json, JsonSchemas } from './json-schema.ts';
import type { Operation } from './operation.ts';

const pathParameters = {
  orgId: { description: 'The tenant. Capitals do not matter.', example: exampleIds.org },
  jobId: { description: 'The export.', example: exampleIds.job },
};

/** The parameters in paths, which many operations share. */
export function parameterComponents(schemas: JsonSchemas): Json {
  return Object.fromEntries(
    Object.entries(pathParameters).map(([name, { description, example }]) => [
      name,
      { name, in: 'path', required: true, description, schema: schemas.of(uuid), example },
    ]),
  );
}

/** An operation's parameters: of its path, its query, its headers. */
export function parametersOf(operation: Operation, schemas: JsonSchemas): Json[] {
  const { path, query = {}, headers = {}, example = {} } = operation;
  const inPath = Object.keys(pathParameters)
    .filter((name) => path.includes(`{${name}}`))
    .map((name) => ({ $ref: `#/components/parameters/${name}` }));
  const others = [
    ...Object.entries(query).map(([name, schema]) => ({ name, in: 'query', schema })),
    ...Object.entries(headers).map(([name, schema]) => ({ name, in: 'header', schema })),
  ];
  return [
    ...inPath,
    ...others.map(({ name, in: where, schema: form }) => {
      const { description, ...schema } = schemas.of(form);
      return {
        name,
        in: where,
        // A parameter that may be left out is one whose schema takes nothing.
        required: !z.object({ form }).safeParse({}).success,
        description,
        schema,
        ...(example[name] === undefined ? {} : { example: example[name] }),
      };
    }),
  ];
}
