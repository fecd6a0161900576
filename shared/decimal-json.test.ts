import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decimal,
  literalOf,
  parseKeepingCosts,
  parseKeepingDigits,
  parseKeepingWholes,
  stringify,
} from './decimal-json.ts';

const costKeys = ['costEstimateCents', 'inputCostCents', 'outputCostCents'];

/** A record, or a list of one, as JSON.parse would have it: marked costs as floats again. */
function withFloats(value: unknown): unknown {
  const literal = literalOf(value);
  if (literal !== undefined) return Number(literal);
  if (Array.isArray(value)) return value.map(withFloats);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withFloats(inner)]));
}

describe('parseKeepingCosts', () => {
  test.each([
    ['{"costEstimateCents":12345678901234.5678}', '12345678901234.5678'],
    ['{ "costEstimateCents" :\n\t0.10 }', '0.10'],
    ['{"costEstimateCents":1e-4}', '1e-4'],
    ['{"costEstimateCents":-0.5,"x":1}', '-0.5'],
    ['{"x":{"costEstimateCents":7}}', undefined],
    ['{"costEstimateCents":"12.5"}', undefined],
    ['{"costEstimateCents":null}', undefined],
  ])('%s keeps %s', (text, literal) => {
    const parsed = parseKeepingCosts(text) as { costEstimateCents?: unknown };
    expect(literalOf(parsed.costEstimateCents)).toBe(literal);
  });

  test('every cost of a list is kept, whatever the key', () => {
    const parsed = parseKeepingCosts(
      `[${costKeys.map((key, index) => `{"${key}":${index}.10}`).join(',')}]`,
    ) as Record<string, unknown>[];
    const literals = parsed.map((one, index) => literalOf(one[costKeys[index] ?? '']));
    expect(literals).toEqual(costKeys.map((_, index) => `${index}.10`));
  });

  test('text that only looks like a kept number is text', () => {
    for (const text of ['{"costEstimateCents":"\\u00001.5"}', '{"a":"\\u00001.5"}']) {
      for (const value of Object.values(parseKeepingCosts(text) as object)) {
        expect(literalOf(value)).toBeUndefined();
      }
    }
  });

  test.each([
    ['inside a string', { clientId: '"costEstimateCents":5,' }],
    ['inside a string after a backslash', { clientId: '\\"costEstimateCents":5}' }],
    ['as the end of a longer key', { 'x"costEstimateCents': 'y' }],
    ['as a value', { metadata: { a: 'costEstimateCents', b: ':5,' } }],
  ])('the name %s stays what it was', (_, value) => {
    expect(parseKeepingCosts(JSON.stringify(value))).toEqual(value);
  });

  test('refuses what JSON.parse refuses', () => {
    for (const cost of ['01', '-01', '.5', '5.', '+5', '0x1', '1e', '--1', 'NaN', '']) {
      const text = `{"costEstimateCents":${cost}}`;
      expect(() => JSON.parse(text), text).toThrow(SyntaxError);
      expect(() => parseKeepingCosts(text), text).toThrow(SyntaxError);
    }
  });

  test('but for the costs it is JSON.parse', () => {
    const key = fc.oneof(fc.constantFrom(...costKeys), fc.string());
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue({ maxDepth: 0 }),
        fc.constantFrom(...costKeys.map((name) => `"${name}":1,`)),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(key, tie('value'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(value, fc.constantFrom(0, 1, '\t'), (original, indent) => {
        const text = JSON.stringify(original, null, indent);
        expect(withFloats(parseKeepingCosts(text))).toEqual(withFloats(JSON.parse(text)));
      }),
    );
  });
});

describe('stringify', () => {
  test('writes marked decimals as numbers, digit for digit', () => {
    const value = {
      a: decimal('12345678901234.5678'),
      b: [decimal('0'), decimal('-1.50')],
      c: '1.5',
    };
    expect(stringify(value)).toBe('{"a":12345678901234.5678,"b":[0,-1.50],"c":"1.5"}');
  });

  test('is JSON.stringify for all else', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        fc.pre(!JSON.stringify(value).includes('\\u0000'));
        expect(stringify(value)).toBe(JSON.stringify(value));
      }),
    );
  });

  test('writes again what was parsed, digits and all', () => {
    const digits = fc
      .tuple(fc.bigInt({ min: 0n, max: 10n ** 20n }), fc.integer({ min: 0, max: 9_999 }))
      .map(([whole, fraction]) => `${whole}.${String(fraction).padStart(4, '0')}`);
    const literals = fc.oneof(digits, fc.constantFrom('0', '-1.50', '1e-4', '2.5E+3'));
    fc.assert(
      fc.property(literals, (literal) => {
        const text = `{"costEstimateCents":${literal}}`;
        expect(stringify(parseKeepingCosts(text))).toBe(text);
      }),
    );
  });
});

describe('parseKeepingDigits', () => {
  test.each([
    ['{"a":9007199254741241}', '9007199254741241'],
    ['{"a":0.4875000000000001}', '0.4875000000000001'],
    ['{"a":-12345678901234567890.5e-3}', '-12345678901234567890.5e-3'],
    ['{"a":1e400}', '1e400'],
    ['{"costEstimateCents":0.10}', '0.10'],
    ['{"a":123456789012345}', undefined],
    ['{"a":"9007199254741241"}', undefined],
    ['{"a":"\\"9007199254741241,"}', undefined],
  ])('%s keeps %s', (text, literal) => {
    const [value] = Object.values(parseKeepingDigits(text) as object);
    expect(literalOf(value)).toBe(literal);
    expect(stringify(parseKeepingDigits(text))).toBe(text);
  });

  test('is JSON.parse but for what a float would change', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(withFloats(parseKeepingDigits(json))).toEqual(JSON.parse(json));
      }),
    );
  });
});

test.each([
  ['{"a":9007199254741241}', '9007199254741241'],
  ['{"costEstimateCents":0.10}', '0.10'],
  ['{"a":0.3333333333333333}', undefined],
  ['{"a":1}', undefined],
])('parseKeepingWholes of %s keeps %s', (text, literal) => {
  const [value] = Object.values(parseKeepingWholes(text) as object);
  expect(literalOf(value)).toBe(literal);
});
