import { describe, expect, test } from 'vitest';
import type { Fields } from './columns.ts';
import { eventOf, type Recipe } from './event.ts';

const org = '00000000-0000-0000-0000-00000000000a';
const model = '00000000-0000-0000-0000-00000000000b';
const own = '00000000-0000-4000-8000-00000000000c';
const row: Fields = { occurredAt: '2026-01-01 00:00:01', inputTokens: '200', outputTokens: '10' };
const recipe: Recipe = {
  fileHash: 'ab',
  placement: { firstMs: Date.parse('2026-01-01T00:00:00Z'), shiftDays: 0, stretch: 1 },
  defaults: {
    orgId: org,
    modelId: model,
    clientId: 'trace',
    inputPrice: 300_000_000n,
    outputPrice: 1_500_000_000n,
    msPerInputToken: 0.1,
    msPerOutputToken: 20,
  },
};

function event(fields: Fields, number = 1, of = recipe) {
  const result = eventOf(fields, number, of);
  if ('fault' in result) throw new Error(result.fault);
  return result.event;
}

test('a bare row gets what it lacks', () => {
  expect(event(row)).toEqual({
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
    inputCostCents: '0.06',
    outputCostCents: '0.015',
    costEstimateCents: '0.075',
    metadata: null,
  });
});

test('a full row keeps its own', () => {
  const full = {
    ...row,
    orgId: own,
    modelId: own,
    clientId: 'mine',
    latencyMs: '7',
    status: 'ERROR',
    errorCode: 'overloaded',
    costEstimateCents: '12.3456',
    metadata: '{"team":"a"}',
  };
  expect(event(full)).toMatchObject({
    orgId: own,
    modelId: own,
    clientId: 'mine',
    latencyMs: 7,
    status: 'error',
    errorCode: 'overloaded',
    costEstimateCents: '12.3456',
    inputCostCents: null,
    metadata: { team: 'a' },
  });
});

describe('the event id', () => {
  const id = (number: number, change: (base: Recipe) => Recipe = (base) => base) =>
    event(row, number, change(structuredClone(recipe))).eventId;

  test('is the same for the same replay', () => {
    expect(id(1)).toBe(id(1));
  });

  test('differs by row, file, org, model, shift and stretch', () => {
    const place = (more: object) => (base: Recipe) => ({
      ...base,
      placement: { ...base.placement, ...more },
    });
    const fill = (more: object) => (base: Recipe) => ({
      ...base,
      defaults: { ...base.defaults, ...more },
    });
    const ids = [
      id(1),
      id(2),
      id(1, (base) => ({ ...base, fileHash: 'cd' })),
      id(1, fill({ orgId: own })),
      id(1, fill({ modelId: own })),
      id(1, place({ shiftDays: 1 })),
      id(1, place({ stretch: 2 })),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('is the row’s own where it has one', () => {
    expect(event({ ...row, eventId: own }).eventId).toBe(own);
  });
});

test.each([
  [{ occurredAt: 'noon' }, /^occurredAt: must be a date and time, not "noon"$/],
  [{ occurredAt: undefined }, /^occurredAt: must be a date and time, not nothing$/],
  [{ inputTokens: '-5' }, /^inputTokens: must not be negative$/],
  [{ outputTokens: '1.5' }, /^outputTokens: must be a whole number$/],
  [{ outputTokens: undefined }, /^outputTokens: is required$/],
  [{ latencyMs: 'fast' }, /^latencyMs: must be a whole number$/],
  [{ costEstimateCents: '1.23456' }, /^costEstimateCents: must have at most 4 decimals$/],
  [{ eventId: '7' }, /^eventId: must be a uuid$/],
])('%j is named', (change, reason) => {
  expect(eventOf({ ...row, ...change }, 1, recipe)).toEqual({
    fault: expect.stringMatching(reason),
  });
});
