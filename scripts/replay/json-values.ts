import { readText } from './bytes.ts';
import { lineMaxBytes } from './lines.ts';

/** The text of one value, with the line that it begins on, or why there is none. */
export type JsonText = { line: number; text: string } | { line: number; fault: string };

const code = (character: string) => character.charCodeAt(0);
const [newline, quote, backslash, comma] = [code('\n'), code('"'), code('\\'), code(',')];
const closerOf = new Map([
  [code('{'), code('}')],
  [code('['), code(']')],
]);
const closers = new Set(closerOf.values());
const spaces = new Set([code(' '), code('\t'), code('\r'), newline]);

/**
 * The values of a JSON list, or objects that follow one another, over as many lines as they like.
 * Read as a stream, so that a list of any size needs the memory of its longest value. A value that
 * cannot be read is named, and takes no other with it: a string ends with its line at the latest,
 * since JSON has no line end in one.
 *
 * @param isList what the file begins with: `[`, or the first object
 * @throws UsageError as `readText` does
 */
export async function* readJsonValues(path: string, isList: boolean): AsyncGenerator<JsonText> {
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let isInList = false;
  const nesting = bracketNesting();
  let isInString = false;
  let isEscaped = false;
  let line = 1;
  let parts: Buffer[] = [];
  let bytes = 0;
  /** Where the value begins that is being read; undefined between values. */
  let startLine: number | undefined;
  let isOver = false;

  const keep = (part: Buffer) => {
    bytes += part.length;
    if (bytes <= lineMaxBytes) parts.push(part);
    else parts = [];
  };
  const finish = (): JsonText => {
    const at = startLine ?? line;
    const kept = Buffer.concat(parts);
    const isTooLong = bytes > lineMaxBytes;
    parts = [];
    bytes = 0;
    startLine = undefined;
    if (isTooLong) return { line: at, fault: `the value has more than ${lineMaxBytes} bytes` };
    try {
      return { line: at, text: utf8.decode(kept) };
    } catch {
      return { line: at, fault: 'the value is not UTF-8' };
    }
  };

  for await (const chunk of readText(path)) {
    let from = 0;
    for (let index = 0; index < chunk.length; index += 1) {
      const byte = chunk[index] ?? 0;
      if (isInString) {
        if (isEscaped) isEscaped = false;
        else if (byte === backslash) isEscaped = true;
        else if (byte === quote) isInString = false;
        if (byte !== newline) continue;
        // A string that is not closed: whatever its value was, what follows is another.
        isInString = false;
        isEscaped = false;
        nesting.forget();
        keep(chunk.subarray(from, index));
        yield finish();
        line += 1;
        continue;
      }
      if (byte === newline) line += 1;
      if (spaces.has(byte)) continue;
      if (isList && !isInList) {
        if (isOver || byte !== code('[')) {
          yield { line, fault: 'there is more after the end of the list' };
          return;
        }
        isInList = true;
        continue;
      }
      const isEndOfList = isList && nesting.isNone() && byte === code(']');
      if (isEndOfList || (isList && nesting.isNone() && byte === comma)) {
        if (startLine !== undefined) {
          keep(chunk.subarray(from, index));
          yield finish();
        }
        if (isEndOfList) {
          isInList = false;
          isOver = true;
        }
        continue;
      }
      if (startLine === undefined) {
        startLine = line;
        from = index;
      }
      if (byte === quote) isInString = true;
      else if (nesting.take(byte) && !isList) {
        keep(chunk.subarray(from, index + 1));
        yield finish();
      }
    }
    if (startLine !== undefined) keep(chunk.subarray(from));
  }
  if (startLine !== undefined) yield finish();
  if (isList && !isOver) yield { line, fault: 'the list is never closed: is the file cut off?' };
}

/** Deeper ones are counted, not told apart, so that a million brackets need no memory. */
const nestingMax = 1_000;

/** Which brackets are open. One that is never closed ends with what it stands in. */
function bracketNesting() {
  const expected: number[] = [];
  let deeper = 0;
  return {
    isNone: () => expected.length === 0,
    forget: () => {
      expected.length = 0;
      deeper = 0;
    },
    /** Whether this byte closes the outermost bracket. */
    take: (byte: number): boolean => {
      const closer = closerOf.get(byte);
      if (closer !== undefined) {
        if (expected.length < nestingMax) expected.push(closer);
        else deeper += 1;
        return false;
      }
      if (!closers.has(byte)) return false;
      if (deeper > 0) {
        deeper -= 1;
        return false;
      }
      const at = expected.lastIndexOf(byte);
      if (at >= 0) expected.length = at;
      return at === 0;
    },
  };
}
