import { type DeadLetter, letterId, standingOf } from '../../shared/dead-letters/dead-letter.ts';
import type { EventRules } from '../../shared/events/usage-event.ts';
import { partitionOf } from '../../shared/partitions/routing.ts';
import type { QueueBrowser, Receipt } from '../../shared/platform/broker/queue-browser.ts';
import type { Broker, OutgoingMessage } from '../../shared/platform/broker/stream.ts';
import { printable } from '../cli/printable.ts';
import { type LetterFilter, matchesFilter } from './filter.ts';
import { readLetterFile } from './letter-file.ts';
import { matchingLetters, pageSize } from './matching.ts';

export interface ReplayDeps {
  broker: Broker;
  partitions: readonly string[];
  rules: EventRules;
  filter: LetterFilter;
  limit: number;
  dryRun: boolean;
  /** Called between the broker's confirms and the removal, so that tests can die there. */
  onPublished?: () => void;
}

export interface ReplayReport {
  isDryRun: boolean;
  /** Letters that match; beyond `limit` they are left alone. */
  matched: number;
  published: string[];
  /** Still not valid, and why. */
  kept: { letter: string; reasons: string[] }[];
}

const confirmMs = 30_000;

/**
 * Publishes what is valid by today's rules and removes it from the queue only when the broker has
 * confirmed it. A crash in between publishes a letter twice, which its identity absorbs.
 */
export async function replayQueue(browser: QueueBrowser, deps: ReplayDeps): Promise<ReplayReport> {
  const report = emptyReport(deps);
  for await (const page of matchingLetters(browser, deps.filter)) {
    const receipts: Receipt[] = [];
    const outgoing: OutgoingMessage[] = [];
    for (const { letter, receipt } of withinLimit(page, report, deps)) {
      const message = outgoingOf(letter, report, deps);
      if (message === null) continue;
      outgoing.push(message);
      receipts.push(receipt);
    }
    if (deps.dryRun || outgoing.length === 0) continue;
    await deps.broker.publish(outgoing, confirmMs);
    deps.onPublished?.();
    await browser.remove(receipts);
  }
  return report;
}

/** The same from a file that `drop --to` wrote, which stays as it is. */
export async function replayFile(path: string, deps: ReplayDeps): Promise<ReplayReport> {
  const report = emptyReport(deps);
  let outgoing: OutgoingMessage[] = [];
  const send = async () => {
    if (!deps.dryRun) await deps.broker.publish(outgoing, confirmMs);
    outgoing = [];
  };
  for await (const letter of readLetterFile(path)) {
    if (!matchesFilter(letter, deps.filter)) continue;
    for (const one of withinLimit([letter], report, deps)) {
      const message = outgoingOf(one, report, deps);
      if (message !== null) outgoing.push(message);
    }
    if (outgoing.length === pageSize) await send();
  }
  await send();
  return report;
}

function emptyReport({ dryRun }: ReplayDeps): ReplayReport {
  return { isDryRun: dryRun, matched: 0, published: [], kept: [] };
}

function withinLimit<T>(letters: readonly T[], report: ReplayReport, { limit }: ReplayDeps): T[] {
  const some = letters.slice(0, Math.max(0, limit - report.matched));
  report.matched += letters.length;
  return some;
}

/** Notes in the report what becomes of a letter; null where it stays. */
function outgoingOf(
  letter: DeadLetter,
  report: ReplayReport,
  { rules, partitions }: ReplayDeps,
): OutgoingMessage | null {
  const standing = standingOf(letter, rules);
  if ('reasons' in standing) {
    report.kept.push({ letter: letterId(letter), reasons: standing.reasons });
    return null;
  }
  const { orgId, eventId } = standing.event;
  report.published.push(letterId(letter));
  const queue = partitionOf(orgId, partitions);
  const { content, contentEncoding } = letter;
  const encoding = contentEncoding === null ? {} : { contentEncoding };
  return { queue, content, messageId: eventId, ...encoding };
}

export function replayText({ isDryRun, matched, published, kept }: ReplayReport): string {
  const left = matched - published.length - kept.length;
  return [
    ...published.map((letter) => `${isDryRun ? 'valid' : 'published'}  ${printable(letter)}`),
    ...kept.map(({ letter, reasons }) => printable(`kept  ${letter}  ${reasons.join('; ')}`)),
    `${published.length} ${isDryRun ? 'would be published' : 'published'}, ` +
      `${kept.length} still not valid` +
      (left > 0 ? `, ${left} beyond --limit` : ''),
  ].join('\n');
}
