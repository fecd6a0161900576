import { type DeadLetter, readDeadLetter } from '../../shared/dead-letters/dead-letter.ts';
import type { QueueBrowser, Receipt } from '../../shared/platform/broker/queue-browser.ts';
import { type LetterFilter, matchesFilter } from './filter.ts';

export interface Found {
  letter: DeadLetter;
  receipt: Receipt;
}

/** So many letters are in memory at once. */
export const pageSize = 250;
/** A channel for each page; brokers allow 2,047 of them. */
const pagesMax = 400;

/**
 * The letters that match, page by page. Always reads to the end, as what is only partly read
 * returns behind the rest: so the queue keeps its order.
 */
export async function* matchingLetters(
  browser: QueueBrowser,
  filter: LetterFilter,
): AsyncGenerator<Found[]> {
  for (let page = 0; page < pagesMax; page += 1) {
    const messages = await browser.next();
    if (messages.length === 0) return;
    yield messages
      .map((message) => ({ letter: readDeadLetter(message), receipt: message.receipt }))
      .filter(({ letter }) => matchesFilter(letter, filter));
  }
}
