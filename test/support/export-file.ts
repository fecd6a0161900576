import { createHash } from 'node:crypto';
import { parse } from 'csv-parse/sync';
import { expect } from 'vitest';
import * as z from 'zod';
import {
  createExportJob,
  type ExportJob,
  type ExportRequest,
  readExportJob,
} from '../../shared/exports/job.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import { adminHeaders, type System } from './system.ts';

/** A finished export: the job, and the file as a reader gets it. */
export interface DownloadedExport {
  job: ExportJob;
  text: string;
  columns: string[];
  /** Cells by column. */
  rows: Record<string, string>[];
}

/** Asks for an export, lets the worker make it, downloads it by its link and checks its sum. */
export async function exported(
  system: System,
  database: Database,
  request: ExportRequest,
): Promise<DownloadedExport> {
  const created = await createExportJob(database, {
    ...request,
    initiatedBy: 'test',
    idempotencyKey: null,
  });
  await system.exports.drain();
  const job = await readExportJob(database, request.orgId, created.jobId);
  if (job?.status !== 'succeeded') throw new Error(`export ${job?.status}: ${job?.error}`);
  return { job, ...(await downloaded(system, job)) };
}

/** The file of a job that has succeeded. */
export async function downloaded(system: System, job: ExportJob) {
  const home = job.orgId === null ? '' : `/orgs/${job.orgId}`;
  const path = `/analytics/v1${home}/exports/${job.jobId}/download`;
  const { status, headers } = await system.app.request(path, { headers: adminHeaders });
  expect(status).toBe(302);
  const bytes = Buffer.from(await (await fetch(headers.get('Location') ?? '')).arrayBuffer());
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(job.checksum);
  expect(bytes.length).toBe(job.bytes);
  return parsedCsv(bytes.toString('utf8'), job.rowCount);
}

const cells = z.array(z.array(z.string()));

/** Strictly by RFC 4180: CRLF alone ends a line, a quote stands only where it may. */
function parsedCsv(text: string, rowCount: number | null) {
  const lines = cells.parse(
    parse(text, { record_delimiter: '\r\n', relax_quotes: false, relax_column_count: false }),
  );
  const [columns = [], ...rows] = lines;
  expect(rows.length).toBe(rowCount);
  return {
    text,
    columns,
    rows: rows.map((row) =>
      Object.fromEntries(columns.map((column, index) => [column, row[index] ?? ''])),
    ),
  };
}
