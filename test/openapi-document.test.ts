import { createConfig, lintFromString } from '@redocly/openapi-core';
import { expect, test } from 'vitest';
import { openApiText } from '../scripts/openapi/text.ts';
import { eventJson } from './support/event-json.ts';
import {
  closedSchema,
  documentedOperations,
  documentText,
  queryParameters,
} from './support/openapi-document.ts';

test('docs/openapi.json is as npm run openapi writes it', () => {
  expect(documentText).toBe(openApiText());
});

test('the linter finds nothing, examples that do not fit their schemas included', async () => {
  const config = await createConfig({
    extends: ['recommended-strict'],
    rules: {
      'operation-description': 'error',
      'operation-singular-tag': 'error',
      'operation-tag-defined': 'error',
      'parameter-description': 'error',
      'no-http-verbs-in-paths': 'error',
      'paths-kebab-case': 'error',
      'path-segment-plural': 'off',
      'spec-example-values': 'error',
      'operation-4xx-problem-details-rfc7807': 'error',
      // A download only redirects, and what is open to everybody and asks for nothing refuses
      // nothing: the tests below say what is meant.
      'operation-2xx-response': 'off',
      'operation-4xx-response': 'off',
    },
  });
  const problems = await lintFromString({
    source: documentText,
    absoluteRef: '/openapi.json',
    config,
  });
  expect(problems.map(({ ruleId, message, location }) => ({ ruleId, message, location }))).toEqual(
    [],
  );
});

test.each(documentedOperations.map((operation) => [operation.name, operation] as const))(
  '%s documents an answer that is none of an error, and one to nobody where it asks for an actor',
  (_, { responses, security }) => {
    const statuses = Object.keys(responses);
    expect(statuses.some((status) => /^[23]/.test(status))).toBe(true);
    expect(statuses.includes('401')).toBe(security.length > 0);
  },
);

test('no operation is described twice', () => {
  const ids = documentedOperations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
});

test('a CloudEvent has its data in one of two places, of a kind that is JSON', () => {
  const data = eventJson();
  const good = {
    specversion: '1.0',
    id: data.eventId,
    source: '/test',
    type: 'ai.usage.recorded.v1',
    data,
  };
  const form = closedSchema({ $ref: '#/components/schemas/UsageCloudEvent' });
  const isTaken = (over: Record<string, unknown>) => form.safeParse({ ...good, ...over }).success;
  expect(isTaken({})).toBe(true);
  expect(isTaken({ subject: null, time: null, datacontenttype: null })).toBe(true);
  expect(isTaken({ datacontenttype: 'application/vnd.x+json; charset=utf-8' })).toBe(true);
  expect(isTaken({ data: null, data_base64: 'e30=' })).toBe(true);
  expect(isTaken({ data_base64: 'e30=' })).toBe(false);
  expect(isTaken({ data: undefined })).toBe(false);
  expect(isTaken({ datacontenttype: 'text/plain' })).toBe(false);
});

test('an empty cursor is none, for the document as for the service', () => {
  const cursors = documentedOperations.flatMap((operation) =>
    queryParameters(operation).filter(({ name }) => name === 'cursor'),
  );
  expect(cursors.length).toBeGreaterThan(2);
  for (const { schema } of cursors) expect(schema).toMatchObject({ minLength: 1 });
});
