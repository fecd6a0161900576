import { createHash } from 'node:crypto';
import { UsageError } from '../cli/failure.ts';
import { timeOf } from './event.ts';
import { readRows } from './rows.ts';

/** What has to be known of a file before its first row can be sent. */
export interface Survey {
  /** SHA-256 of the content, hex. */
  fileHash: string;
  rows: number;
  /** The first row's time, which shifting and stretching start from. */
  firstMs: number;
  /** The earliest and the latest, wherever they stand. */
  minMs: number;
  maxMs: number;
  /** Whether rows bring their own event ids. */
  hasEventIds: boolean;
}

/**
 * Reads the file once through: ids derive from its content, and times from its first one.
 *
 * @throws UsageError when there is nothing in it to replay.
 */
export async function surveyFile(path: string): Promise<Survey> {
  const hash = createHash('sha256');
  const survey = { rows: 0, minMs: Infinity, maxMs: -Infinity, hasEventIds: false };
  let firstMs: number | undefined;
  for await (const row of readRows(path, (chunk) => hash.update(chunk))) {
    survey.rows += 1;
    if ('fault' in row) continue;
    survey.hasEventIds ||= row.fields.eventId !== undefined;
    const ms = timeOf(row.fields);
    if (ms === undefined) continue;
    firstMs ??= ms;
    survey.minMs = Math.min(survey.minMs, ms);
    survey.maxMs = Math.max(survey.maxMs, ms);
  }
  if (survey.rows === 0) throw new UsageError(`${path} holds no rows`);
  if (firstMs === undefined) {
    throw new UsageError(`${path}: none of its ${survey.rows} rows has a readable time`);
  }
  return { ...survey, firstMs, fileHash: hash.digest('hex') };
}
