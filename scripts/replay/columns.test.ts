import { describe, expect, test } from 'vitest';
import { fieldsOf, missingColumns } from './columns.ts';

describe('fieldsOf', () => {
  test.each([
    ['camelCase', ['eventId', 'costEstimateCents'], ['eventId', 'costEstimateCents']],
    ['snake_case', ['event_id', 'cost_estimate_cents'], ['eventId', 'costEstimateCents']],
    ['any case', ['EVENT_ID', 'occurredat', 'Latency Ms'], ['eventId', 'occurredAt', 'latencyMs']],
    [
      'the Azure trace',
      ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'],
      ['occurredAt', 'inputTokens', 'outputTokens'],
    ],
    ['columns of no meaning', ['region', 'inputTokens'], [null, 'inputTokens']],
    ['our name before a trace’s', ['timestamp', 'occurred_at'], [null, 'occurredAt']],
  ])('reads %s', (_, columns, fields) => {
    expect(fieldsOf(columns)).toEqual(fields);
  });

  test('refuses two columns for one field, and names both', () => {
    expect(() => fieldsOf(['event_id', 'x', 'eventId'])).toThrow(
      'the columns event_id and eventId are both eventId',
    );
  });
});

describe('missingColumns', () => {
  test('is empty when a row has its time and its tokens', () => {
    expect(missingColumns(['occurredAt', null, 'outputTokens', 'inputTokens'])).toEqual([]);
  });

  test('names what is missing by both names', () => {
    expect(missingColumns(['occurredAt', 'inputTokens'])).toEqual([
      'outputTokens (or GeneratedTokens)',
    ]);
  });
});
