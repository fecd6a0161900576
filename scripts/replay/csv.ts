import { parse } from 'csv-parse/sync';
import { messageOf } from '../../shared/platform/errors.ts';
import type { Line } from './lines.ts';

/** A record's cells, or why it has none, with the line that it begins on. */
export type CsvRecord = { line: number; cells: string[] } | { line: number; fault: string };

const delimiters = [',', ';', '\t'] as const;
/** A quoted cell may hold line ends; past this many, its quote is taken for a stray one. */
const recordLinesMax = 100;

/** The delimiter that a header line has most of. */
export function delimiterOf(header: string): string {
  const count = (delimiter: string) => header.split(delimiter).length;
  return [...delimiters].sort((a, b) => count(b) - count(a))[0] ?? ',';
}

/**
 * CSV records (RFC 4180) from lines; empty lines are none. One bad record never takes others with
 * it: csv-parse, given the whole stream, loses whatever follows a stray quote without a word. So it
 * is given one record at a time, and after a record that fails reading goes on at the next line.
 */
export async function* csvRecords(
  lines: AsyncIterable<Line>,
  delimiter: string,
): AsyncGenerator<CsvRecord> {
  let open: { number: number; text: string }[] = [];
  let width: number | undefined;

  /** The records of the open lines, none of which closes the first one's quote. */
  function* giveUp(fault: string): Generator<CsvRecord> {
    const [first, ...rest] = open;
    if (first === undefined) return;
    open = [];
    yield { line: first.number, fault };
    for (const line of rest) yield* take(line);
  }

  function* take(line: { number: number; text: string }): Generator<CsvRecord> {
    if (open.length === 0) {
      if (line.text.trim() === '') return;
      if (!line.text.includes('"')) {
        const cells = line.text.split(delimiter).map((cell) => cell.trim());
        width ??= cells.length;
        yield { line: line.number, cells };
        return;
      }
    }
    open.push(line);
    const text = open.map((part) => part.text).join('\n');
    const isClosed = text.split('"').length % 2 === 1;
    if (isClosed) {
      const record = parseRecord(open[0]?.number ?? line.number, text, delimiter);
      if ('fault' in record) {
        yield* giveUp(record.fault);
      } else if (open.length > 1 && width !== undefined && record.cells.length !== width) {
        // Two stray quotes, more likely than a cell that holds whole rows.
        yield* giveUp(`a quote is open to line ${line.number}, and then the cells do not fit`);
      } else {
        width ??= record.cells.length;
        open = [];
        yield record;
      }
    } else if (open.length >= recordLinesMax) {
      yield* giveUp(`a quote is not closed within ${recordLinesMax} lines`);
    }
  }

  for await (const line of lines) {
    if ('text' in line) {
      yield* take(line);
    } else {
      while (open.length > 0) yield* giveUp('a quote is not closed before an unreadable line');
      yield { line: line.number, fault: line.fault };
    }
  }
  while (open.length > 0) yield* giveUp('a quote is never closed');
}

function parseRecord(line: number, text: string, delimiter: string): CsvRecord {
  try {
    const [cells] = parse(text, { delimiter, trim: true, relax_column_count: true });
    return cells === undefined ? { line, fault: 'there is no record' } : { line, cells };
  } catch (error) {
    // csv-parse counts lines within the one record it was given.
    return { line, fault: messageOf(error).replace(/ at line \d+/, '') };
  }
}
