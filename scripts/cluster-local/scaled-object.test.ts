import { expect, test } from 'vitest';
import { scaledObject, triggerAuthentication } from './manifests.ts';
import { connectionOf } from './scaled-object.ts';

const consumer = scaledObject.parse({
  metadata: { name: 'consumer' },
  spec: {
    scaleTargetRef: { name: 'consumer' },
    triggers: [
      {
        type: 'postgresql',
        metadata: { query: 'select 1', targetQueryValue: '1' },
        authenticationRef: { name: 'lag' },
      },
    ],
  },
});
const authentication = (parameter: string, key: string) =>
  triggerAuthentication.parse({
    metadata: { name: 'lag' },
    spec: { secretTargetRef: [{ parameter, name: 'database', key }] },
  });
const secrets = { database: { url: 'postgres://here' } };

test("the connection is that of the trigger's authentication", () => {
  const found = connectionOf(consumer, [authentication('connection', 'url')], secrets);
  expect(found).toBe('postgres://here');
});

test.each([
  ['no authentication', []],
  ['another parameter', [authentication('host', 'url')]],
  ['a key that is not there', [authentication('connection', 'uri')]],
])('with %s there is none, and whose it is, is said', (_, authentications) => {
  expect(() => connectionOf(consumer, authentications, secrets)).toThrow(
    'ScaledObject consumer: TriggerAuthentication lag gives no connection',
  );
});
