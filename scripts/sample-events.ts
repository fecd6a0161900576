import { createHash } from 'node:crypto';
import type { UsageEvent, UsageStatus } from '../shared/events/usage-event.ts';

/** Synthetic events: two orgs, three models, a working day's shape, some of everything. */

export const sampleOrgs = [
  '00000000-0000-0000-0000-000000000001',
  '00000000-0000-0000-0000-000000000002',
] as const;

interface SampleModel {
  modelId: string;
  name: string;
  /** Cents for a million tokens. */
  inputPrice: number;
  outputPrice: number;
  msPerOutputToken: number;
}

export const sampleModels: readonly SampleModel[] = [
  {
    modelId: '00000000-0000-0000-0000-0000000000a1',
    name: 'chat-large',
    inputPrice: 300,
    outputPrice: 1_500,
    msPerOutputToken: 14,
  },
  {
    modelId: '00000000-0000-0000-0000-0000000000a2',
    name: 'chat-small',
    inputPrice: 25,
    outputPrice: 125,
    msPerOutputToken: 5,
  },
  {
    modelId: '00000000-0000-0000-0000-0000000000a3',
    name: 'code-medium',
    inputPrice: 100,
    outputPrice: 500,
    msPerOutputToken: 9,
  },
];

const clients = ['web-app', 'batch-worker', 'mobile', ''];
const hourMs = 3_600_000;

export interface SampleOptions {
  /** Events of the newest `hours` hours before this time. */
  untilMs: number;
  hours: number;
  perHour: number;
}

/**
 * The same options give the same events: every value comes from a hash of the hour and the number
 * in it, so that seeding twice adds nothing.
 */
export function sampleEvents({ untilMs, hours, perHour }: SampleOptions): UsageEvent[] {
  const lastHour = Math.floor(untilMs / hourMs);
  const events: UsageEvent[] = [];
  for (let hour = lastHour - hours; hour < lastHour; hour += 1) {
    const count = Math.round(perHour * dailyShape(hour % 24));
    for (let number = 0; number < count; number += 1) events.push(sampleEvent(hour, number));
  }
  return events;
}

/** Quiet nights, a peak in the afternoon (UTC): 0.3 to 1.7. */
function dailyShape(hourOfDay: number): number {
  return 1 + 0.7 * Math.sin(((hourOfDay - 8) / 24) * 2 * Math.PI);
}

function sampleEvent(hour: number, number: number): UsageEvent {
  const random = randoms(`${hour}/${number}`);
  const model = pick(sampleModels, random());
  const status = pickStatus(random());
  const isServed = status === 'success';
  const inputTokens = Math.round(50 + 4_000 * random() ** 3);
  const outputTokens = isServed ? Math.round(10 + 900 * random() ** 2) : 0;
  // The last digit after rounding to a ten-thousandth of a cent belongs to the input part.
  const inputCost = tenThousandths(inputTokens * model.inputPrice);
  const outputCost = tenThousandths(outputTokens * model.outputPrice);
  return {
    eventId: uuidOf(`sample/${hour}/${number}`),
    orgId: random() < 0.7 ? sampleOrgs[0] : sampleOrgs[1],
    modelId: model.modelId,
    actorId: null,
    clientId: pick(clients, random()),
    occurredAtMs: hour * hourMs + Math.floor(random() * hourMs),
    latencyMs:
      status === 'timeout'
        ? 30_000
        : Math.round(80 + outputTokens * model.msPerOutputToken * (0.7 + random())),
    status,
    errorCode: isServed ? null : pick(['overloaded', 'bad_gateway', 'context_length'], random()),
    inputTokens,
    outputTokens,
    costEstimateCents: asCents(inputCost + outputCost),
    inputCostCents: asCents(inputCost),
    outputCostCents: asCents(outputCost),
    metadata: null,
  };
}

function pickStatus(random: number): UsageStatus {
  if (random < 0.965) return 'success';
  if (random < 0.985) return 'error';
  return random < 0.993 ? 'throttled' : 'timeout';
}

/** Tokens times cents for a million, as whole ten-thousandths of a cent. */
function tenThousandths(product: number): bigint {
  return BigInt(Math.round(product / 100));
}

function asCents(amount: bigint): string {
  const digits = amount.toString().padStart(5, '0');
  return `${digits.slice(0, -4)}.${digits.slice(-4)}`;
}

/** A uuid (version 8, RFC 9562) from the SHA-256 of a name. */
export function uuidOf(name: string): string {
  const hash = createHash('sha256').update(name).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x80, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex', 0, 16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-');
}

/** Numbers in [0, 1) from the hash of a seed, up to eight of them. */
function randoms(seed: string): () => number {
  const hash = createHash('sha256').update(seed).digest();
  let at = 0;
  return () => {
    const value = hash.readUInt32BE(at % 32) / 2 ** 32;
    at += 4;
    return value;
  };
}

function pick<T>(items: readonly T[], random: number): T {
  const item = items[Math.floor(random * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}
