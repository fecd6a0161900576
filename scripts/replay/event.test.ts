import { describe, expect, test } from 'vitest';
import type { UsageEvent } from '../../shared/events/usage-event.ts';
import { eventMaker, type Recipe, type RowResult } from './event.ts';
import { parseExact } from './exact.ts';
import { planFor } from './plan.ts';

const org = '00000000-0000-0000-0000-00000000000a';
const model = '00000000-0000-0000-0000-00000000000b';
const own = '00000000-0000-4000-8000-00000000000c';
const row = { occurredAt: '2026-01-01 00:00:01', inputTokens: '200', outputTokens: '10' };
type Row = Record<string, unknown>;

const recipe: Recipe = {
  rows: 100,
  placement: { firstMs: Date.parse('2026-01-01T00:00:00Z'), shiftDays: 0, stretch: 1 },
  defaults: {
    orgId: org,
    modelId: model,
    provider: '',
    clientId: 'trace',
    inputPrice: parseExact('300') ?? 0n,
    outputPrice: parseExact('1500') ?? 0n,
    msPerInputToken: 0.1,
    msPerOutputToken: 20,
  },
};

const choice = { maps: [], ignores: [], timeZone: 'UTC' };

/** What comes of rows that are the whole of a file. */
function results(rows: readonly Row[], of = recipe): RowResult[] {
  const make = eventMaker(of);
  const plan = planFor('f', Object.keys(row), 'key', choice);
  return rows.map((one) => make(plan.read(Object.keys(one), Object.values(one))));
}

function events(rows: readonly Row[], of = recipe): UsageEvent[] {
  return results(rows, of).map((result) => {
    if ('event' in result) return result.event;
    throw new Error(JSON.stringify(result));
  });
}

const ids = (rows: readonly Row[], of = recipe) => events(rows, of).map(({ eventId }) => eventId);

test('a bare row gets what it lacks, and says so', () => {
  expect(results([row])).toEqual([
    {
      event: {
        eventId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-8/),
        orgId: org,
        modelId: model,
        actorId: null,
        clientId: 'trace',
        occurredAtMs: Date.parse('2026-01-01T00:00:01Z'),
        latencyMs: 220,
        status: 'success',
        errorCode: null,
        inputTokens: 200,
        outputTokens: 10,
        inputCostCents: '0.0600',
        outputCostCents: '0.0150',
        costEstimateCents: '0.0750',
        metadata: null,
      },
      made: { cost: true, model: true, latency: true, status: true },
      modelName: null,
      isMetadataCut: false,
    },
  ]);
});

test('a full row keeps its own', () => {
  const full = {
    ...row,
    orgId: own,
    modelId: own,
    actorId: own,
    clientId: 'mine',
    latencyMs: '7',
    status: 'ERROR',
    errorCode: 'overloaded',
    costEstimateCents: '12.3456',
    metadata: '{"team":"a"}',
  };
  expect(results([full])).toMatchObject([
    {
      event: {
        orgId: own,
        modelId: own,
        actorId: own,
        clientId: 'mine',
        latencyMs: 7,
        status: 'error',
        errorCode: 'overloaded',
        costEstimateCents: '12.3456',
        inputCostCents: null,
        metadata: { team: 'a' },
      },
      made: { cost: false, model: false, latency: false, status: false },
    },
  ]);
});

test.each([
  ['1200.0', 1_200],
  ['1.2e3', 1_200],
  [1_200, 1_200],
])('%j tokens are %d', (inputTokens, expected) => {
  expect(events([{ ...row, inputTokens }])).toMatchObject([{ inputTokens: expected }]);
});

test('a row with the code of an error, and no status, failed', () => {
  expect(results([{ ...row, errorCode: 'overloaded' }])).toMatchObject([
    { event: { status: 'error', errorCode: 'overloaded' }, made: { status: false } },
  ]);
});

describe('the event id', () => {
  test('is the same for the same rows', () => {
    const rows = [row, { ...row, outputTokens: '11' }, row];
    expect(ids(rows)).toEqual(ids(rows));
  });

  test('is kept when rows follow, or came before, that are others', () => {
    const other = { ...row, outputTokens: '11' };
    expect(ids([row, other])[0]).toBe(ids([row])[0]);
    expect(ids([other, row])[1]).toBe(ids([row])[0]);
  });

  test('tells equal rows apart', () => {
    expect(new Set(ids([row, row, row])).size).toBe(3);
    expect(ids([row, row, row]).slice(0, 2)).toEqual(ids([row, row]));
  });

  test.each([
    ['columns in another order', Object.fromEntries(Object.entries(row).reverse())],
    ['numbers in place of text', { ...row, inputTokens: 200, outputTokens: 10 }],
    ['numbers as pandas writes them', { ...row, inputTokens: '200.0' }],
    [
      'another name of a column',
      { TIMESTAMP: row.occurredAt, input_tokens: 200, outputTokens: 10 },
    ],
    ['the same time in another zone', { ...row, occurredAt: '2026-01-01T05:30:01+05:30' }],
    ['the same time since 1970', { ...row, occurredAt: 1_767_225_601 }],
    ['zeros at the end of the time', { ...row, occurredAt: '2026-01-01 00:00:01.000000' }],
    ['a column that nothing reads', { ...row, region: 'eu' }],
    ['an empty column', { ...row, clientId: '' }],
  ])('is the same with %s', (_, same) => {
    expect(ids([same])).toEqual(ids([row]));
  });

  test('differs by content, org, model, shift and stretch', () => {
    const place = (more: object) => ({ ...recipe, placement: { ...recipe.placement, ...more } });
    const fill = (more: object) => ({ ...recipe, defaults: { ...recipe.defaults, ...more } });
    const all = [
      ids([row]),
      ids([{ ...row, occurredAt: '2026-01-01 00:00:01.0000001' }]),
      ids([{ ...row, clientId: 'x' }]),
      ids([{ ...row, costEstimateCents: '1' }]),
      ids([{ ...row, costEstimateCents: '1.00000001' }]),
      ids([{ ...row, metadata: { a: 'b' } }]),
      ids([row], fill({ orgId: own })),
      ids([row], fill({ modelId: own })),
      ids([row], place({ shiftDays: 1 })),
      ids([row], place({ stretch: 2 })),
      ids([row], place({ stretch: 2, firstMs: recipe.placement.firstMs - 1 })),
    ];
    expect(new Set(all.flat()).size).toBe(all.length);
  });

  test('unstretched does not hang on the first row, which a part of the file has not', () => {
    const later = { ...recipe.placement, firstMs: recipe.placement.firstMs + 500 };
    expect(events([row], { ...recipe, placement: later })).toEqual(events([row]));
  });

  test('is the row’s own where it has one, which does not count among equal rows', () => {
    const named = { ...row, eventId: own };
    expect(ids([named, row])).toEqual([own, ...ids([row])]);
  });

  test('does not count rows that are no events', () => {
    const broken = { ...row, status: 'odd' };
    expect(results([broken, row])[1]).toEqual(results([row])[0]);
  });
});

describe('costs of more than 4 decimals', () => {
  const costs = (rows: readonly Row[], of = recipe) =>
    events(rows, of).map((event) => event.costEstimateCents);
  const all = (cost: unknown, count: number) =>
    Array.from({ length: count }, () => ({ ...row, costEstimateCents: cost }));

  test('are carried from row to row', () => {
    expect(costs(all('0.00004', 5))).toEqual(['0.0000', '0.0001', '0.0000', '0.0001', '0.0000']);
    expect(costs(all('0.00725', 2))).toEqual(['0.0073', '0.0072']);
    expect(costs(all('1.3000000000000003', 1))).toEqual(['1.3000']);
    expect(costs(all('4.875e-05', 3))).toEqual(['0.0000', '0.0001', '0.0000']);
  });

  test('of prices are carried too, and the two parts add up', () => {
    const prices = { inputPrice: parseExact('15') ?? 0n, outputPrice: parseExact('60') ?? 0n };
    const few = Array.from({ length: 1_000 }, () => ({ ...row, inputTokens: 2, outputTokens: 2 }));
    const made = events(few, {
      ...recipe,
      rows: 1_000,
      defaults: { ...recipe.defaults, ...prices },
    });
    const units = (text: string | null) => Number(text?.replace('.', ''));
    const sum = (name: 'costEstimateCents' | 'inputCostCents' | 'outputCostCents') =>
      made.reduce((before, event) => before + units(event[name]), 0);
    // 2 tokens at 15 and 2 at 60 cents a million, a thousand times.
    expect([sum('inputCostCents'), sum('outputCostCents')]).toEqual([300, 1_200]);
    expect(sum('costEstimateCents')).toBe(1_500);
  });

  test('of rows that follow change none that came before', () => {
    const rows = all('0.00725', 9);
    expect(events(rows.slice(0, 5))).toEqual(events(rows).slice(0, 5));
  });

  test('are not carried from a row that is no event', () => {
    const broken = { ...row, costEstimateCents: '0.00005', status: 'odd' };
    expect(results([broken, ...all('0.00004', 1)])[1]).toEqual(results(all('0.00004', 1))[0]);
  });

  test('may come in two parts, with or without their sum', () => {
    const parts = { ...row, inputCostCents: '0.00725', outputCostCents: '1' };
    const expected = { inputCostCents: '0.0073', outputCostCents: '1.0000' };
    expect(events([parts])).toMatchObject([{ ...expected, costEstimateCents: '1.0073' }]);
    expect(events([{ ...parts, costEstimateCents: '1.00725' }])).toMatchObject([expected]);
    expect(results([{ ...parts, costEstimateCents: '2' }])).toEqual([
      { fault: 'costEstimateCents: must equal inputCostCents + outputCostCents' },
    ]);
    expect(results([{ ...row, outputCostCents: '1' }])).toEqual([
      { fault: 'inputCostCents: is required beside outputCostCents' },
    ]);
  });
});

test.each([
  [{ occurredAt: 'noon' }, /^occurredAt: must be a date and time, not "noon"$/],
  [{ occurredAt: undefined }, /^occurredAt: must be a date and time, not nothing$/],
  [{ occurredAt: true }, /^occurredAt: must be a date and time, not true$/],
  [{ inputTokens: '-5' }, /^inputTokens: must not be negative$/],
  [{ outputTokens: '1.5' }, /^outputTokens: must be a whole number$/],
  [{ outputTokens: '1,200' }, /^outputTokens: must be a whole number$/],
  [{ outputTokens: undefined }, /^outputTokens: is required$/],
  [{ latencyMs: 'fast' }, /^latencyMs: must be a whole number$/],
  [{ costEstimateCents: '-1' }, /^costEstimateCents: must not be negative$/],
  [
    { costEstimateCents: 'NaN' },
    /^costEstimateCents: must be a number such as 12.3456, not "NaN"$/,
  ],
  [{ costEstimateCents: true }, /^costEstimateCents: must be a number/],
  [{ costEstimateCents: '1e14' }, /^costEstimateCents: must be below 10\^14$/],
  [{ inputTokens: Number.MAX_SAFE_INTEGER }, null],
  [{ eventId: '7' }, /^eventId: must be a uuid$/],
  [{ metadata: [1] }, /^metadata: /],
  [{ metadata: { n: 1 } }, /^metadata.n: must be string/],
  [{ status: 'odd' }, /^status: must be one of/],
  [{ status: '700' }, /^status: must be one of/],
])('%j is named', (change, reason) => {
  const [result] = results([{ ...row, ...change }]);
  if (reason === null) expect(result).toHaveProperty('event');
  else expect(result).toEqual({ fault: expect.stringMatching(reason) });
});
