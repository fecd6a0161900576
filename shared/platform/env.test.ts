import { describe, expect, test } from 'vitest';
import {
  readSettings,
  refuseKnativeService,
  requireSetting,
  SettingsError,
  streamPartitions,
} from './env.ts';

const faultsOf = (environment: Record<string, string>): string => {
  try {
    readSettings(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(SettingsError);
    return (error as SettingsError).message;
  }
  throw new Error('the settings were taken');
};

test('an empty environment has the defaults of the contract', () => {
  expect(readSettings({})).toEqual({
    SERVICE_NAME: 'analytics-service',
    ENVIRONMENT: 'development',
    HTTP_PORT: 8084,
    DATABASE_DRIVER: 'auto',
    RABBITMQ_STREAM: 'analytics.usage.v1',
    RABBITMQ_STREAM_PARTITIONS: 1,
    RABBITMQ_STREAM_MAX_AGE: '7D',
    RABBITMQ_STREAM_MAX_BYTES: 20_000_000_000,
    S3_BUCKET: 'analytics-exports',
    S3_REGION: 'us-east-1',
    LOG_LEVEL: 'info',
    INGESTION_BATCH_SIZE: 5_000,
    INGESTION_BATCH_TIMEOUT: 250,
    EXPORT_WORKER_INTERVAL: 30_000,
    EXPORT_WORKER_CONCURRENCY: 2,
    EXPORT_SIGNED_URL_TTL: 86_400_000,
    EXPORT_RETENTION_DAYS: 90,
    BILLING_CURRENCY: 'USD',
    FRESHNESS_CACHE_TTL: 60_000,
    RAW_RETENTION_DAYS: 400,
    ROLLUP_RETENTION_DAYS: 400,
    RAW_COMPRESS_AFTER_DAYS: 7,
    ENABLE_RBAC: true,
    AUTH_MODE: 'gateway',
    RATE_LIMIT_PER_MINUTE: 600,
  });
});

test('an empty value is one that is not set, and strangers are not looked at', () => {
  const strangers = {
    HTTP_PORT: '',
    DATABASE_URL: '',
    ENABLE_RBAC: '',
    PATH: '/bin',
    HOME: '/root',
  };
  expect(readSettings(strangers)).toEqual(readSettings({}));
});

test.each([
  ['INGESTION_BATCH_TIMEOUT', '250ms', 250],
  ['INGESTION_BATCH_TIMEOUT', '0ms', 0],
  ['EXPORT_WORKER_INTERVAL', '30s', 30_000],
  ['FRESHNESS_CACHE_TTL', '5m', 300_000],
  ['EXPORT_SIGNED_URL_TTL', '24h', 86_400_000],
  ['ENABLE_RBAC', '0', false],
  ['ENABLE_RBAC', '1', true],
  ['PORT', '9000', 9_000],
  [
    'DATABASE_URL',
    'postgresql://u:p@h:5432/d?sslmode=require',
    'postgresql://u:p@h:5432/d?sslmode=require',
  ],
  ['RABBITMQ_URL', 'amqps://u:p@h/v', 'amqps://u:p@h/v'],
  ['REDIS_URL', 'rediss://:p@h:6379', 'rediss://:p@h:6379'],
  ['DATABASE_DRIVER', 'neon', 'neon'],
])('%s=%s is %j', (name, text, value) => {
  expect(readSettings({ [name]: text })).toMatchObject({ [name]: value });
});

test.each([
  ['INGESTION_BATCH_TIMEOUT', '250', /such as 250ms, 30s, 5m or 24h/],
  ['EXPORT_WORKER_INTERVAL', '1.5s', /duration/],
  ['EXPORT_WORKER_INTERVAL', '0s', /at least 1s/],
  ['EXPORT_SIGNED_URL_TTL', '169h', /at most 168h/],
  ['FRESHNESS_CACHE_TTL', '1d', /duration/],
  ['FRESHNESS_CACHE_TTL', '-1s', /duration/],
  ['HTTP_PORT', 'http', /whole number/],
  ['HTTP_PORT', '65536', /at most 65535/],
  ['PORT', '8e3', /whole number/],
  ['RABBITMQ_STREAM_PARTITIONS', '0', /at least 1/],
  ['INGESTION_BATCH_SIZE', '0', /at least 1/],
  ['INGESTION_BATCH_SIZE', '1_000', /whole number/],
  ['RAW_RETENTION_DAYS', '-1', /whole number/],
  ['RATE_LIMIT_PER_MINUTE', '10/s', /whole number/],
  ['ENABLE_RBAC', 'yes', /true or false/],
  ['ENVIRONMENT', 'prod', /production/],
  ['LOG_LEVEL', 'verbose', /info/],
  ['DATABASE_URL', 'mysql://h/d', /postgres:\/\//],
  ['DATABASE_URL', 'localhost', /must be a URL/],
  ['RABBITMQ_URL', 'http://h', /amqp:\/\//],
  ['REDIS_URL', 'h:6379', /redis:\/\//],
  ['REDIS_URL', 'https://eu1.upstash.io', /^wrong settings: REDIS_TOKEN is required beside/],
  ['RABBITMQ_STREAM_MAX_AGE', '7 days', /7D/],
  ['BILLING_CURRENCY', 'usd', /ISO 4217/],
  ['GATEWAY_SHARED_SECRET', 'short', /at least 16/],
  ['AUTH_MODE', 'none', /gateway/],
  ['JWT_JWKS_URL', 'issuer.example/keys', /https:\/\//],
  ['JWT_JWKS_URL', 'file:///keys', /must be a URL/],
  ['JWT_JWKS_URL', 'https://me:secret@issuer.example/keys', /must not hold a user or password/],
])('%s=%s stops the start and is named', (name, value, message) => {
  const fault = faultsOf({ [name]: value });
  expect(fault).toMatch(/^wrong settings: /);
  expect(fault).toContain(name.replace('REDIS_URL', 'REDIS_'));
  expect(fault).toMatch(message);
});

test('one message names every fault', () => {
  const message = faultsOf({
    HTTP_PORT: 'x',
    DATABASE_URL: 'mysql://h',
    EXPORT_WORKER_INTERVAL: 'soon',
    ENABLE_RBAC: 'maybe',
  });
  for (const name of ['HTTP_PORT', 'DATABASE_URL', 'EXPORT_WORKER_INTERVAL', 'ENABLE_RBAC']) {
    expect(message).toContain(name);
  }
  expect(message.split('; ')).toHaveLength(4);
});

test('faults that join settings are named beside the others', () => {
  const message = faultsOf({ HTTP_PORT: 'x', ENVIRONMENT: 'production', ENABLE_RBAC: 'false' });
  for (const name of ['HTTP_PORT', 'ENABLE_RBAC', 'GATEWAY_SHARED_SECRET']) {
    expect(message).toContain(name);
  }
});

test('S3_ENDPOINT needs both of its keys', () => {
  const message = faultsOf({ S3_ENDPOINT: 'http://h:9000' });
  expect(message).toContain('S3_ACCESS_KEY');
  expect(message).toContain('S3_SECRET_KEY');
});

const tokens = {
  AUTH_MODE: 'jwt',
  JWT_JWKS_URL: 'http://issuer.example/keys',
  JWT_ISSUER: 'https://issuer.example',
  JWT_AUDIENCE: 'analytics',
};

test('jwt mode needs keys, issuer and audience, each of which is named', () => {
  expect(readSettings(tokens)).toMatchObject(tokens);
  const message = faultsOf({ AUTH_MODE: 'jwt' });
  for (const name of ['JWT_JWKS_URL', 'JWT_ISSUER', 'JWT_AUDIENCE']) {
    expect(message).toContain(`${name} is required with AUTH_MODE=jwt`);
  }
});

test('rules over several settings are named beside values that do not parse', () => {
  const wrong = () =>
    readSettings({ LOG_LEVEL: 'loud', AUTH_MODE: 'jwt', REDIS_URL: 'https://cache.example' });
  expect(wrong).toThrow(/LOG_LEVEL must be one of trace, debug/);
  expect(wrong).toThrow(/REDIS_TOKEN is required/);
  expect(wrong).toThrow(/JWT_JWKS_URL is required/);
});

describe('in production', () => {
  const production = { ENVIRONMENT: 'production', GATEWAY_SHARED_SECRET: 'x'.repeat(16) };

  test('gateway mode starts with a shared secret', () => {
    expect(readSettings(production)).toMatchObject({ ENVIRONMENT: 'production' });
  });

  test('gateway mode does not start without one', () => {
    expect(faultsOf({ ENVIRONMENT: 'production' })).toMatch(/GATEWAY_SHARED_SECRET is required/);
  });

  test('jwt mode starts without one, with keys over https alone', () => {
    const secure = { ENVIRONMENT: 'production', ...tokens, JWT_JWKS_URL: 'https://i.example/keys' };
    expect(readSettings(secure)).toMatchObject({ AUTH_MODE: 'jwt' });
    for (const insecure of ['http://i.example/keys', 'HTTP://i.example/keys']) {
      expect(faultsOf({ ...secure, JWT_JWKS_URL: insecure })).toMatch(
        /^wrong settings: JWT_JWKS_URL must start with https:\/\/ with ENVIRONMENT=production$/,
      );
    }
  });

  test('ENABLE_RBAC=false is refused', () => {
    expect(faultsOf({ ...production, ENABLE_RBAC: 'false' })).toMatch(
      /ENABLE_RBAC false is refused/,
    );
  });
});

describe('a process that no actor calls', () => {
  const read = (environment: Record<string, string>) =>
    readSettings(environment, { knowsActors: false });

  test("starts in production without the gateway's secret", () => {
    expect(read({ ENVIRONMENT: 'production' })).toMatchObject({ ENVIRONMENT: 'production' });
  });

  test('is told of everything else that is wrong', () => {
    const wrong = { ENVIRONMENT: 'production', ENABLE_RBAC: '0', S3_ENDPOINT: 'http://h:9000' };
    expect(() => read(wrong)).toThrow(
      /S3_ACCESS_KEY is required.*S3_SECRET_KEY is required.*ENABLE_RBAC false is refused/,
    );
  });
});

test('what must not be a Knative Service says so in the container of one', () => {
  const refuse = (environment: Record<string, string>) => () =>
    refuseKnativeService(readSettings(environment), 'consumer', 'nobody calls it');
  expect(refuse({ K_SERVICE: 'analytics-consumer' })).toThrow(
    'must not run as the Knative Service analytics-consumer: nobody calls it; remove that Service and use npm run deploy -- consumer',
  );
  expect(refuse({ K_SERVICE: '' })).not.toThrow();
});

test('a required setting that is missing is named, with an example', () => {
  const settings = readSettings({});
  expect(() => requireSetting(settings, 'DATABASE_URL', 'postgres://h/d')).toThrow(
    'wrong settings: DATABASE_URL is required, for example postgres://h/d',
  );
  expect(requireSetting(settings, 'SERVICE_NAME', 'x')).toBe('analytics-service');
});

test('one partition is the stream itself, more are numbered', () => {
  const stream = { RABBITMQ_STREAM: 's' };
  expect(streamPartitions({ ...stream, RABBITMQ_STREAM_PARTITIONS: 1 })).toEqual(['s']);
  expect(streamPartitions({ ...stream, RABBITMQ_STREAM_PARTITIONS: 3 })).toEqual([
    's-0',
    's-1',
    's-2',
  ]);
});
