import { letterId } from '../../shared/dead-letters/dead-letter.ts';
import type { QueueBrowser, Receipt } from '../../shared/platform/broker/queue-browser.ts';
import { cut } from '../cli/printable.ts';
import type { LetterFilter } from './filter.ts';
import { createLetterFile } from './letter-file.ts';
import { matchingLetters } from './matching.ts';

export interface DropDeps {
  filter: LetterFilter;
  limit: number;
  /** Where to save them first, null for nowhere. */
  to: string | null;
  /** Called with each letter before anything is dropped. */
  onLetter(line: string): void;
  /** Asked once it is known how many. */
  confirm(count: number): Promise<boolean>;
}

export interface DropReport {
  /** Letters that match; beyond `limit` they are left alone. */
  matched: number;
  dropped: string[];
}

/** Removes letters once they are saved (where `to` says so) and somebody has agreed. */
export async function dropLetters(browser: QueueBrowser, deps: DropDeps): Promise<DropReport> {
  const receipts: Receipt[] = [];
  const ids: string[] = [];
  let matched = 0;
  const file = deps.to === null ? null : await createLetterFile(deps.to);
  try {
    for await (const page of matchingLetters(browser, deps.filter)) {
      matched += page.length;
      const some = page.slice(0, deps.limit - ids.length);
      await file?.append(some.map(({ letter }) => letter));
      for (const { letter, receipt } of some) {
        receipts.push(receipt);
        ids.push(letterId(letter));
        deps.onLetter(`${cut(letterId(letter), 60)}  ${cut(letter.reasons.join('; '), 100)}`);
      }
    }
  } finally {
    await file?.close();
  }
  if (ids.length === 0 || !(await deps.confirm(ids.length))) return { matched, dropped: [] };
  await browser.remove(receipts);
  return { matched, dropped: ids };
}
