import {
  type DeadLetter,
  letterId,
  plainContent,
  type Standing,
  standingOf,
} from '../../shared/dead-letters/dead-letter.ts';
import type { EventRules } from '../../shared/events/usage-event.ts';
import type { QueueBrowser } from '../../shared/platform/broker/queue-browser.ts';
import { bytesAsText, printable } from '../cli/printable.ts';
import type { LetterFilter } from './filter.ts';
import { matchingLetters } from './matching.ts';

/** The first letter that matches, null when none does. */
export async function findLetter(
  browser: QueueBrowser,
  filter: LetterFilter,
): Promise<DeadLetter | null> {
  let first: DeadLetter | null = null;
  for await (const [found] of matchingLetters(browser, filter)) first ??= found?.letter ?? null;
  return first;
}

export function letterJson(letter: DeadLetter, rules: EventRules): string {
  const { rejectedAtMs, orgId, eventId, reasons, headers, messageId, content } = letter;
  const { contentEncoding } = letter;
  const standing = standingOf(letter, rules);
  return JSON.stringify({
    letter: letterId(letter),
    rejectedAt: rejectedAtMs === null ? null : new Date(rejectedAtMs).toISOString(),
    orgId,
    eventId,
    messageId,
    contentEncoding,
    reasons,
    headers,
    bytes: content.toString('base64'),
    isValidNow: 'event' in standing,
    reasonsNow: 'event' in standing ? [] : standing.reasons,
  });
}

export function letterText(letter: DeadLetter, rules: EventRules): string {
  const { rejectedAtMs, reasons, headers, content, contentEncoding } = letter;
  const { encoding, text } = bytesAsText(plainContent(letter));
  return [
    `letter    ${printable(letterId(letter))}`,
    `rejected  ${rejectedAtMs === null ? 'unknown' : new Date(rejectedAtMs).toISOString()}`,
    'reasons',
    ...reasons.map((reason) => `  ${printable(reason)}`),
    'headers',
    ...Object.entries(headers).map(([name, value]) =>
      printable(`  ${name}: ${JSON.stringify(value)}`),
    ),
    ...standingLines(standingOf(letter, rules)),
    `bytes     ${content.length}${packed(contentEncoding)}, as ${encoding}`,
    text,
  ].join('\n');
}

function packed(contentEncoding: string | null): string {
  return contentEncoding === null ? '' : ` of ${printable(contentEncoding)}`;
}

function standingLines(standing: Standing): string[] {
  return 'event' in standing
    ? ['now       valid: replay would publish it']
    : ['now       not valid', ...standing.reasons.map((reason) => `  ${printable(reason)}`)];
}
