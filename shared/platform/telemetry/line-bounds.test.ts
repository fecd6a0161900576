import { expect, test } from 'vitest';
import { readSettings } from '../env.ts';
import { createLogger } from './telemetry.ts';

const long = 'x'.repeat(1_000_000);

function logged(object: Record<string, unknown>, environment: Record<string, string> = {}) {
  let line = '';
  const write = (text: string) => {
    line += text;
  };
  createLogger(readSettings(environment), 'test', { write }).error(object, 'said');
  const first: Record<string, unknown> = JSON.parse(line);
  return { first, length: line.length };
}

test('a text, a list, an object and depth are cut, and the line says so', () => {
  const { first, length } = logged({
    text: long,
    list: Array.from({ length: 10_000 }, () => long),
    object: Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, index])),
    deep: { a: { b: { c: { d: { e: long } } } } },
    [long]: 1,
  });
  const cut = `${'x'.repeat(1_024)}… (1000000 characters)`;
  expect(first.text).toBe(cut);
  expect(first.list).toHaveLength(101);
  expect(first.list).toMatchObject({ 0: cut, 100: '… and 9900 more' });
  expect(first.object).toMatchObject({ k99: 99, '…': '… and 9900 more' });
  expect(first.object).not.toHaveProperty('k100');
  expect(first.deep).toEqual({ a: { b: { c: { d: '…' } } } });
  expect(first).toHaveProperty([cut], 1);
  expect(length).toBeLessThan(120_000);
});

test('what is not long stays as it is, and a stack may be longer', () => {
  const line = {
    text: 'x'.repeat(1_024),
    stack: 'y'.repeat(8_192),
    at: new Date(0),
    deep: { list: [1, null, true, { a: 'b' }] },
  };
  expect(logged(line).first).toMatchObject({ ...line, at: '1970-01-01T00:00:00.000Z' });
});

test('no secret is left in part because the text was cut in its middle', () => {
  const secret = 'a-shared-secret-of-ours';
  const around = [
    [secret, { GATEWAY_SHARED_SECRET: secret }],
    [`https://me:${secret}@host/`, {}],
    [`Bearer ${secret}`, {}],
  ] as const;
  for (const [text, environment] of around) {
    for (let before = 1_024 - text.length; before <= 1_024; before += 1) {
      const { first } = logged({ text: `${'.'.repeat(before)} ${text}${long}` }, environment);
      expect(first.text).not.toContain('secret');
      expect(first.text).not.toMatch(/a-sh/);
    }
  }
});
