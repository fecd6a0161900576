import { expect, test } from 'vitest';
import { withOutcomes } from './outcomes.ts';

test('each outcome goes to the event that was taken for it, and conflicts count as rejected', () => {
  const errors = [{ path: 'latencyMs', message: 'is required' }];
  const faults = [{ path: 'occurredAt', message: 'differs' }];
  const statuses = ['accepted', 'rejected', 'accepted', 'accepted'] as const;
  const receipt = {
    accepted: 3,
    rejected: 1,
    results: statuses.map((status, index) => ({
      index,
      eventId: `${index}`,
      status,
      ...(status === 'rejected' ? { errors } : {}),
    })),
  };
  expect(
    withOutcomes(receipt, [
      { status: 'accepted' },
      { status: 'conflict', faults },
      { status: 'duplicate' },
    ]),
  ).toEqual({
    accepted: 2,
    rejected: 2,
    results: [
      { index: 0, eventId: '0', status: 'accepted' },
      { index: 1, eventId: '1', status: 'rejected', errors },
      { index: 2, eventId: '2', status: 'conflict', errors: faults },
      { index: 3, eventId: '3', status: 'duplicate' },
    ],
  });
});
