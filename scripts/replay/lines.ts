import { readText } from './bytes.ts';

/** A line, and what ends it, or why it cannot be read. Numbers begin at 1. */
export type Line =
  | { number: number; text: string; end: string }
  | { number: number; fault: string };

/** Longer ones are named and passed over, so that a file without line ends needs no memory. */
export const lineMaxBytes = 1_048_576;
const newline = 0x0a;
const carriageReturn = 0x0d;

/**
 * The lines of a file, read as a stream. Not by `node:readline`, which also splits at U+2028, a
 * character that JSON strings may hold, and replaces bytes that are not UTF-8.
 *
 * @throws UsageError as `readText` does
 */
export async function* readLines(path: string): AsyncGenerator<Line> {
  // A mark at the start of a later line is a character of its text.
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let kept: Buffer[] = [];
  let keptBytes = 0;
  let number = 0;

  const keep = (bytes: Buffer) => {
    keptBytes += bytes.length;
    if (keptBytes <= lineMaxBytes) kept.push(bytes);
    else kept = [];
  };
  const finish = (isEnded: boolean): Line => {
    number += 1;
    const isTooLong = keptBytes > lineMaxBytes;
    const [only = Buffer.alloc(0)] = kept;
    let bytes = kept.length <= 1 ? only : Buffer.concat(kept);
    kept = [];
    keptBytes = 0;
    if (isTooLong) return { number, fault: `the line has more than ${lineMaxBytes} bytes` };
    let end = isEnded ? '\n' : '';
    if (bytes.at(-1) === carriageReturn) {
      bytes = bytes.subarray(0, -1);
      end = `\r${end}`;
    }
    try {
      return { number, text: utf8.decode(bytes), end };
    } catch {
      return { number, fault: 'the line is not UTF-8' };
    }
  };

  for await (const chunk of readText(path)) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      keep(chunk.subarray(from, end));
      yield finish(true);
      from = end + 1;
    }
    if (from < chunk.length) keep(chunk.subarray(from));
  }
  if (keptBytes > 0) yield finish(false);
}
