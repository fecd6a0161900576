import fc from 'fast-check';
import { type UsageEvent, usageStatuses } from '../../shared/events/usage-event.ts';

/**
 * Usage events as JSON texts, each with what the contract says of it. Written from the contract and
 * not from the code: what is valid here is known by how it was made.
 */
export interface WrittenMessage {
  bytes: Buffer;
  /** The event that must be stored, or null where the message must be rejected. */
  event: UsageEvent | null;
}

const dayMs = 86_400_000;
export const fuzzNowMs = Date.parse('2026-06-15T12:00:00.000Z');
export const fuzzRules = { nowMs: fuzzNowMs, rawRetentionDays: 400 };

/** A field as JSON text (null: left out), with its value once stored, or `wrong`. */
type Field<T> = { json: string | null } & ({ stored: T } | { wrong: true });

const json = (value: unknown) => JSON.stringify(value);
const wrong = (...values: unknown[]): fc.Arbitrary<Field<never>> =>
  fc.constantFrom(...values).map((value) => ({
    json: value === undefined ? null : json(value),
    wrong: true,
  }));
const absent = <T>(stored: T): fc.Arbitrary<Field<T>> =>
  fc.constantFrom(null, 'null').map((text) => ({ json: text, stored }));

/** Text as JSON, some of its characters as escapes that no writer needs. */
const spelt = (value: string) =>
  fc
    .nat(7)
    .map((every) =>
      json(value).replace(/[a-zA-Z]/g, (letter, at: number, whole: string) =>
        every > 1 &&
        at % every === 0 &&
        whole[at - 1] !== '\\' &&
        !/\\u.{0,3}$/.test(whole.slice(0, at))
          ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
          : letter,
      ),
    );

const uuid = fc.uuid().chain((id) =>
  fc.boolean().map(
    (isUpper): Field<string> => ({
      json: json(isUpper ? id.toUpperCase() : id),
      stored: id,
    }),
  ),
);
const wrongUuid = wrong(
  undefined,
  null,
  '',
  5,
  'x',
  '11111111-1111-4111-8111-11111111111g',
  [],
  {},
);
const id = often(uuid, wrongUuid);

const anyText = (maxLength: number) =>
  fc
    .oneof(
      fc.string({ unit: 'grapheme', maxLength }),
      fc.string({ unit: 'binary', maxLength }),
      fc.constantFrom('\\', '"', '\\N', '\t\n\r\b', '\u2028', '\ufeff', '\u007f', '{}', "'; --"),
    )
    .filter((text) => text.length <= maxLength && text.isWellFormed() && !text.includes('\u0000'));
const text = anyText(128).chain((stored) =>
  spelt(stored).map((written) => ({ json: written, stored })),
);
const wrongText = wrong('a\u0000', '\ud800', '\udc00x', 'x'.repeat(129), 5, true, [], {});

const instant = fc
  .record({
    ms: fc.oneof(
      fc.integer({ min: fuzzNowMs - 400 * dayMs, max: fuzzNowMs + 600_000 }),
      fc.constantFrom(fuzzNowMs - 400 * dayMs, fuzzNowMs + 600_000),
    ),
    finer: fc.stringMatching(/^\d{0,9}$/),
    offsetMinutes: fc.constantFrom(0, 0, 60, -90, 345, 14 * 60),
  })
  .map(({ ms, finer, offsetMinutes }): Field<number> => {
    const local = new Date(ms + offsetMinutes * 60_000).toISOString().slice(0, -1);
    const [hours, minutes] = [Math.trunc(offsetMinutes / 60), offsetMinutes % 60].map((part) =>
      String(Math.abs(part)).padStart(2, '0'),
    );
    const zone = offsetMinutes === 0 ? 'Z' : `${offsetMinutes < 0 ? '-' : '+'}${hours}:${minutes}`;
    return { json: json(`${local}${finer}${zone}`), stored: ms };
  });
const wrongInstant = wrong(
  undefined,
  null,
  fuzzNowMs,
  '',
  '2026-06-15T11:00:00',
  '2026-06-15 11:00:00Z',
  '2026-02-29T11:00:00Z',
  '2026-06-15T24:00:00Z',
  '+002026-06-15T11:00:00Z',
  '9999-12-31T23:59:59Z',
  '0000-01-01T00:00:00Z',
  new Date(fuzzNowMs + 600_001).toISOString(),
  new Date(fuzzNowMs - 400 * dayMs - 1).toISOString(),
);

const whole = (max: number) =>
  fc
    .oneof(fc.nat(max), fc.constantFrom(0, max), fc.nat(Math.min(max, 5_000)))
    .chain((stored) =>
      fc
        .constantFrom(`${stored}`, `${stored}.0`, `${stored}e0`)
        .map((written): Field<number> => ({ json: written, stored })),
    );
const wrongWhole = wrong(undefined, null, -1, 0.5, '5', true, [], 2 ** 53, 1e300);

/** An amount in 1/10,000 of a cent: as it is stored, and as many ways to write it. */
const maxUnits = 10n ** 18n - 1n;
const plainOf = (units: bigint) => {
  const digits = units.toString().padStart(5, '0');
  return `${digits.slice(0, -4)}.${digits.slice(-4)}`;
};
const amount = (units: bigint): fc.Arbitrary<Field<string>> =>
  fc
    .record({
      form: fc.constantFrom('plain', 'scientific', 'padded'),
      isText: fc.boolean(),
      zeros: fc.nat(30),
    })
    .map(({ form, isText, zeros }) => {
      const plain = plainOf(units);
      const written =
        form === 'plain' ? plain : form === 'padded' ? plain + '0'.repeat(zeros) : `${units}e-4`;
      return { json: isText ? json(written) : written, stored: plain.replace(/\.?0+$/, '') };
    });
const units = fc.oneof(
  fc.bigInt({ min: 0n, max: maxUnits }),
  fc.bigInt({ min: 0n, max: 100_000n }),
  fc.constantFrom(0n, 1n, maxUnits),
);
const wrongCost = fc.oneof(
  wrong(undefined, null, '', 'free', '-1', -1, '1,5', '0x10', true, [], {}, '\u00001.5', ['1.5']),
  fc
    .constantFrom('0.00001', '1.23456', '1e-5', '100000000000000', '1e14', '"1e999"', '-0.5')
    .map((written): Field<never> => ({ json: written, wrong: true })),
);
interface Costs {
  costEstimateCents: Field<string>;
  inputCostCents: Field<string | null>;
  outputCostCents: Field<string | null>;
}
const noSplit: Field<null> = { json: null, stored: null };
const costs: fc.Arbitrary<Costs> = fc.oneof(
  {
    weight: 6,
    arbitrary: units.chain(amount).map((costEstimateCents) => ({
      costEstimateCents,
      inputCostCents: noSplit,
      outputCostCents: noSplit,
    })),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(units, units)
      .filter(([input, output]) => input + output <= maxUnits)
      .chain(([input, output]) =>
        fc.record({
          costEstimateCents: amount(input + output),
          inputCostCents: amount(input),
          outputCostCents: amount(output),
        }),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.record({
        costEstimateCents: wrongCost,
        inputCostCents: fc.constant(noSplit),
        outputCostCents: fc.constant(noSplit),
      }),
      // One beyond its parts, or with one part alone.
      units.chain((sum) =>
        fc.record({
          costEstimateCents: amount(sum),
          inputCostCents: amount(sum === maxUnits ? sum - 1n : sum + 1n),
          outputCostCents: fc.oneof(fc.constant(noSplit), amount(0n)).map(({ json: written }) => ({
            json: written,
            wrong: true as const,
          })),
        }),
      ),
    ),
  },
);

const metadataBytes = (value: object) => Buffer.byteLength(JSON.stringify(value));
const metadata: fc.Arbitrary<Field<Record<string, string> | null>> = fc
  .dictionary(
    fc.oneof(anyText(12), fc.constantFrom('toString', 'constructor', 'costEstimateCents')),
    anyText(60),
    { maxKeys: 32, noNullPrototype: true },
  )
  .filter((value) => metadataBytes(value) <= 4_096 && !Object.hasOwn(value, '__proto__'))
  .map((stored) => ({ json: json(stored), stored }));
const wrongMetadata = fc.oneof(
  wrong(['a'], 'a', 5, { a: 1 }, { a: null }, { a: { b: 'c' } }, { a: '\u0000' }, { '\ud800': '' }),
  wrong(
    Object.fromEntries(Array.from({ length: 33 }, (_, key) => [`k${key}`, ''])),
    { a: 'x'.repeat(4_089) },
    { a: '€'.repeat(1_400) },
  ),
  // Not writable as a literal: JSON.parse alone makes such a key.
  fc
    .constantFrom('{"__proto__":"x"}', '{"__proto__":{"a":"b"}}', '{"costEstimateCents":1.5}')
    .map((written): Field<never> => ({ json: written, wrong: true })),
);

const outcome = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      status: fc.constant<Field<UsageEvent['status']>>({ json: '"success"', stored: 'success' }),
      errorCode: fc.oneof(absent(null), fc.constant({ json: '""', stored: null })),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      status: fc
        .constantFrom(...usageStatuses.filter((status) => status !== 'success'))
        .map((stored): Field<UsageEvent['status']> => ({ json: json(stored), stored })),
      errorCode: fc.oneof(
        absent(null),
        text.map((code) => ({ json: code.json, stored: code.stored || null })),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.record({
        status: wrong(undefined, null, '', 'OK', 'SUCCESS', 5),
        errorCode: absent(null),
      }),
      fc.record({
        status: fc.constant<Field<UsageEvent['status']>>({ json: '"success"', stored: 'success' }),
        errorCode: fc.constant<Field<never>>({ json: '"overloaded"', wrong: true }),
      }),
      fc.record({
        status: fc.constant<Field<UsageEvent['status']>>({ json: '"error"', stored: 'error' }),
        errorCode: wrongText,
      }),
    ),
  },
);

/** Mostly what is right: an event has many fields, and one wrong one hides all the others. */
function often<T>(right: fc.Arbitrary<Field<T>>, not: fc.Arbitrary<Field<never>>) {
  return fc.oneof({ weight: 40, arbitrary: right }, { weight: 1, arbitrary: not });
}

const fields = fc
  .record({
    eventId: id,
    orgId: id,
    modelId: id,
    actorId: often(fc.oneof(absent(null), uuid), wrong('', 'x', 5, [])),
    clientId: often(fc.oneof(absent(''), text), wrongText),
    occurredAt: often(instant, wrongInstant),
    latencyMs: often(whole(dayMs), fc.oneof(wrongWhole, wrong(dayMs + 1))),
    outcome,
    inputTokens: often(whole(Number.MAX_SAFE_INTEGER), wrongWhole),
    outputTokens: often(whole(Number.MAX_SAFE_INTEGER), wrongWhole),
    costs,
    metadata: often(fc.oneof(absent(null), metadata), wrongMetadata),
  })
  .map(({ outcome: { status, errorCode }, costs: amounts, ...rest }) => ({
    ...rest,
    ...amounts,
    status,
    errorCode,
  }));

type Fields = typeof fields extends fc.Arbitrary<infer T> ? T : never;

function storedOf<T>(field: Field<T>): T {
  if ('wrong' in field) throw new Error('a wrong field is not stored');
  return field.stored;
}

function eventOf(given: Fields): UsageEvent | null {
  if (Object.values(given).some((field) => 'wrong' in field)) return null;
  return {
    eventId: storedOf(given.eventId),
    orgId: storedOf(given.orgId),
    modelId: storedOf(given.modelId),
    actorId: storedOf(given.actorId),
    clientId: storedOf(given.clientId),
    occurredAtMs: storedOf(given.occurredAt),
    latencyMs: storedOf(given.latencyMs),
    status: storedOf(given.status),
    errorCode: storedOf(given.errorCode),
    inputTokens: storedOf(given.inputTokens),
    outputTokens: storedOf(given.outputTokens),
    costEstimateCents: storedOf(given.costEstimateCents),
    inputCostCents: storedOf(given.inputCostCents),
    outputCostCents: storedOf(given.outputCostCents),
    metadata: storedOf(given.metadata),
  };
}

/** Messages whose verdict is known, in any order of fields and with any white space. */
export const writtenMessages: fc.Arbitrary<WrittenMessage> = fc
  .record({
    given: fields,
    unknown: fc.dictionary(
      fc.string({ maxLength: 8 }).map((key) => `x${key}`),
      fc.jsonValue({ maxDepth: 2 }),
      { maxKeys: 2 },
    ),
    order: fc.infiniteStream(fc.nat(1_000)),
    space: fc.constantFrom('', ' ', '\n\t', ' \r\n '),
  })
  .map(({ given, unknown, order, space }) => {
    const entries = [
      ...Object.entries(given).flatMap(([key, field]) =>
        field.json === null ? [] : [[key, field.json] as const],
      ),
      ...Object.entries(unknown).map(([key, value]) => [key, json(value)] as const),
    ];
    const shuffled = entries
      .map((entry) => ({ entry, place: Number(order.next().value) }))
      .sort((a, b) => a.place - b.place)
      .map(({ entry: [key, value] }) => `${json(key)}${space}:${space}${value}`);
    const body = `${space}{${space}${shuffled.join(`${space},${space}`)}${space}}${space}`;
    return { bytes: Buffer.from(body), event: eventOf(given) };
  });

/** Valid and invalid messages with some bytes changed, left out, or repeated. */
export const brokenMessages: fc.Arbitrary<Buffer> = fc
  .tuple(
    writtenMessages,
    fc.array(
      fc.record({
        at: fc.nat(2_000),
        length: fc.nat(4),
        instead: fc.oneof(
          fc.uint8Array({ maxLength: 3 }),
          fc
            .constantFrom(
              ',',
              '"',
              '\\',
              '}',
              '0',
              '9',
              '.',
              'e9',
              '-',
              '\\u0000',
              '\ufeff',
              'null',
            )
            .map((written) => new Uint8Array(Buffer.from(written))),
        ),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  )
  .map(([{ bytes }, changes]) =>
    changes.reduce((current, { at, length, instead }) => {
      const from = current.length === 0 ? 0 : at % current.length;
      return Buffer.concat([current.subarray(0, from), instead, current.subarray(from + length)]);
    }, bytes),
  );
