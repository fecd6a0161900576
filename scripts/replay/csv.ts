import { parse } from 'csv-parse/sync';
import { messageOf } from '../../shared/platform/errors.ts';
import { type Line, lineMaxBytes } from './lines.ts';

/** A record's cells, or why it has none, with the line that it begins on. */
export type CsvRecord = { line: number; cells: string[] } | { line: number; fault: string };

const delimiters = [',', ';', '\t'] as const;
/** A quoted cell may hold line ends; past this many, its quote is taken for a stray one. */
const recordLinesMax = 300;

/** The delimiter that a header line has most of. */
export function delimiterOf(header: string): string {
  const count = (delimiter: string) => header.split(delimiter).length;
  return [...delimiters].sort((a, b) => count(b) - count(a))[0] ?? ',';
}

type OpenLine = { number: number; text: string; end: string };

/**
 * CSV records (RFC 4180) from lines; empty lines are none. One bad record never takes others with
 * it: csv-parse, given the whole stream, loses whatever follows a stray quote without a word. So it
 * is given one record at a time, and after a record that fails reading goes on at the next line.
 *
 * @param isExact asked at each record: whether spaces around cells, and which line ends cells hold,
 *   belong to the text, as in a file that we wrote
 */
export async function* csvRecords(
  lines: AsyncIterable<Line>,
  delimiter: string,
  isExact: () => boolean = () => false,
): AsyncGenerator<CsvRecord> {
  let open: OpenLine[] = [];
  let openQuotes = 0;
  let openLength = 0;
  let width: number | undefined;

  /** The records of the open lines, none of which closes the first one's quote. */
  function* giveUp(fault: string): Generator<CsvRecord> {
    const [first, ...rest] = open;
    if (first === undefined) return;
    open = [];
    yield { line: first.number, fault };
    for (const line of rest) yield* take(line);
  }

  function* take(line: OpenLine): Generator<CsvRecord> {
    if (open.length === 0) {
      if (line.text.trim() === '') return;
      if (!line.text.includes('"')) {
        const split = line.text.split(delimiter);
        const cells = isExact() ? split : split.map((cell) => cell.trim());
        width ??= cells.length;
        yield { line: line.number, cells };
        return;
      }
      [openQuotes, openLength] = [0, 0];
    }
    open.push(line);
    openQuotes += line.text.split('"').length - 1;
    openLength += line.text.length;
    if (openQuotes % 2 === 0) {
      const record = parseRecord(open, delimiter, isExact());
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
    } else if (open.length >= recordLinesMax || openLength > lineMaxBytes) {
      yield* giveUp(`a quote is not closed within ${open.length} lines`);
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

function parseRecord(lines: readonly OpenLine[], delimiter: string, isExact: boolean): CsvRecord {
  const line = lines[0]?.number ?? 0;
  const last = lines.length - 1;
  const text = lines
    .map((part, index) => {
      if (index < last) return `${part.text}${isExact ? part.end : '\n'}`;
      return part.text;
    })
    .join('');
  try {
    const [cells] = parse(text, {
      delimiter,
      trim: !isExact,
      relax_column_count: true,
      // Not found out from the text, where a carriage return may be a cell's.
      record_delimiter: '\n',
    });
    return cells === undefined ? { line, fault: 'there is no record' } : { line, cells };
  } catch (error) {
    // csv-parse counts lines within the one record it was given.
    return { line, fault: messageOf(error).replace(/ at line \d+/, '') };
  }
}
