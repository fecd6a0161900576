import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseKeepingCosts } from '../decimal-json.ts';
import {
  decodeEvent,
  decodeMessage,
  encodeEvent,
  type UsageEvent,
  usageStatuses,
} from './usage-event.ts';

const nowMs = Date.parse('2026-06-15T12:00:00.000Z');
const rules = { nowMs, rawRetentionDays: 400 };
const at = (ms: number) => new Date(ms).toISOString();
const dayMs = 86_400_000;

const valid = {
  eventId: '11111111-1111-4111-8111-111111111111',
  orgId: '22222222-2222-4222-8222-222222222222',
  modelId: '33333333-3333-4333-8333-333333333333',
  occurredAt: '2026-06-15T11:00:00Z',
  latencyMs: 120,
  status: 'success',
  inputTokens: 10,
  outputTokens: 20,
  costEstimateCents: 1.25,
};
const stored: UsageEvent = {
  eventId: valid.eventId,
  orgId: valid.orgId,
  modelId: valid.modelId,
  actorId: null,
  clientId: '',
  occurredAtMs: Date.parse(valid.occurredAt),
  latencyMs: 120,
  status: 'success',
  errorCode: null,
  inputTokens: 10,
  outputTokens: 20,
  costEstimateCents: '1.25',
  inputCostCents: null,
  outputCostCents: null,
  metadata: null,
};

/** By way of JSON text, as events really come. */
function decode(over: Record<string, unknown>) {
  return decodeEvent(parseKeepingCosts(JSON.stringify({ ...valid, ...over })), rules);
}

/** With a cost written into the JSON literally. */
function decodeCost(literal: string) {
  const text = JSON.stringify({ ...valid, costEstimateCents: 'COST' });
  return decodeMessage(Buffer.from(text.replace('"COST"', literal)), rules);
}

test('an event with what is required is taken, what is optional is filled in', () => {
  expect(decode({})).toEqual({ event: stored });
});

describe.each<[string, Record<string, unknown>, Partial<UsageEvent>]>([
  ['nulls', { actorId: null, clientId: null, errorCode: null, metadata: null }, {}],
  ['unknown fields, which are not stored', { region: 'eu', costUsd: 1, x: { y: [1] } }, {}],
  ['an actor in capitals', { actorId: valid.eventId.toUpperCase() }, { actorId: valid.eventId }],
  [
    'uuids in capitals',
    { orgId: 'ABCDEFAB-ABCD-4ABC-8ABC-ABCDEFABCDEF' },
    { orgId: 'abcdefab-abcd-4abc-8abc-abcdefabcdef' },
  ],
  [
    'a uuid of any version',
    { eventId: '00000000-0000-0000-0000-000000000000' },
    { eventId: '00000000-0000-0000-0000-000000000000' },
  ],
  ['the longest client', { clientId: 'é'.repeat(128) }, { clientId: 'é'.repeat(128) }],
  ['a client with an emoji', { clientId: 'a😀' }, { clientId: 'a😀' }],
  ['an offset', { occurredAt: '2026-06-15T13:00:00+02:00' }, {}],
  [
    'finer than milliseconds, cut off',
    { occurredAt: '2026-06-15T11:00:00.1239999Z' },
    { occurredAtMs: stored.occurredAtMs + 123 },
  ],
  ['10 minutes ahead', { occurredAt: at(nowMs + 600_000) }, { occurredAtMs: nowMs + 600_000 }],
  [
    'as old as retention',
    { occurredAt: at(nowMs - 400 * dayMs) },
    { occurredAtMs: nowMs - 400 * dayMs },
  ],
  ['no latency', { latencyMs: 0 }, { latencyMs: 0 }],
  ['24 hours of latency', { latencyMs: dayMs }, { latencyMs: dayMs }],
  ['all the tokens there can be', { inputTokens: 2 ** 53 - 1 }, { inputTokens: 2 ** 53 - 1 }],
  [
    'an error code',
    { status: 'timeout', errorCode: 'x'.repeat(128) },
    { status: 'timeout', errorCode: 'x'.repeat(128) },
  ],
  ['an error without a code', { status: 'error' }, { status: 'error' }],
  ['an empty code of a success', { errorCode: '' }, {}],
  [
    'a split that adds up',
    { costEstimateCents: '0.3', inputCostCents: 0.1, outputCostCents: 0.2 },
    { costEstimateCents: '0.3', inputCostCents: '0.1', outputCostCents: '0.2' },
  ],
  [
    'a split of nothing',
    { costEstimateCents: 0, inputCostCents: 0, outputCostCents: '0.0000' },
    { costEstimateCents: '0', inputCostCents: '0', outputCostCents: '0' },
  ],
  ['metadata', { metadata: { team: 'a', '': '' } }, { metadata: { team: 'a', '': '' } }],
  ['32 keys', { metadata: keys(32) }, { metadata: keys(32) }],
  [
    '4 KiB of metadata',
    { metadata: { a: 'x'.repeat(4_088) } },
    { metadata: { a: 'x'.repeat(4_088) } },
  ],
])('takes %s', (_, over, expected) => {
  test('as it should be stored', () => {
    expect(decode(over)).toEqual({ event: { ...stored, ...expected } });
  });
});

function keys(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'v']));
}

describe.each<[string, Record<string, unknown>, [string, RegExp]]>([
  ['eventId missing', { eventId: undefined }, ['eventId', /^is required$/]],
  ['orgId null', { orgId: null }, ['orgId', /string/]],
  ['modelId no uuid', { modelId: 'gpt-4' }, ['modelId', /^must be a uuid$/]],
  ['actorId no uuid', { actorId: 'me' }, ['actorId', /^must be a uuid$/]],
  ['clientId long', { clientId: 'x'.repeat(129) }, ['clientId', /at most 128/]],
  ['clientId a number', { clientId: 5 }, ['clientId', /string/]],
  ['clientId with NUL', { clientId: 'a\u0000' }, ['clientId', /NUL/]],
  ['clientId with half a pair', { clientId: '\ud800x' }, ['clientId', /surrogate/]],
  [
    'errorCode with the other half',
    { status: 'error', errorCode: '\udc00' },
    ['errorCode', /surrogate/],
  ],
  ['occurredAt missing', { occurredAt: undefined }, ['occurredAt', /^is required$/]],
  ['occurredAt a number', { occurredAt: nowMs }, ['occurredAt', /string/]],
  [
    'occurredAt without a zone',
    { occurredAt: '2026-06-15T11:00:00' },
    ['occurredAt', /with a zone/],
  ],
  ['30 February', { occurredAt: '2026-02-30T11:00:00Z' }, ['occurredAt', /RFC 3339/]],
  [
    '29 February of a common year',
    { occurredAt: '2026-02-29T11:00:00Z' },
    ['occurredAt', /RFC 3339/],
  ],
  ['hour 24', { occurredAt: '2026-06-14T24:00:00Z' }, ['occurredAt', /RFC 3339/]],
  [
    'more than 10 minutes ahead',
    { occurredAt: at(nowMs + 600_001) },
    ['occurredAt', /10 minutes ahead/],
  ],
  ['older than retention', { occurredAt: at(nowMs - 400 * dayMs - 1) }, ['occurredAt', /400 days/]],
  ['latencyMs missing', { latencyMs: undefined }, ['latencyMs', /^is required$/]],
  ['latencyMs negative', { latencyMs: -1 }, ['latencyMs', /^must not be negative$/]],
  ['latencyMs a fraction', { latencyMs: 0.5 }, ['latencyMs', /^must be a whole number$/]],
  ['latencyMs text', { latencyMs: '120' }, ['latencyMs', /^must be a whole number$/]],
  ['latencyMs past 24 h', { latencyMs: dayMs + 1 }, ['latencyMs', /at most 86400000/]],
  ['status missing', { status: undefined }, ['status', /^is required$/]],
  ['status unknown', { status: 'OK' }, ['status', /success, error, timeout, throttled/]],
  [
    'errorCode of a success',
    { errorCode: 'x' },
    ['errorCode', /only allowed when status is not success/],
  ],
  ['errorCode long', { status: 'error', errorCode: 'x'.repeat(129) }, ['errorCode', /at most 128/]],
  ['inputTokens null', { inputTokens: null }, ['inputTokens', /whole number/]],
  [
    'outputTokens past 2^53-1',
    { outputTokens: 2 ** 53 },
    ['outputTokens', /at most 9007199254740991/],
  ],
  ['cost missing', { costEstimateCents: undefined }, ['costEstimateCents', /^is required$/]],
  ['cost null', { costEstimateCents: null }, ['costEstimateCents', /^is required$/]],
  ['cost true', { costEstimateCents: true }, ['costEstimateCents', /number or a decimal string/]],
  ['cost a word', { costEstimateCents: 'free' }, ['costEstimateCents', /such as "12\.3456"/]],
  ['cost empty', { costEstimateCents: '' }, ['costEstimateCents', /decimal string/]],
  ['cost spaced', { costEstimateCents: ' 1' }, ['costEstimateCents', /decimal string/]],
  ['cost hexadecimal', { costEstimateCents: '0x10' }, ['costEstimateCents', /decimal string/]],
  ['cost negative', { costEstimateCents: -0.1 }, ['costEstimateCents', /negative/]],
  [
    'cost with 5 decimals',
    { costEstimateCents: 0.00001 },
    ['costEstimateCents', /at most 4 decimals/],
  ],
  [
    'cost with 5 decimals, as text',
    { costEstimateCents: '1.23456' },
    ['costEstimateCents', /at most 4 decimals/],
  ],
  [
    'cost past NUMERIC(18,4)',
    { costEstimateCents: '100000000000000' },
    ['costEstimateCents', /below 10\^14/],
  ],
  [
    'only the input cost',
    { inputCostCents: 1 },
    ['outputCostCents', /required beside inputCostCents/],
  ],
  [
    'only the output cost',
    { outputCostCents: 1 },
    ['inputCostCents', /required beside outputCostCents/],
  ],
  [
    'a split one off',
    { inputCostCents: '1', outputCostCents: '0.2499' },
    ['costEstimateCents', /must equal/],
  ],
  [
    'a split with 5 decimals',
    { inputCostCents: '1.00001', outputCostCents: '0.25' },
    ['inputCostCents', /4 decimals/],
  ],
  ['metadata a list', { metadata: ['a'] }, ['metadata', /record|object/]],
  ['metadata of numbers', { metadata: { a: 1 } }, ['metadata.a', /string/]],
  ['metadata with 33 keys', { metadata: keys(33) }, ['metadata', /at most 32 keys/]],
  [
    'metadata past 4 KiB',
    { metadata: { a: 'x'.repeat(4_089) } },
    ['metadata', /at most 4096 bytes/],
  ],
  [
    'metadata past 4 KiB in bytes, not characters',
    { metadata: { a: '€'.repeat(1_400) } },
    ['metadata', /at most 4096 bytes/],
  ],
  ['metadata with NUL in a value', { metadata: { a: '\u0000' } }, ['metadata.a', /NUL/]],
  ['metadata with NUL in a key', { metadata: { '\u0000': 'a' } }, ['metadata', /NUL|[Ii]nvalid/]],
])('refuses %s', (_, over, [path, message]) => {
  test('with one fault, at its path', () => {
    const decoded = decode(over);
    if ('event' in decoded) throw new Error('it was taken');
    // A number past 2^53-1 is no safe integer either, so that zod says two things about it.
    expect(decoded.faults.length).toBeLessThanOrEqual(path === 'outputTokens' ? 2 : 1);
    for (const fault of decoded.faults) expect(fault.path.startsWith(path)).toBe(true);
    expect(decoded.faults.at(-1)?.message).toMatch(message);
  });
});

test('all faults are named at once, those that join fields too', () => {
  const decoded = decode({
    eventId: undefined,
    orgId: 'x',
    modelId: 1,
    actorId: '',
    clientId: 5,
    occurredAt: at(nowMs + dayMs),
    latencyMs: -1,
    errorCode: 'x',
    inputTokens: 1.5,
    outputTokens: 'many',
    costEstimateCents: '1.5',
    inputCostCents: '1',
    outputCostCents: '1',
    metadata: { a: 1, b: 2 },
  });
  if ('event' in decoded) throw new Error('it was taken');
  expect(decoded.faults.map(({ path }) => path).sort()).toEqual(
    [
      'eventId',
      'orgId',
      'modelId',
      'actorId',
      'clientId',
      'occurredAt',
      'latencyMs',
      'errorCode',
      'inputTokens',
      'outputTokens',
      'costEstimateCents',
      'metadata.a',
      'metadata.b',
    ].sort(),
  );
});

test.each([null, 5, 'text', [], [valid], true])('%j is no event', (value) => {
  expect(decodeEvent(value, rules)).toEqual({
    faults: [{ path: '', message: expect.any(String) }],
  });
});

describe('a cost is read digit for digit', () => {
  test.each([
    ['12345678901234.5678', '12345678901234.5678'],
    ['99999999999999.9999', '99999999999999.9999'],
    ['0.1', '0.1'],
    ['0', '0'],
    ['0.0', '0'],
    ['1.2300', '1.23'],
    ['1.23450000', '1.2345'],
    ['100', '100'],
    ['1e2', '100'],
    ['1.5E+3', '1500'],
    ['12345e-4', '1.2345'],
    ['1e-4', '0.0001'],
    ['0e99', '0'],
    ['"12345678901234.5678"', '12345678901234.5678'],
    ['"007.50"', '7.5'],
    ['"1e2"', '100'],
  ])('%s is %s', (literal, expected) => {
    expect(decodeCost(literal)).toMatchObject({ event: { costEstimateCents: expected } });
  });

  test.each([
    '1e-5',
    '0.00001',
    '1.23456',
    '123456789012345',
    '1e14',
    '1e999',
    '-1',
    '-0.5',
    '"1."',
    '".5"',
    '"+1"',
    '"1,5"',
    '"NaN"',
    '"Infinity"',
  ])('%s is refused', (literal) => {
    expect(decodeCost(literal)).toMatchObject({ faults: [{ path: 'costEstimateCents' }] });
  });

  test.each(['01', '.5', '1.', '+1', '1e', 'NaN'])('%s is not even JSON', (literal) => {
    expect(decodeCost(literal)).toMatchObject({
      faults: [{ path: '', message: expect.stringMatching(/^not JSON: /) }],
    });
  });

  test('any amount of NUMERIC(18,4), however it is written', () => {
    const amount = fc.bigInt({ min: 0n, max: 10n ** 18n - 1n });
    fc.assert(
      fc.property(amount, fc.boolean(), fc.boolean(), (units, scientific, quoted) => {
        const digits = units.toString().padStart(5, '0');
        const plain = `${digits.slice(0, -4)}.${digits.slice(-4)}`;
        const text = scientific ? `${units}e-4` : plain;
        expect(decodeCost(quoted ? `"${text}"` : text)).toMatchObject({
          event: { costEstimateCents: plain.replace(/\.?0+$/, '') },
        });
      }),
    );
  });

  test('a split is summed exactly, not as floats', () => {
    const part = fc.bigInt({ min: 0n, max: 10n ** 17n });
    const text = (units: bigint) => {
      const digits = units.toString().padStart(5, '0');
      return `${digits.slice(0, -4)}.${digits.slice(-4)}`;
    };
    fc.assert(
      fc.property(part, part, (input, output) => {
        const split = { inputCostCents: text(input), outputCostCents: text(output) };
        expect(decode({ ...split, costEstimateCents: text(input + output) })).toHaveProperty(
          'event',
        );
        expect(decode({ ...split, costEstimateCents: text(input + output + 1n) })).toMatchObject({
          faults: [{ path: 'costEstimateCents' }],
        });
      }),
    );
  });
});

describe('decodeMessage', () => {
  test.each([
    ['nothing', Buffer.alloc(0), /^not JSON/],
    ['half an object', Buffer.from('{"eventId":'), /^not JSON/],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22]), /^not UTF-8$/],
    ['more than 1 MiB', Buffer.alloc(1_048_577, 0x20), /1048577 bytes, more than 1048576/],
  ])('refuses %s with one reason', (_, bytes, message) => {
    expect(decodeMessage(bytes, rules)).toEqual({
      faults: [{ path: '', message: expect.stringMatching(message) }],
    });
  });

  test('never throws, whatever the bytes or the JSON', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeMessage(Buffer.from(bytes), rules)).toHaveProperty('faults');
      }),
    );
    const values = fc.record(
      Object.fromEntries(
        [...Object.keys(valid), 'actorId', 'metadata'].map((key) => [key, fc.jsonValue()]),
      ),
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(values, (over) => {
        const decoded = decodeMessage(Buffer.from(JSON.stringify({ ...valid, ...over })), rules);
        if ('faults' in decoded) expect(decoded.faults.length).toBeGreaterThan(0);
      }),
    );
  });

  test('what was encoded comes back the same', () => {
    const uuid = fc.uuid();
    const text = fc
      .string({ unit: 'grapheme', maxLength: 20 })
      .filter((value) => !value.includes('\u0000') && value.isWellFormed());
    const cost = fc
      .bigInt({ min: 0n, max: 10n ** 17n })
      .map((units) =>
        `${units / 10_000n}.${String(units % 10_000n).padStart(4, '0')}`.replace(/\.?0+$/, ''),
      )
      .map((plain) => plain || '0');
    const event = fc
      .record({
        eventId: uuid,
        orgId: uuid,
        modelId: uuid,
        actorId: fc.option(uuid),
        clientId: text,
        occurredAtMs: fc.integer({ min: nowMs - 400 * dayMs, max: nowMs + 600_000 }),
        latencyMs: fc.integer({ min: 0, max: dayMs }),
        status: fc.constantFrom(...usageStatuses),
        errorCode: fc.option(text.filter((code) => code !== '')),
        inputTokens: fc.maxSafeNat(),
        outputTokens: fc.maxSafeNat(),
        costEstimateCents: cost,
        hasSplit: fc.boolean(),
        metadata: fc.option(
          fc.dictionary(
            text.filter((key) => key !== '__proto__'),
            text,
            { maxKeys: 5 },
          ),
        ),
      })
      .map(
        ({ hasSplit, ...fields }): UsageEvent => ({
          ...fields,
          errorCode: fields.status === 'success' ? null : fields.errorCode,
          metadata: fields.metadata === null ? null : { ...fields.metadata },
          inputCostCents: hasSplit ? '0' : null,
          outputCostCents: hasSplit ? fields.costEstimateCents : null,
        }),
      );
    fc.assert(
      fc.property(event, (original) => {
        expect(decodeMessage(encodeEvent(original), rules)).toEqual({ event: original });
      }),
    );
  });
});

test.each([
  ['behind', -6 * 3_600_000],
  ['ahead', 500 * dayMs],
])('a second clock that is %s makes no event of now wrong', (_, offMs) => {
  const bytes = Buffer.from(JSON.stringify({ ...valid, occurredAt: at(nowMs) }));
  for (const clocks of [
    { nowMs, otherNowMs: nowMs + offMs },
    { nowMs: nowMs + offMs, otherNowMs: nowMs },
  ]) {
    expect(decodeMessage(bytes, { ...rules, ...clocks })).toHaveProperty('event');
  }
  const wrong = { nowMs: nowMs + offMs, otherNowMs: nowMs + offMs };
  expect(decodeMessage(bytes, { ...rules, ...wrong })).toHaveProperty('faults');
});
