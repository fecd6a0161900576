import { expect, test } from 'vitest';
import { readSettings } from '../env.ts';
import { createLogger } from './telemetry.ts';

const settings = readSettings({
  DATABASE_URL: 'postgres://me:long%2Fpassw%C3%B6rd@db:5432/usage',
  RABBITMQ_URL: 'amqp://guest:guest@broker:5672',
  REDIS_URL: 'https://cache.upstash.io',
  REDIS_TOKEN: 'token-"quoted"-text',
  S3_ENDPOINT: 'http://store',
  S3_ACCESS_KEY: 'access',
  S3_SECRET_KEY: 'secret/key+of=store',
  GATEWAY_SHARED_SECRET: 'a-shared-secret-of-ours',
});

function logged(object: object, message = ''): Record<string, unknown> {
  const lines: string[] = [];
  const logger = createLogger(settings, 'test', { write: (line) => void lines.push(line) });
  logger.info(object, message);
  return JSON.parse(lines.join(''));
}

test.each([
  ["a setting's value", 'tried a-shared-secret-of-ours', 'tried [redacted]'],
  ['one that JSON escapes', 'token "token-"quoted"-text"', 'token "[redacted]"'],
  ['a password as it is', 'password long/passwörd failed', 'password [redacted] failed'],
  ['a password as a URL has it', 'at long%2Fpassw%C3%B6rd', 'at [redacted]'],
  ['a key as a URL has it', 'key=secret%2Fkey%2Bof%3Dstore', 'key=[redacted]'],
  [
    'the password of any URL',
    'at amqp://guest:guest@b:1/%2f',
    'at amqp://guest:[redacted]@b:1/%2f',
  ],
  ['one with an @', 'http://a:p@ss@host/x and b', 'http://a:[redacted]@host/x and b'],
  ['one without a user', 'redis://:pw@host', 'redis://:[redacted]@host'],
  ['a bearer token', 'sent Bearer eyJhbGciOi.J9', 'sent Bearer [redacted]'],
  ['a signature', 'GET /x?X-Amz-Signature=0123abc&y=1', 'GET /x?X-Amz-Signature=[redacted]&y=1'],
])('%s is taken out', (_, text, expected) => {
  expect(logged({ reason: text }).reason).toBe(expected);
  expect(logged({ deep: { list: [{ text }] } }).deep).toEqual({ list: [{ text: expected }] });
  expect(logged({}, text).msg).toBe(expected);
});

test('headers that carry credentials are taken out, at any depth and in any case', () => {
  const headers = {
    Authorization: 'Basic x',
    cookie: 'a="b"; c',
    'Set-Cookie': ['a=1', 'b=2'],
    'x-gateway-secret': 'short',
    accept: 'text/html',
  };
  const line = logged({ request: { headers } });
  expect(line.request).toEqual({
    headers: {
      Authorization: '[redacted]',
      cookie: '[redacted]',
      'Set-Cookie': '[redacted]',
      'x-gateway-secret': '[redacted]',
      accept: 'text/html',
    },
  });
});

test.each([
  'http://127.0.0.1:8084/analytics/v1/orgs',
  'guest is a user name',
  'the bearer of bad news',
  'someone@example.com asked at 12:30',
])('%s stays as it is', (text) => {
  expect(logged({ text }).text).toBe(text);
});
