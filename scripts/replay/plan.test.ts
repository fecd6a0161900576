import { describe, expect, test } from 'vitest';
import { eventColumns } from '../../shared/exports/events.ts';
import { UsageError } from '../cli/failure.ts';
import { type ColumnChoice, planFor } from './plan.ts';

const base = ['occurred_at', 'input_tokens', 'output_tokens'];
const values = ['2026-01-01T00:00:00Z', '1', '2'];
const nothing: ColumnChoice = { maps: [], ignores: [], timeZone: 'UTC' };

function map(...pairs: string[]): ColumnChoice['maps'] {
  return pairs.map((pair) => {
    const [column = '', target = ''] = pair.split('=');
    return { column, target };
  });
}

/** A row with more columns, read. */
function read(more: Record<string, unknown>, choice: Partial<ColumnChoice> = {}) {
  const names = [...base, ...Object.keys(more)];
  const plan = planFor('f', names, 'column', { ...nothing, ...choice });
  return { plan, draft: plan.read(names, [...values, ...Object.values(more)]) };
}

describe('names', () => {
  test.each([
    ['camelCase', 'clientId'],
    ['snake_case', 'client_id'],
    ['any case', 'CLIENT-ID'],
    ['spaces', 'Client Id'],
  ])('are known in %s', (_, name) => {
    expect(read({ [name]: 'a' }).draft.fields).toMatchObject({ clientId: 'a' });
  });

  test('of the Azure traces are known beside ours, which win over them', () => {
    const { plan, draft } = read({ TIMESTAMP: '2025-01-01T00:00:00Z' });
    expect(draft.time?.ms).toBe(Date.parse('2026-01-01T00:00:00Z'));
    expect(plan.unused()).toEqual(['TIMESTAMP']);
  });

  test('that are one field twice are refused by both', () => {
    expect(() => read({ event_id: 'a', x: 'b', eventId: 'c' })).toThrow(
      new UsageError('f: the columns event_id and eventId are both eventId'),
    );
  });

  test('may be other ones in other rows of JSON', () => {
    const names = [...base, 'event_id', 'eventId'];
    const plan = planFor('f', names, 'key', nothing);
    for (const id of ['event_id', 'eventId']) {
      expect(plan.read([...base, id], [...values, 'x']).fields.eventId).toBe('x');
    }
    expect(() => plan.read(names, [...values, 'x', 'y'])).toThrow('are both eventId');
  });

  test('that every row needs are asked for by both names', () => {
    const plan = (names: string[], kind: 'column' | 'key') => () =>
      planFor('f', names, kind, nothing);
    expect(plan(['TIMESTAMP', 'ContextTokens'], 'column')).toThrow(
      new UsageError(
        'f has no column outputTokens (or GeneratedTokens); it has: TIMESTAMP, ContextTokens',
      ),
    );
    expect(plan(['id', 'usage'], 'key')).toThrow(
      'f has no key occurredAt (or TIMESTAMP), nor inputTokens (or ContextTokens), nor ' +
        'outputTokens (or GeneratedTokens); it has: id, usage',
    );
  });
});

describe('what nothing reads', () => {
  test('is told once it held something', () => {
    const { plan } = read({ cost_usd: '1', region: '', zone: 'a' });
    expect(plan.unused()).toEqual(['cost_usd', 'zone']);
  });

  test('is told of keys within keys', () => {
    const { plan } = read({ usage: { cost: 1, more: { model: 'x' } }, list: [{ a: 1 }] });
    expect(plan.unused()).toEqual(['usage.cost', 'usage.more.model', 'list']);
  });

  test('is not told where it is ignored', () => {
    const { plan } = read({ cost_usd: '1' }, { ignores: ['Cost-USD'] });
    expect(plan.unused()).toEqual([]);
    expect(plan.leftOut()).toEqual(['cost_usd']);
  });

  test('of a thousand keys in one row is a fault of that row', () => {
    const keys = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [index, 1]));
    expect(() => read({ keys })).toThrow('the row has more than 1000 keys');
  });
});

describe('--map', () => {
  test('says what columns hold, in which units', () => {
    const { draft } = read(
      {
        model: 'gpt-4o',
        client: 'team-a',
        cost_usd: '0.00075',
        latency: '4.2',
        status_code: '500',
      },
      {
        maps: map(
          ...['model=model', 'client=clientId', 'cost_usd=costEstimateUsd'],
          ...['latency=latencySeconds', 'status_code=status'],
        ),
      },
    );
    expect(draft).toMatchObject({
      modelName: 'gpt-4o',
      fields: { clientId: 'team-a', latencyMs: 4_200, status: 'error', errorCode: '500' },
      costs: { whole: 75n * 10n ** 27n },
      faults: [],
    });
  });

  test.each([
    ['200', 'success', undefined],
    ['201', 'success', undefined],
    ['429', 'throttled', '429'],
    ['408', 'timeout', '408'],
    ['504', 'timeout', '504'],
    ['400', 'error', '400'],
    ['503', 'error', '503'],
    ['ok', 'success', undefined],
    ['Failure', 'error', undefined],
    ['rate_limited', 'throttled', undefined],
    [false, 'error', undefined],
  ])('status %j is %s', (given, status, errorCode) => {
    const { draft } = read({ s: given }, { maps: map('s=status') });
    expect(draft.fields).toMatchObject({ status });
    expect(draft.fields.errorCode).toBe(errorCode);
  });

  test.each([
    ['true', 'error'],
    [false, 'success'],
    ['0', 'success'],
    ['maybe', undefined],
  ])('failed %j is %s', (given, status) => {
    const { draft } = read({ f: given }, { maps: map('f=failed') });
    expect(draft.fields.status).toBe(status);
    expect(draft.faults.length).toBe(status === undefined ? 1 : 0);
  });

  test('reaches keys within keys', () => {
    const names = ['time', 'usage'];
    const plan = planFor('f', names, 'key', {
      ...nothing,
      maps: map('time=occurredAt', 'usage.in=inputTokens', 'usage.out=outputTokens'),
    });
    const draft = plan.read(names, [1_763_596_800, { in: 3, out: 4, x: 5 }]);
    expect(draft.fields).toMatchObject({ inputTokens: 3, outputTokens: 4 });
    expect(plan.unused()).toEqual(['usage.x']);
  });

  test('puts what has no field into metadata, and a user that is no uuid', () => {
    const maps = map('team=metadata.team', 'user=user');
    expect(read({ team: 'a', user: 'bob' }, { maps }).draft.metadata).toEqual({
      team: 'a',
      user: 'bob',
    });
    const uuid = '00000000-0000-4000-8000-00000000000c';
    expect(read({ team: 'a', user: uuid }, { maps }).draft).toMatchObject({
      metadata: { team: 'a' },
      fields: { actorId: uuid },
    });
  });

  test('wins over a column of that name, which is then unused', () => {
    const { plan, draft } = read({ client_id: 'a', caller: 'b' }, { maps: map('caller=clientId') });
    expect(draft.fields.clientId).toBe('b');
    expect(plan.unused()).toEqual(['client_id']);
  });

  test.each([
    [map('nope=model'), /^--map: f has no column nope; it has: occurred_at, /],
    [map('x=modle'), /^--map: modle is none of eventId, .* and metadata.KEY$/],
  ])('that cannot be is wrong usage: %j', (maps, message) => {
    const reading = () => read({ x: '1' }, { maps });
    expect(reading).toThrow(UsageError);
    expect(reading).toThrow(message);
  });

  test('of two columns to one target is refused', () => {
    expect(() => read({ a: '1', b: '2' }, { maps: map('a=clientId', 'b=clientId') })).toThrow(
      new UsageError('f: the columns a and b are both clientId'),
    );
  });
});

describe('our own export', () => {
  const row = (over: Record<string, string>) =>
    eventColumns.map(
      (name) => over[name] ?? (name === 'occurred_at' ? '2026-01-01T00:00:00.000Z' : '1'),
    );
  const client = (names: readonly string[], cells: string[]) =>
    planFor('f', names, 'column', nothing).read(names, cells).fields.clientId;

  test('is known by its columns, and its texts are what they were', () => {
    expect(client(eventColumns, row({ client_id: "'=x" }))).toBe('=x');
    expect(client(eventColumns, row({ client_id: "''=x" }))).toBe("'=x");
    expect(client(eventColumns, row({ client_id: "'quoted" }))).toBe("'quoted");
    expect(client(eventColumns, row({ client_id: '  ' }))).toBe('  ');
  });

  test('is not taken for what psql copies from the same columns', () => {
    const cells = row({ client_id: "'=x", occurred_at: '2026-01-01 00:00:00+00' });
    expect(client(eventColumns, cells)).toBe("'=x");
    expect(client([...eventColumns, 'metadata'], [...row({ client_id: "'=x" }), '{}'])).toBe("'=x");
  });
});
