import { describe, expect, test } from 'vitest';
import { likelyTarget, namesText, refusalOf } from './unused.ts';

describe('likelyTarget', () => {
  test.each([
    ['cost_usd', 'costEstimateUsd'],
    ['totalCost', 'costEstimateUsd|costEstimateCents'],
    ['price_cents', 'costEstimateCents'],
    ['spend', 'costEstimateUsd|costEstimateCents'],
    ['usage.cost', 'costEstimateUsd|costEstimateCents'],
    ['model', 'model'],
    ['Model Name', 'model'],
    ['provider', 'provider'],
    ['client', 'clientId'],
    ['apiKey', 'clientId'],
    ['api_key_alias', 'clientId'],
    ['userEmail', 'user'],
    ['team', 'metadata.team'],
    ['tenant', 'orgId'],
    ['status_code', 'status'],
    ['httpStatus', 'status'],
    ['success', 'status'],
    ['error_type', 'errorCode'],
    ['error_message', 'errorCode'],
    ['error', 'errorCode|failed'],
    ['is_error', 'failed'],
    ['failed', 'failed'],
    ['latency', 'latencySeconds|latencyMs'],
    ['duration_ms', 'latencyMs'],
    ['elapsed_seconds', 'latencySeconds'],
    ['Response time', 'latencySeconds|latencyMs'],
  ])('%s may be %s', (column, target) => {
    expect(likelyTarget(column)).toBe(target);
  });

  test.each(['region', 'x', 'id', 'total_tokens', 'hash_ids', 'Log Type', 'batch', 'monkey'])(
    '%s invents nothing by its loss',
    (column) => {
      expect(likelyTarget(column)).toBeUndefined();
    },
  );
});

test('a refusal names every such column, and the way out as a shell takes it', () => {
  expect(refusalOf('f', ['region', 'cost_usd', "the client's"])).toBe(
    "f: events would lose cost_usd, the client's, and have values made here in their place; say " +
      "what they hold, such as --map cost_usd=costEstimateUsd --map 'the client'\\''s=clientId', " +
      "or leave them out by --ignore cost_usd --ignore 'the client'\\''s'",
  );
  expect(refusalOf('f', ['region'])).toBeUndefined();
});

test('of very many names the first are told', () => {
  const names = Array.from({ length: 40 }, (_, index) => `n${index}`);
  expect(namesText(names)).toMatch(/^n0, .*, n29 and 10 more$/);
});
