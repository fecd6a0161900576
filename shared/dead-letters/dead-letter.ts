import * as z from 'zod';
import {
  decodeMessage,
  type EventRules,
  type UsageEvent,
  unpackMessage,
} from '../events/usage-event.ts';
import { PackedBodyError } from '../platform/body-encoding.ts';
import type { QueuedMessage } from '../platform/broker/queue-browser.ts';
import { conflictHeader, reasonsOf } from './dead-letters.ts';

/** A message of the dead-letter queue, as far as it can be read. */
export interface DeadLetter {
  /** Null in a message that somebody else put there. */
  source: { stream: string; offset: number } | null;
  rejectedAtMs: number | null;
  /** Why it was rejected then, each as `path: message`. */
  reasons: string[];
  /** Whether it is a valid event that something else is stored of. */
  isConflict: boolean;
  /** Null where the bytes cannot be read that far. */
  orgId: string | null;
  eventId: string | null;
  content: Buffer;
  headers: Readonly<Record<string, unknown>>;
  messageId: string | null;
  /** As its sender said. */
  contentEncoding: string | null;
}

/** What today's rules say: an event that can be sent again, or why it would be rejected again. */
export type Standing = { event: UsageEvent } | { reasons: string[] };

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'must be JSON' });
    return z.NEVER;
  }
});

const headersForm = z.object({
  'x-source-stream': z.string(),
  'x-source-offset': z.int().min(0),
  'x-reasons': json.pipe(z.array(z.string())).catch([]),
  'x-rejected-at': z.iso.datetime().nullable().catch(null),
  [conflictHeader]: z.boolean().catch(false),
});

const id = z
  .string()
  .transform((text) => text.toLowerCase())
  .nullable()
  .catch(null);
const idsForm = json.pipe(z.object({ orgId: id, eventId: id }));
/** No event is as large; what is must not be parsed for the sake of a filter. */
const idsMaxBytes = 1_048_576;

/** Never throws: whoever may publish to the queue may have put anything there. */
export function readDeadLetter({
  content,
  headers,
  messageId,
  contentEncoding,
}: Omit<QueuedMessage, 'receipt'>): DeadLetter {
  const plain = plainContent({ content, contentEncoding });
  const ids =
    plain.length > idsMaxBytes ? undefined : idsForm.safeParse(plain.toString('utf8')).data;
  const read = headersForm.safeParse(headers).data;
  const rejectedAt = read?.['x-rejected-at'] ?? null;
  return {
    source:
      read === undefined
        ? null
        : { stream: read['x-source-stream'], offset: read['x-source-offset'] },
    rejectedAtMs: rejectedAt === null ? null : Date.parse(rejectedAt),
    reasons: read?.['x-reasons'] ?? [],
    isConflict: read?.[conflictHeader] ?? false,
    orgId: ids?.orgId ?? null,
    eventId: ids?.eventId ?? null,
    content,
    headers,
    messageId,
    contentEncoding,
  };
}

/** A letter's bytes as they were before they were packed; as they are, where that is not known. */
export function plainContent({
  content,
  contentEncoding,
}: Pick<DeadLetter, 'content' | 'contentEncoding'>): Buffer {
  if (contentEncoding === null) return content;
  try {
    return unpackMessage(content, contentEncoding);
  } catch (error) {
    if (error instanceof PackedBodyError) return content;
    throw error;
  }
}

/** `stream/offset`, the same for a letter that a crash put there twice. */
export function letterId({ source, messageId }: Pick<DeadLetter, 'source' | 'messageId'>): string {
  return source === null ? `foreign/${messageId ?? ''}` : `${source.stream}/${source.offset}`;
}

/**
 * Somebody else's message is not ours to publish, whatever its bytes say. Nor is a conflict: with
 * other content it would be turned away again, and with another time, once its hour has passed, be
 * stored beside the event that it repeats.
 */
export function standingOf(
  { source, content, contentEncoding, isConflict }: DeadLetter,
  rules: EventRules,
): Standing {
  if (source === null) {
    return { reasons: ['is not ours: its headers do not say which stream it came from'] };
  }
  if (isConflict) {
    return { reasons: ['is a conflict: an event that is another one needs an eventId of its own'] };
  }
  const decoded = decodeMessage(content, rules, contentEncoding ?? undefined);
  return 'event' in decoded ? decoded : { reasons: reasonsOf(decoded.faults) };
}
