import { expect, test } from 'vitest';
import { containerEnv } from './container-env.ts';
import type { Container } from './manifests.ts';

const references = {
  configMaps: { settings: { LOG_LEVEL: 'info', BUCKET: 'exports' } },
  secrets: { database: { url: 'postgres://here' } },
};
const container = (over: Partial<Container>): Container => ({
  image: 'analytics-usage',
  env: [],
  envFrom: [],
  ...over,
});
const key = (name: string, key: string, optional = false) => ({ name, key, optional });

test('all keys of envFrom are given, and env wins over them', () => {
  const env = containerEnv(
    container({
      envFrom: [{ configMapRef: { name: 'settings', optional: false } }],
      env: [
        { name: 'LOG_LEVEL', value: 'debug' },
        { name: 'DATABASE_URL', valueFrom: { secretKeyRef: key('database', 'url') } },
        { name: 'S3_BUCKET', valueFrom: { configMapKeyRef: key('settings', 'BUCKET') } },
        { name: 'EMPTY' },
      ],
    }),
    references,
  );
  expect(env).toEqual({
    LOG_LEVEL: 'debug',
    BUCKET: 'exports',
    DATABASE_URL: 'postgres://here',
    S3_BUCKET: 'exports',
    EMPTY: '',
  });
});

test('every reference to what is not there is named', () => {
  const broken = container({
    envFrom: [{ configMapRef: { name: 'other', optional: false } }],
    env: [
      { name: 'A', valueFrom: { secretKeyRef: key('database', 'password') } },
      { name: 'B', valueFrom: { secretKeyRef: key('absent', 'url') } },
    ],
  });
  expect(() => containerEnv(broken, references)).toThrow(
    'there is no ConfigMap other, nor A: key password of Secret database, nor B: key url of Secret absent',
  );
});

test('an optional reference to what is not there gives nothing', () => {
  const lenient = container({
    envFrom: [{ secretRef: { name: 'absent', optional: true } }],
    env: [{ name: 'A', valueFrom: { secretKeyRef: key('database', 'password', true) } }],
  });
  expect(containerEnv(lenient, references)).toEqual({});
});
