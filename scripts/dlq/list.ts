import { letterId } from '../../shared/dead-letters/dead-letter.ts';
import type { QueueBrowser } from '../../shared/platform/broker/queue-browser.ts';
import { cut } from '../cli/printable.ts';
import type { LetterFilter } from './filter.ts';
import { matchingLetters } from './matching.ts';

export interface LetterList {
  /** Letters in the queue, and those of them that match, listed or not. */
  total: number;
  matched: number;
  letters: {
    letter: string;
    rejectedAt: string | null;
    orgId: string | null;
    eventId: string | null;
    reasons: string[];
    bytes: number;
  }[];
  /** Letters that match, by reason, most frequent first; a letter may have several. */
  reasons: { reason: string; letters: number }[];
}

const reasonsShownMax = 20;
/** Reasons may quote values, so a queue may hold a new one in each letter. */
const reasonsCountedMax = 10_000;
const otherReasons = 'other reasons';

export async function listLetters(
  browser: QueueBrowser,
  filter: LetterFilter,
  limit: number,
): Promise<LetterList> {
  const letters: LetterList['letters'] = [];
  const counts = new Map<string, number>();
  let matched = 0;
  for await (const page of matchingLetters(browser, filter)) {
    matched += page.length;
    for (const { letter } of page) {
      for (const reason of new Set(letter.reasons)) {
        const isCounted = counts.has(reason) || counts.size < reasonsCountedMax;
        const key = isCounted ? reason : otherReasons;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
    for (const { letter } of page.slice(0, limit - letters.length)) {
      const { rejectedAtMs, orgId, eventId, reasons, content } = letter;
      letters.push({
        letter: letterId(letter),
        rejectedAt: rejectedAtMs === null ? null : new Date(rejectedAtMs).toISOString(),
        orgId,
        eventId,
        reasons,
        bytes: content.length,
      });
    }
  }
  const reasons = [...counts]
    .map(([reason, count]) => ({ reason, letters: count }))
    .sort((a, b) => b.letters - a.letters)
    .slice(0, reasonsShownMax);
  return { total: browser.total, matched, letters, reasons };
}

export function listText(queue: string, { total, matched, letters, reasons }: LetterList): string {
  const lines = letters.map(({ letter, rejectedAt, orgId, reasons: why, bytes }) =>
    [
      cut(letter, 60),
      rejectedAt ?? 'unknown time',
      orgId === null ? 'unknown org' : cut(orgId, 36),
      `${bytes} bytes`,
      cut(why.join('; ') || 'no reasons', 100),
    ].join('  '),
  );
  if (reasons.length > 0) lines.push('', 'letters  reason');
  for (const one of reasons)
    lines.push(`${String(one.letters).padStart(7)}  ${cut(one.reason, 150)}`);
  if (lines.length > 0) lines.push('');
  const shown = matched > letters.length ? `, the first ${letters.length} are listed` : '';
  return [...lines, `${matched} of ${total} letters in ${queue} match${shown}`].join('\n');
}
