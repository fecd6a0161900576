import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseKeepingCosts } from '../../shared/decimal-json.ts';
import {
  type Decoded,
  decodeBySchema,
  decodeEvent,
  decodeMessage,
  encodeEvent,
  type UsageEvent,
  usageStatuses,
} from '../../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { corpusFiles, fuzzRuns, orHangs } from '../support/fuzz.ts';
import {
  brokenMessages,
  fuzzNowMs,
  fuzzRules,
  writtenMessages,
} from '../support/message-arbitraries.ts';
import { distinctEvents } from '../support/usage-events.ts';
import { batchStore } from '../support/window-property.ts';

const decode = (bytes: Buffer) => decodeMessage(bytes, fuzzRules);
const dayMs = 86_400_000;

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const amount = /^(0|[1-9]\d{0,13})(\.\d{0,3}[1-9])?$/;
const units = (text: string) => {
  const [whole = '', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(4, '0'));
};
const isText = (text: string, max: number) =>
  text.length <= max && text.isWellFormed() && !text.includes('\u0000');
const isCount = (count: number, max: number) =>
  Number.isInteger(count) && count >= 0 && count <= max;

/** The rules of the contract that an event breaks. */
function brokenRules(event: UsageEvent): string[] {
  const { inputCostCents: input, outputCostCents: output, metadata } = event;
  const rules: Record<string, boolean> = {
    ids: [event.eventId, event.orgId, event.modelId].every((id) => uuid.test(id)),
    actorId: event.actorId === null || uuid.test(event.actorId),
    clientId: isText(event.clientId, 128),
    occurredAt:
      Number.isInteger(event.occurredAtMs) &&
      event.occurredAtMs <= fuzzNowMs + 600_000 &&
      event.occurredAtMs >= fuzzNowMs - 400 * dayMs,
    latencyMs: isCount(event.latencyMs, dayMs),
    status: usageStatuses.includes(event.status),
    errorCode:
      event.errorCode === null || (event.status !== 'success' && isText(event.errorCode, 128)),
    tokens: [event.inputTokens, event.outputTokens].every((count) => isCount(count, 2 ** 53 - 1)),
    cost: amount.test(event.costEstimateCents),
    split:
      input === null || output === null
        ? input === output
        : amount.test(input) &&
          amount.test(output) &&
          units(input) + units(output) === units(event.costEstimateCents),
    metadata:
      metadata === null ||
      (Object.keys(metadata).length <= 32 &&
        Buffer.byteLength(JSON.stringify(metadata)) <= 4_096 &&
        Object.entries(metadata).every((entry) => entry.every((text) => isText(text, 4_096)))),
  };
  return Object.keys(rules).filter((name) => !rules[name]);
}

/** Either an event by every rule, which comes back the same, or reasons that say something. */
function expectVerdict(decoded: Decoded): void {
  if ('event' in decoded) {
    expect(brokenRules(decoded.event)).toEqual([]);
    expect(decode(encodeEvent(decoded.event))).toEqual(decoded);
    return;
  }
  expect(decoded.faults.length).toBeGreaterThan(0);
  expect(decoded.faults.length).toBeLessThanOrEqual(100);
  for (const { message } of decoded.faults) expect(message).not.toBe('');
}

test('a message is an event digit for digit, or rejected, just as the contract says', () => {
  fc.assert(
    fc.property(writtenMessages, ({ bytes, event }) => {
      const decoded = decode(bytes);
      expectVerdict(decoded);
      expect('event' in decoded ? decoded.event : null).toEqual(event);
    }),
    fuzzRuns(800),
  );
});

test('any bytes are an event by every rule, or rejected with reasons', () => {
  const examples = corpusFiles('messages').map(([, bytes]): [Buffer] => [bytes]);
  fc.assert(
    fc.property(brokenMessages, (bytes) => {
      const before = Buffer.from(bytes);
      const decoded = decode(bytes);
      expectVerdict(decoded);
      // They are what goes to the dead-letter queue.
      if (!isDeepStrictEqual(before, bytes)) throw new Error('the bytes were changed');
    }),
    fuzzRuns(800, examples),
  );
});

test('what is decoded quickly is decoded as the schema does', () => {
  const bytes = fc.oneof(
    writtenMessages.map((message) => message.bytes),
    brokenMessages,
  );
  fc.assert(
    fc.property(bytes, (message) => {
      const value = parsedOf(message);
      fc.pre(value !== undefined);
      expect(decodeEvent(value, fuzzRules)).toEqual(decodeBySchema(value, fuzzRules));
    }),
    fuzzRuns(1_600),
  );
});

function parsedOf(message: Buffer): unknown {
  try {
    return parseKeepingCosts(message.toString());
  } catch {
    return undefined;
  }
}

test.each(corpusFiles('messages'))('%s is rejected or taken as its name says', (name, bytes) => {
  expect(decode(bytes)).toHaveProperty(name.startsWith('taken-') ? 'event' : 'faults');
});

describe('what is taken', () => {
  let testDatabase: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    testDatabase = await createDatabase();
    database = openDatabase({ url: testDatabase.url });
  });
  afterAll(async () => {
    await database?.close();
    await testDatabase?.drop();
  });

  const storedOf = async (orgId: string) => {
    const rows = await database.query<{ event: UsageEvent }>(
      `select json_build_object(
         'eventId', event_id, 'orgId', org_id, 'modelId', model_id, 'actorId', actor_id,
         'clientId', client_id, 'occurredAtMs', (extract(epoch from occurred_at) * 1000)::bigint,
         'latencyMs', latency_ms, 'status', status, 'errorCode', error_code,
         'inputTokens', input_tokens, 'outputTokens', output_tokens,
         'costEstimateCents', trim_scale(cost_estimate_cents)::text,
         'inputCostCents', trim_scale(input_cost_cents)::text,
         'outputCostCents', trim_scale(output_cost_cents)::text, 'metadata', metadata) as event
       from analytics.usage_events where org_id = $1`,
      [orgId],
    );
    return rows.map(({ event }) => event);
  };
  const byId = (events: UsageEvent[]) =>
    [...events].sort((a, b) => (a.eventId < b.eventId ? -1 : 1));

  test('is stored by the database, digit for digit', async () => {
    const store = batchStore(database);
    const messages = fc.array(writtenMessages, { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(messages, async (written) => {
        const orgId = randomUUID();
        const events = distinctEvents(
          written.flatMap(({ bytes }) => {
            const decoded = decode(bytes);
            if ('faults' in decoded) return [];
            // A few days: each is a partition to be made.
            const occurredAtMs = fuzzNowMs - (decoded.event.occurredAtMs % (2 * dayMs));
            return [{ ...decoded.event, eventId: randomUUID(), orgId, occurredAtMs }];
          }),
        );
        fc.pre(events.length > 0);
        await store(events);
        expect(byId(await storedOf(orgId))).toEqual(byId(events));
      }),
      fuzzRuns(20),
    );
  });
});

describe('no message keeps the consumer', () => {
  const nearMaxBytes = 1_000_000;
  const filled = (before: string, unit: string, after: string) => {
    const count = Math.floor((nearMaxBytes - before.length - after.length) / unit.length);
    return Buffer.from(before + unit.repeat(count) + after);
  };

  test.each<[string, string, string, string]>([
    ['a cost of zeros and a one', '{"costEstimateCents":"0.', '0', '1"}'],
    ['a cost of nines', '{"costEstimateCents":', '9', '}'],
    ['a cost that never ends', '{"costEstimateCents":0.', '1', ''],
    ['cost keys without end', '{', '"costEstimateCents":1 ,', '"a":1}'],
    ['cost keys and white space', '{"costEstimateCents"', ' ', '1}'],
    ['a time of many digits', '{"occurredAt":"2026-06-15T11:00:00.', '1', 'Z"}'],
    ['many lists in lists', '', '[', ''],
    ['metadata of many keys', '{"metadata":{', '"":1,', '"a":1}}'],
    ['metadata deep inside', '{"metadata":', '{"a":', '1'],
    ['one long client', '{"clientId":"', '\\ud800', '"}'],
    ['backslashes', '{"clientId":"', '\\\\', '"}'],
    ['not UTF-8 at its end', '{"clientId":"', 'x', '\ufffd"}'],
  ])('%s', (_, before, unit, after) => {
    expectVerdict(orHangs(() => decode(filled(before, unit, after))));
  });

  test('metadata of many different keys', () => {
    const keys = Array.from({ length: 80_000 }, (_, key) => `"${key}":1`).join(',');
    expectVerdict(orHangs(() => decode(Buffer.from(`{"metadata":{${keys}}}`))));
  });

  test('a few characters again and again, in any field', () => {
    const unit = fc.stringMatching(/^[0-9.eE+\-TZ:" \\{}[\],a]{1,3}$/);
    const field = fc.constantFrom(
      'eventId',
      'occurredAt',
      'clientId',
      'costEstimateCents',
      'inputCostCents',
      'metadata',
    );
    fc.assert(
      fc.property(field, fc.boolean(), unit, unit, (name, isText, again, last) => {
        const quote = isText ? '"' : '';
        const text = again.repeat(Math.floor(200_000 / again.length)) + last;
        const bytes = Buffer.from(`{"${name}":${quote}${text}${quote}}`);
        expectVerdict(orHangs(() => decode(bytes)));
      }),
      fuzzRuns(60),
    );
  });
});
