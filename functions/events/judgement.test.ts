import { expect, test } from 'vitest';
import type { UsageEvent } from '../../shared/events/usage-event.ts';
import { type Candidate, judge, receiptOf } from './judgement.ts';

const orgId = '00000000-0000-0000-0000-000000000001';
const foreign = '00000000-0000-0000-0000-000000000002';
const event: UsageEvent = {
  eventId: '00000000-0000-0000-0000-00000000000e',
  orgId,
  modelId: '00000000-0000-0000-0000-0000000000a1',
  actorId: null,
  clientId: '',
  occurredAtMs: 0,
  latencyMs: 1,
  status: 'success',
  errorCode: null,
  inputTokens: 1,
  outputTokens: 1,
  costEstimateCents: '1',
  inputCostCents: null,
  outputCostCents: null,
  metadata: null,
};
const fault = { path: 'latencyMs', message: 'is required' };
const differs = { path: 'occurredAt', message: 'differs' };
const candidates: Candidate[] = [
  { eventId: '0', decoded: { event } },
  { eventId: '1', decoded: { faults: [fault] } },
  { eventId: '2', decoded: { event } },
  { eventId: '3', decoded: { event: { ...event, orgId: foreign } } },
  { eventId: '4', decoded: { event } },
];
const verdicts = judge(candidates, (one) => (one.orgId === orgId ? null : 'not yours'));

test('what the sink says goes to the event it says it of, and conflicts count as rejected', () => {
  const { receipt, faults } = receiptOf(
    verdicts,
    [{ status: 'accepted' }, { status: 'conflict', faults: [differs] }, { status: 'duplicate' }],
    true,
  );
  const forbidden = { path: 'orgId', message: 'forbidden: not yours' };
  expect(receipt).toEqual({
    accepted: 2,
    rejected: 3,
    results: [
      { index: 0, eventId: '0', status: 'accepted' },
      { index: 1, eventId: '1', status: 'rejected', errors: [fault] },
      { index: 2, eventId: '2', status: 'conflict', errors: [differs] },
      { index: 3, eventId: '3', status: 'rejected', errors: [forbidden] },
      { index: 4, eventId: '4', status: 'duplicate' },
    ],
  });
  expect(faults).toEqual([
    { path: '[1].latencyMs', message: 'is required' },
    { path: '[2].occurredAt', message: 'differs' },
    { path: '[3].orgId', message: 'forbidden: not yours' },
  ]);
});

test('only what is another’s is told as foreign', () => {
  const isForeign = verdicts.map((verdict) => 'faults' in verdict && verdict.isForeign);
  expect(isForeign).toEqual([false, false, false, true, false]);
});
