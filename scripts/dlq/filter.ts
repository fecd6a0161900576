import type { DeadLetter } from '../../shared/dead-letters/dead-letter.ts';

/** Which letters a command is about; null leaves that side open. */
export interface LetterFilter {
  /** Part of any of the reasons. */
  reason: string | null;
  stream: string | null;
  /** Inclusive at both ends. */
  offsets: { from: number; to: number } | null;
  org: string | null;
  event: string | null;
  /** When it was rejected, half-open. */
  sinceMs: number | null;
  untilMs: number | null;
}

/** What a letter does not tell (its time, its org) matches no filter that asks for it. */
export function matchesFilter(letter: DeadLetter, filter: LetterFilter): boolean {
  const { reason, stream, offsets, org, event, sinceMs, untilMs } = filter;
  const { source, rejectedAtMs: atMs } = letter;
  return (
    (reason === null || letter.reasons.some((one) => one.includes(reason))) &&
    (stream === null || source?.stream === stream) &&
    (offsets === null ||
      (source !== null && source.offset >= offsets.from && source.offset <= offsets.to)) &&
    (org === null || letter.orgId === org) &&
    (event === null || letter.eventId === event) &&
    (sinceMs === null || (atMs !== null && atMs >= sinceMs)) &&
    (untilMs === null || (atMs !== null && atMs < untilMs))
  );
}

export function isOpen(filter: LetterFilter): boolean {
  return Object.values(filter).every((side) => side === null);
}
