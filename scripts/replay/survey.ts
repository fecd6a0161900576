import { UsageError } from '../cli/failure.ts';
import { completionOf } from './event.ts';
import { rowsMax } from './ordinals.ts';
import { type ColumnChoice, type Plan, planFor } from './plan.ts';
import { type FileFormat, type FileRecord, formatOf, readRecords } from './records.ts';
import { namesText } from './unused.ts';

/** What has to be known of a file before its first row can be sent. */
export interface Survey {
  format: FileFormat;
  plan: Plan;
  rows: number;
  /** The first row's time, which shifting and stretching start from. */
  firstMs: number;
  /** The earliest and the latest, wherever they stand. */
  minMs: number;
  maxMs: number;
  /** Whether rows bring their own event ids. */
  hasEventIds: boolean;
  /** Rows whose time has no zone, the first few by their lines. */
  zoneless: { count: number; lines: number[] };
}

/** Of JSON, whose rows may have keys of their own, so many tell what kind of file it is. */
const sampleRows = 100;
const linesMax = 5;

/**
 * Reads the file once through: what its columns mean, which of them are of no use, and its times.
 *
 * @throws UsageError when there is nothing in it to replay.
 */
export async function surveyFile(path: string, choice: ColumnChoice): Promise<Survey> {
  const format = await formatOf(path);
  const names = await namesOf(path, format);
  const plan = planFor(path, names, format.kind === 'csv' ? 'column' : 'key', choice);
  const survey = { rows: 0, minMs: Infinity, maxMs: -Infinity, hasEventIds: false };
  const zoneless: Survey['zoneless'] = { count: 0, lines: [] };
  let firstMs: number | undefined;
  let withoutId = 0;
  for await (const record of readRows(path, format, plan)) {
    survey.rows += 1;
    if ('fault' in record) continue;
    const draft = drafted(plan, record);
    if (draft === undefined || draft.passedOver !== undefined) continue;
    if (draft.fields.eventId === undefined) withoutId += 1;
    else survey.hasEventIds = true;
    const time = completionOf(draft);
    if (time === undefined) continue;
    if (!time.hasZone) {
      zoneless.count += 1;
      if (zoneless.lines.length < linesMax) zoneless.lines.push(record.line);
    }
    firstMs ??= time.ms;
    survey.minMs = Math.min(survey.minMs, time.ms);
    survey.maxMs = Math.max(survey.maxMs, time.ms);
  }
  if (survey.rows === 0) throw new UsageError(`${path} holds no rows`);
  plan.checkMaps();
  if (firstMs === undefined) {
    throw new UsageError(
      `${path}: none of its ${survey.rows} rows has a readable time; they have: ${namesText(names)}`,
    );
  }
  if (withoutId > rowsMax) {
    throw new UsageError(
      `${path} has more than ${rowsMax} rows without an eventId: cut it in parts`,
    );
  }
  return { ...survey, format, plan, firstMs, zoneless };
}

/** The rows of a file, without what a CSV file's header is. */
export async function* readRows(
  path: string,
  format: FileFormat,
  plan: Plan,
): AsyncGenerator<FileRecord> {
  let isHeader = format.kind === 'csv';
  for await (const record of readRecords(path, format, () => plan.isOwnExport)) {
    if (!isHeader) yield record;
    isHeader = false;
  }
}

async function namesOf(path: string, format: FileFormat): Promise<string[]> {
  const names = new Set<string>();
  let rows = 0;
  let fault: string | undefined;
  for await (const record of readRecords(path, format)) {
    rows += 1;
    if ('names' in record) for (const name of record.names) names.add(name);
    else fault ??= `line ${record.line}: ${record.fault}`;
    // A header may hold one name twice, which the plan refuses.
    if (format.kind === 'csv') return 'names' in record ? [...record.names] : [];
    if (rows >= sampleRows) break;
  }
  if (rows === 0) throw new UsageError(`${path} holds no rows`);
  if (names.size === 0 && fault !== undefined) {
    throw new UsageError(`${path} holds no JSON objects that can be read: ${fault}`);
  }
  return [...names];
}

/** Undefined where the row says one thing twice: it is named when it is its turn to be sent. */
function drafted(plan: Plan, { names, values }: Exclude<FileRecord, { fault: string }>) {
  try {
    return plan.read(names, values);
  } catch {
    return undefined;
  }
}
