import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeEvent } from '../../shared/events/usage-event.ts';
import { fittingMetadata } from './metadata.ts';

const event = {
  eventId: '00000000-0000-4000-8000-00000000000c',
  orgId: '00000000-0000-4000-8000-00000000000a',
  modelId: '00000000-0000-4000-8000-00000000000b',
  occurredAt: '2026-01-01T00:00:00Z',
  latencyMs: 1,
  status: 'success',
  inputTokens: 1,
  outputTokens: 1,
  costEstimateCents: '0',
};
const rules = { nowMs: Number.MAX_SAFE_INTEGER, rawRetentionDays: Number.POSITIVE_INFINITY };

test('short texts are kept beside what the row has', () => {
  expect(fittingMetadata({ user: 'bob' }, { team: 'a' })).toEqual({
    metadata: { team: 'a', user: 'bob' },
    isCut: false,
  });
});

test('a long text is cut, and what an event cannot hold is taken out', () => {
  const { metadata, isCut } = fittingMetadata(
    { long: 'x'.repeat(1_000), odd: 'a\u0000\ud800' },
    {},
  );
  expect(metadata).toEqual({ long: `${'x'.repeat(255)}…`, odd: 'a\ufffd' });
  expect(isCut).toBe(true);
});

test('the last keys give way where there are too many', () => {
  const found = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`k${index}`, 'v']));
  const { metadata, isCut } = fittingMetadata(found, { own: 'a' });
  expect(Object.keys(metadata)).toHaveLength(32);
  expect(metadata).toMatchObject({ own: 'a', k0: 'v', k30: 'v' });
  expect(isCut).toBe(true);
});

test('whatever was found, the event is valid', () => {
  const texts = fc.string({ unit: 'binary', maxLength: 400 });
  fc.assert(
    fc.property(fc.dictionary(fc.string({ maxLength: 20 }), texts, { maxKeys: 50 }), (found) => {
      const { metadata } = fittingMetadata(found, {});
      expect(decodeEvent({ ...event, metadata }, rules)).toHaveProperty('event');
    }),
  );
});
