import { describe, expect, test } from 'vitest';
import { decodeMessage } from '../../shared/events/usage-event.ts';
import { sampleModels, sampleOrgs } from '../sample-events.ts';
import { planSeed } from './plan.ts';

const nowMs = Date.parse('2026-03-01T09:41:00Z');
const rules = { nowMs, rawRetentionDays: 400 };

describe('planSeed', () => {
  const plan = planSeed(2_000, nowMs);
  const decoded = plan.outgoing.map(({ content }) => decodeMessage(content, rules));
  const events = decoded.flatMap((result) => ('event' in result ? [result.event] : []));

  test('has exactly what it says', () => {
    expect(plan).toMatchObject({ distinct: 2_000, late: 100, repeated: 38 });
    expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(plan.distinct);
    expect(events.length).toBe(plan.distinct + plan.repeated);
    expect(decoded.length - events.length).toBe(plan.invalid);
    const failed = events.filter(({ status }) => status !== 'success');
    expect(new Set(failed.map(({ eventId }) => eventId)).size).toBe(plan.errors);
    expect(plan.errors).toBeGreaterThan(20);
  });

  test('is about two orgs and three models', () => {
    expect(new Set(events.map(({ orgId }) => orgId))).toEqual(new Set(sampleOrgs));
    expect(new Set(events.map(({ modelId }) => modelId))).toEqual(
      new Set(sampleModels.map(({ modelId }) => modelId)),
    );
  });

  test('sends the late events behind the recent ones', () => {
    const isLate = ({ occurredAtMs }: { occurredAtMs: number }) =>
      occurredAtMs < nowMs - 3 * 86_400_000;
    const first = events.findIndex(isLate);
    expect(events.filter(isLate).length).toBe(plan.late);
    expect(first).toBeGreaterThan(1_800);
  });

  test('has every kind of fault once', () => {
    const reasons = decoded.flatMap((result) =>
      'faults' in result
        ? [result.faults.map(({ path, message }) => `${path} ${message}`).join('; ')]
        : [],
    );
    expect(plan.invalid).toBeGreaterThan(5);
    expect(new Set(reasons).size).toBe(plan.invalid);
    expect(reasons.filter((reason) => reason.includes(';'))).toEqual([]);
  });

  test('is the same within the hour, and another in the next', () => {
    const ids = (ms: number) =>
      planSeed(200, ms)
        .outgoing.slice(0, 100)
        .map(({ eventId }) => eventId);
    expect(ids(nowMs + 60_000)).toEqual(ids(nowMs));
    expect(ids(nowMs + 3_600_000)).not.toEqual(ids(nowMs));
  });

  test.each([20, 21, 49, 1_000])('gives exactly %i events', (count) => {
    expect(planSeed(count, nowMs).distinct).toBe(count);
  });
});
