import { extname } from 'node:path';
import * as z from 'zod';
import { parseKeepingDigits } from '../../shared/decimal-json.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { UsageError } from '../cli/failure.ts';
import { readText } from './bytes.ts';
import { csvRecords, delimiterOf } from './csv.ts';
import { type JsonText, readJsonValues } from './json-values.ts';
import { type Line, readLines } from './lines.ts';

/** A row of the file: its columns or keys, and what they hold, or why it cannot be read. */
export type FileRecord =
  | { line: number; names: readonly string[]; values: readonly unknown[] }
  | { line: number; fault: string };

/** How a file is written. */
export type FileFormat =
  | { kind: 'csv'; delimiter: string; hasSepLine: boolean }
  | { kind: 'json'; layout: 'lines' | 'list' | 'objects' };

const headBytesMax = 65_536;

/**
 * By what it begins with: JSON by its first bracket, all else is CSV; a file that is named as JSON
 * is not CSV.
 *
 * @throws UsageError when it cannot be read
 */
export async function formatOf(path: string): Promise<FileFormat> {
  const head = await headOf(path);
  const [firstLine = ''] = head.split('\n');
  if (head.startsWith('[')) return { kind: 'json', layout: 'list' };
  const isNamedJson = /\.(ndjson|jsonl)(\.gz)?$/i.test(path);
  if (head.startsWith('{') || isNamedJson) {
    const isCutOff = !head.includes('\n') && head.length >= headBytesMax / 4;
    const isByLine =
      !head.startsWith('{') || isCutOff || isJson(firstLine) || !isOpen(head, firstLine);
    return { kind: 'json', layout: isByLine ? 'lines' : 'objects' };
  }
  const separator = /^"?sep=(.)"?\r?$/.exec(firstLine)?.[1];
  const isTabbed = /^\.tsv$/i.test(extname(path));
  return {
    kind: 'csv',
    delimiter: separator ?? (isTabbed ? '\t' : delimiterOf(firstLine)),
    hasSepLine: separator !== undefined,
  };
}

async function headOf(path: string): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of readText(path)) {
    parts.push(chunk);
    bytes += chunk.length;
    if (bytes >= headBytesMax) break;
  }
  return Buffer.concat(parts).toString('utf8', 0, headBytesMax).trimStart();
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether the first object goes on after its first line, rather than being a broken one. */
function isOpen(head: string, firstLine: string): boolean {
  const second = head.slice(firstLine.length).trimStart();
  return firstLine.trimEnd() === '{' || !second.startsWith('{');
}

/**
 * The rows of a file, however it is written. A row that cannot be read says why, alone.
 *
 * @param isExact whether a CSV file is one that we wrote, asked once its header was yielded
 * @throws UsageError when the file as a whole cannot be read
 */
export function readRecords(
  path: string,
  format: FileFormat,
  isExact: () => boolean = () => false,
): AsyncGenerator<FileRecord> {
  if (format.kind === 'csv') return csvRows(path, format, isExact);
  if (format.layout === 'lines') return jsonRows(jsonLines(path));
  return jsonRows(readJsonValues(path, format.layout === 'list'));
}

async function* csvRows(
  path: string,
  { delimiter, hasSepLine }: FileFormat & { kind: 'csv' },
  isExact: () => boolean,
): AsyncGenerator<FileRecord> {
  const lines = hasSepLine ? withoutFirst(readLines(path)) : readLines(path);
  let header: readonly string[] | undefined;
  for await (const record of csvRecords(
    lines,
    delimiter,
    () => header !== undefined && isExact(),
  )) {
    const { line } = record;
    if (header === undefined) {
      if ('fault' in record) throw new UsageError(`${path}: the header: ${record.fault}`);
      header = record.cells;
      yield { line, names: header, values: [] };
    } else if ('fault' in record) {
      yield { line, fault: record.fault };
    } else if (record.cells.length !== header.length) {
      const fault = `the row has ${record.cells.length} cells, the header ${header.length}`;
      yield { line, fault };
    } else {
      yield { line, names: header, values: record.cells };
    }
  }
}

/** Without the first line that is not empty. */
async function* withoutFirst(lines: AsyncIterable<Line>): AsyncGenerator<Line> {
  let isPast = false;
  for await (const line of lines) {
    if (isPast) yield line;
    else isPast = 'fault' in line || line.text.trim() !== '';
  }
}

async function* jsonLines(path: string): AsyncGenerator<JsonText> {
  for await (const read of readLines(path)) {
    if ('fault' in read) yield { line: read.number, fault: read.fault };
    else if (read.text.trim() !== '') yield { line: read.number, text: read.text };
  }
}

const objectForm = z.record(z.string(), z.unknown());

async function* jsonRows(texts: AsyncIterable<JsonText>): AsyncGenerator<FileRecord> {
  for await (const read of texts) {
    if ('fault' in read) {
      yield read;
      continue;
    }
    const { line } = read;
    try {
      const value = objectForm.safeParse(parseKeepingDigits(read.text));
      if (value.success) {
        yield { line, names: Object.keys(value.data), values: Object.values(value.data) };
      } else {
        yield { line, fault: 'it is not a JSON object' };
      }
    } catch (error) {
      yield { line, fault: `not JSON: ${messageOf(error)}` };
    }
  }
}
