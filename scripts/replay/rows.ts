import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import * as z from 'zod';
import { parseKeepingCosts } from '../../shared/decimal-json.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { UsageError } from '../cli/failure.ts';
import { type FieldName, type Fields, fieldsOf, missingColumns } from './columns.ts';
import { csvRecords, delimiterOf } from './csv.ts';
import { type Line, readLines } from './lines.ts';

/** A row of the file; `number` counts rows from 1, readable or not, and stays the same for good. */
export type Row = { line: number; number: number } & ({ fields: Fields } | { fault: string });

/**
 * The rows of a CSV file with a header line, or of a file with one JSON object a line. A row that
 * cannot be read says why, alone.
 *
 * @throws UsageError when the file as a whole cannot be replayed.
 */
export async function* readRows(
  path: string,
  onBytes: (chunk: Buffer) => void = () => {},
): AsyncGenerator<Row> {
  const head = await readHead(path);
  const lines = readLines(path, onBytes);
  const [firstLine = ''] = head.split('\n');
  yield* isNdjson(path, head) ? jsonRows(lines) : csvRows(lines, path, delimiterOf(firstLine));
}

const headBytes = 65_536;

async function readHead(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
      return buffer
        .toString('utf8', 0, bytesRead)
        .replace(/^\uFEFF/, '')
        .trimStart();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new UsageError(`FILE cannot be read: ${messageOf(error)}`);
  }
}

/** By the extension, else by what the file begins with. */
function isNdjson(path: string, head: string): boolean {
  const extension = extname(path).toLowerCase();
  if (['.ndjson', '.jsonl'].includes(extension)) return true;
  if (['.csv', '.tsv'].includes(extension)) return false;
  return head.startsWith('{');
}

async function* csvRows(
  lines: AsyncIterable<Line>,
  path: string,
  delimiter: string,
): AsyncGenerator<Row> {
  let header: (FieldName | null)[] | undefined;
  let number = 0;
  for await (const record of csvRecords(lines, delimiter)) {
    if (header === undefined) {
      header = readHeader(record, path);
      continue;
    }
    number += 1;
    const { line } = record;
    if ('fault' in record) {
      yield { line, number, fault: record.fault };
    } else if (record.cells.length !== header.length) {
      const fault = `the row has ${record.cells.length} cells, the header ${header.length}`;
      yield { line, number, fault };
    } else {
      yield { line, number, fields: fieldsFrom(header, record.cells) };
    }
  }
}

function readHeader(
  record: { cells: string[] } | { fault: string },
  path: string,
): (FieldName | null)[] {
  if ('fault' in record) throw new UsageError(`${path}: the header: ${record.fault}`);
  let fields: (FieldName | null)[];
  try {
    fields = fieldsOf(record.cells);
  } catch (error) {
    throw new UsageError(`${path}: ${messageOf(error)}`);
  }
  const missing = missingColumns(fields);
  if (missing.length === 0) return fields;
  const names = record.cells.slice(0, 30).join(', ').slice(0, 300);
  throw new UsageError(`${path} has no column ${missing.join(', nor ')}; it has: ${names}`);
}

const objectForm = z.record(z.string(), z.unknown());

async function* jsonRows(lines: AsyncIterable<Line>): AsyncGenerator<Row> {
  // Rows mostly have the same keys: their meaning is looked up once.
  let keys: string[] = [];
  let header: (FieldName | null)[] = [];
  let number = 0;
  for await (const read of lines) {
    if ('text' in read && read.text.trim() === '') continue;
    number += 1;
    const at = { line: read.number, number };
    if ('fault' in read) {
      yield { ...at, fault: read.fault };
      continue;
    }
    try {
      const value = objectForm.safeParse(parseKeepingCosts(camelCosts(read.text)));
      if (!value.success) throw new Error('the line is not a JSON object');
      const names = Object.keys(value.data);
      if (names.length !== keys.length || names.some((name, index) => name !== keys[index])) {
        header = fieldsOf(names);
        keys = names;
      }
      yield { ...at, fields: fieldsFrom(header, Object.values(value.data)) };
    } catch (error) {
      const isSyntax = error instanceof SyntaxError;
      yield { ...at, fault: isSyntax ? `not JSON: ${error.message}` : messageOf(error) };
    }
  }
}

const costKey = /(?<!\\)"(cost_?estimate_?cents|input_?cost_?cents|output_?cost_?cents)"(?=\s*:)/gi;

/** Cost keys as `parseKeepingCosts` knows them, so that no cost passes through a float. */
function camelCosts(text: string): string {
  return text.replace(costKey, (_, name: string) => `"${fieldsOf([name])[0]}"`);
}

function fieldsFrom(header: readonly (FieldName | null)[], values: readonly unknown[]): Fields {
  const fields: Fields = {};
  for (const [index, field] of header.entries()) {
    const value = values[index];
    if (field !== null && value !== undefined && value !== null && value !== '') {
      fields[field] = value;
    }
  }
  return fields;
}
