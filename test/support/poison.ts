import { gzipSync } from 'node:zlib';
import { invalidEvents } from '../../scripts/seed/invalid.ts';
import { usageEvent } from './usage-events.ts';

/** A message of each kind that is no valid event, by what is wrong with it. */
export function poison(): Map<string, Buffer> {
  const { occurredAtMs, ...rest } = usageEvent();
  const valid = { ...rest, occurredAt: new Date(occurredAtMs).toISOString() };
  const text = JSON.stringify(valid);
  const kinds = new Map<string, Buffer>();
  const raw = (name: string, content: string | Buffer) => kinds.set(name, Buffer.from(content));
  /** With one value written by hand, since JSON.stringify would not write it so. */
  const literal = (name: string, field: string, value: string) =>
    raw(name, JSON.stringify({ ...valid, [field]: '@' }).replace('"@"', value));

  raw('nothing', '');
  raw('no JSON', 'usage: 5 tokens');
  raw('half an event', text.slice(0, -20));
  raw('an event and more', `${text}\n${text}`);
  raw('a comma too many', text.replace(/}$/, ',}'));
  raw('a byte order mark of UTF-16', Buffer.from(`\ufeff${text}`, 'utf16le'));
  raw('no UTF-8', Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xff, 0xc0, 0x7d])]));
  raw('half a character', Buffer.from('{"clientId":"é').subarray(0, -1));
  raw('NUL bytes', Buffer.alloc(64));
  raw('NUL after the event', Buffer.concat([Buffer.from(text), Buffer.alloc(1)]));
  raw('gzip', gzipSync(text));
  raw('more than 1 MB', text.replace(/}$/, `,"more":"${'x'.repeat(1_100_000)}"}`));
  raw('deep arrays', '['.repeat(200_000) + ']'.repeat(200_000));
  raw('deep objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`);
  literal('deep metadata', 'metadata', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`);

  for (const value of ['null', 'true', '7', '"event"', '[]', '{}']) raw(`only ${value}`, value);
  raw('a batch of events', `[${text},${text}]`);
  const cloudEvent = {
    specversion: '1.0',
    id: valid.eventId,
    source: '/test',
    type: 'ai.usage.recorded.v1',
    subject: valid.orgId,
    data: valid,
  };
  raw('a CloudEvent', JSON.stringify(cloudEvent));
  raw('a CloudEvent of another type', JSON.stringify({ ...cloudEvent, type: 'x', data: 'y' }));
  raw('a batch of CloudEvents', JSON.stringify([cloudEvent]));

  raw('only a prototype', `{"__proto__":${text}}`);
  raw(
    'a constructor',
    '{"constructor":{"prototype":{"eventId":"x"}},"toString":1,"hasOwnProperty":2}',
  );
  literal('a prototype as metadata', 'metadata', '{"__proto__":{"polluted":"yes"}}');

  literal('tokens beyond every float', 'inputTokens', '1e999');
  literal('tokens beyond 2^53', 'inputTokens', '9007199254740993');
  literal('tokens of 100,000 digits', 'outputTokens', '9'.repeat(100_000));
  literal('tokens below zero by nothing', 'outputTokens', '-1e-7');
  literal('a latency of 1e308', 'latencyMs', '1e308');
  literal('a cost of 1e308', 'costEstimateCents', '1e308');
  literal('a cost of 100,000 digits', 'costEstimateCents', '1'.repeat(100_000));
  literal('a cost that is not a number', 'costEstimateCents', '"NaN"');
  literal('NaN', 'latencyMs', 'NaN');
  literal('hexadecimal tokens', 'inputTokens', '0x10');
  literal('NUL in a text', 'clientId', '"a\\u0000b"');
  literal('half a surrogate pair', 'clientId', '"a\\ud800b"');
  literal('half a pair as a key', 'metadata', '{"\\udfff":"x"}');

  const wrong: Record<string, readonly unknown[]> = {
    eventId: [undefined, null, 7, '', 'no uuid', [valid.eventId], { id: valid.eventId }],
    orgId: [undefined, null, `${valid.orgId} `, `{${valid.orgId}}`, "'; drop table usage_events"],
    modelId: [undefined, true, 'chat-large'],
    actorId: [7, 'somebody', []],
    clientId: [7, 'x'.repeat(129), ['web']],
    occurredAt: [undefined, null, 0, '', 'yesterday', '2026-02-30T00:00:00Z', '2026-01-01', {}],
    latencyMs: [undefined, null, -1, 1.5, '120', true],
    status: [undefined, null, 'SUCCESS', 'failed', 1],
    errorCode: [7, 'only with an error', {}],
    inputTokens: [undefined, null, -1, 0.5, '10', [10]],
    outputTokens: [undefined, null, -1, 0.5, '10', [10]],
    costEstimateCents: [undefined, null, -1, '', '1,5', '1e', {}, [1]],
    inputCostCents: ['0.1'],
    outputCostCents: ['0.1'],
    metadata: [
      7,
      'text',
      [],
      { n: 1 },
      { n: null },
      { n: {} },
      { n: 'x'.repeat(4_096) },
      Object.fromEntries(Array.from({ length: 33 }, (_, index) => [index, ''])),
    ],
  };
  for (const [field, values] of Object.entries(wrong)) {
    for (const value of values) {
      const said = JSON.stringify(value)?.slice(0, 40) ?? 'nothing';
      raw(`${field} is ${said}`, JSON.stringify({ ...valid, [field]: value }));
    }
  }
  for (const { label, content } of invalidEvents(usageEvent(), Date.now())) raw(label, content);
  return kinds;
}
