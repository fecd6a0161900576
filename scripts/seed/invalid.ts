import type { UsageEvent } from '../../shared/events/usage-event.ts';
import type { Outgoing } from '../publish/outgoing.ts';
import { uuidOf } from '../sample-events.ts';

const yearMs = 366 * 86_400_000;

/** Events with one fault each, every kind once, made from a valid one. */
export function invalidEvents(valid: UsageEvent | undefined, nowMs: number): Outgoing[] {
  if (valid === undefined) return [];
  const at = (ms: number) => new Date(ms).toISOString();
  const { occurredAtMs, ...rest } = valid;
  const fields = { ...rest, occurredAt: at(occurredAtMs) };
  const faults: Record<string, Record<string, unknown>> = {
    'a model id that is no uuid': { modelId: 'chat-large' },
    'a status that does not exist': { status: 'failed' },
    'negative tokens': { inputTokens: -1 },
    'a latency above a day': { latencyMs: 86_400_001 },
    'a time without a zone': { occurredAt: at(nowMs).slice(0, -1) },
    'a time in the future': { occurredAt: at(nowMs + yearMs) },
    'a time before retention': { occurredAt: at(nowMs - 20 * yearMs) },
    'costs that do not add up': { costEstimateCents: '999.9999' },
    'a cost with five decimals': {
      costEstimateCents: '0.00001',
      inputCostCents: undefined,
      outputCostCents: undefined,
    },
    'an error code beside success': { status: 'success', errorCode: 'overloaded' },
    'no latency': { latencyMs: undefined },
  };
  return Object.entries(faults).map(([label, fault]) => {
    const eventId = uuidOf(`seed/invalid/${label}`);
    const content = Buffer.from(JSON.stringify({ ...fields, eventId, ...fault }));
    return { label, eventId, orgId: valid.orgId, content };
  });
}
