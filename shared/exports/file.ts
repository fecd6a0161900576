import { createHash } from 'node:crypto';
import { stringify } from '../decimal-json.ts';
import { readCompleteThrough } from '../freshness/freshness.ts';
import type { Database, Transaction } from '../platform/database/db.ts';
import type { Settings } from '../platform/env.ts';
import type { ObjectStore } from '../platform/object-store/object-store.ts';
import { localTime, planWindow } from '../queries/time-window.ts';
import { Values } from '../queries/window-sql.ts';
import { pendingBatches } from '../rollups/pending-batches.ts';
import { eventsFormat } from './events.ts';
import { type FocusSettings, focusFormat } from './focus.ts';
import { csvLine, type ExportFormat, type ExportScope, TotalsSum } from './format.ts';
import { formulaRule } from './formula-guard.ts';
import { type ExportJob, granularityNames, objectKeysOf, totalsAnswer } from './job.ts';
import type { WrittenExport } from './queue.ts';
import { usageFormat } from './usage.ts';

export interface ExportFileOptions {
  settings: FocusSettings & Pick<Settings, 'SERVICE_NAME'>;
  /** Ends the attempt wherever it is. */
  signal: AbortSignal;
  /**
   * Called after the last row, before the file becomes visible, and before the manifest does. What
   * it throws ends the attempt.
   */
  beforeVisible: () => Promise<void>;
}

/** The first row of a large export comes once the whole was sorted. */
const statementTimeoutMs = 1_800_000;
/** An upload that takes longer for what was fetched has failed by its own limits. */
const idleTimeoutMs = 300_000;
/** Small, as a quick reader must not gather a slow one's rows: 1,000 rows are some 200 kB. */
const rowsPerFetch = 1_000;

/**
 * Writes a job's file and its manifest. All rows come from one snapshot of the database, through a
 * cursor, the CSV writer and SHA-256 into the store: memory stays flat whatever the size.
 *
 * @throws StoreError, ServiceError `unavailable`, or what `beforeVisible` throws.
 */
export async function writeExport(
  database: Database,
  store: ObjectStore,
  job: ExportJob,
  options: ExportFileOptions,
): Promise<WrittenExport> {
  const keys = objectKeysOf(job);
  const { signal } = options;
  const metadata = {
    'generated-at': new Date().toISOString(),
    'org-id': job.orgId ?? 'all',
    'job-id': job.jobId,
  };
  const written = await database.transaction(
    { mode: 'snapshot', statementTimeoutMs, idleTimeoutMs, signal },
    async (snapshot) => {
      const plan = planWindow(
        { ...job.range, granularity: job.granularity, timeZone: job.timezone },
        { anyHours: true },
      );
      const pending = await pendingBatches(snapshot);
      const completeThrough = await readCompleteThrough(snapshot);
      const format = formatOf({ request: job, plan, pending }, options.settings);
      const file = new FileSums();
      const body = file.measured(lines(snapshot, format, file.totals), options.beforeVisible);
      const contentType = 'text/csv; charset=utf-8; header=present';
      const { etag } = await store.put(keys.file, body, { contentType, metadata, signal });
      return {
        columns: format.columns,
        objectKey: keys.file,
        objectEtag: etag,
        rowCount: file.rows,
        bytes: file.bytes,
        checksum: file.checksum(),
        totals: file.totals.toTotals(),
        completeThrough: completeThrough === null ? null : new Date(completeThrough),
      };
    },
  );
  const { columns, ...result } = written;
  const manifest = Buffer.from(stringify(manifestOf(job, columns, result, options.settings)));
  // The transaction's end may have taken a while: is the job still ours?
  await options.beforeVisible();
  await store.put(keys.manifest, manifest, { contentType: 'application/json', metadata, signal });
  return result;
}

function formatOf(scope: ExportScope, settings: FocusSettings): ExportFormat {
  switch (scope.request.format) {
    case 'csv':
      return usageFormat(scope);
    case 'events':
      return eventsFormat(scope);
    case 'focus':
      return focusFormat(scope, settings);
  }
}

/** The file, a chunk of lines for each fetch. */
async function* lines(
  snapshot: Transaction,
  format: ExportFormat,
  totals: TotalsSum,
): AsyncGenerator<{ text: string; rows: number }> {
  yield { text: csvLine(format.columns), rows: 0 };
  const values = new Values();
  const statement = format.statement(values);
  for await (const fetched of snapshot.cursor(statement, values.list, rowsPerFetch)) {
    let text = '';
    let rows = 0;
    for (const row of fetched) {
      for (const line of format.toLines(row, totals)) {
        text += line;
        rows += 1;
      }
    }
    yield { text, rows };
  }
}

/** What is known of a file once it has gone by. */
class FileSums {
  readonly totals = new TotalsSum();
  rows = 0;
  bytes = 0;
  readonly #hash = createHash('sha256');

  async *measured(
    chunks: AsyncIterable<{ text: string; rows: number }>,
    atEnd: () => Promise<void>,
  ): AsyncGenerator<Buffer> {
    for await (const { text, rows } of chunks) {
      const chunk = Buffer.from(text);
      this.#hash.update(chunk);
      this.rows += rows;
      this.bytes += chunk.length;
      yield chunk;
    }
    await atEnd();
  }

  checksum(): string {
    return this.#hash.digest('hex');
  }
}

/** What a reader needs to check a file and to know what it says. */
function manifestOf(
  job: ExportJob,
  columns: readonly string[],
  written: WrittenExport,
  settings: FocusSettings,
): object {
  const { startMs, endMs } = job.range;
  const focus = {
    focusVersion: '1.2',
    billingCurrency: settings.BILLING_CURRENCY,
    providerName: settings.FOCUS_PROVIDER_NAME ?? settings.SERVICE_NAME,
  };
  return {
    jobId: job.jobId,
    orgId: job.orgId,
    format: job.format,
    ...(job.format === 'focus' ? focus : {}),
    objectKey: written.objectKey,
    ...(job.revision === null ? {} : { revision: job.revision }),
    generatedAt: new Date().toISOString(),
    granularity: granularityNames[job.granularity],
    timezone: job.timezone,
    timeRange: { start: localTime(startMs, job.timezone), end: localTime(endMs, job.timezone) },
    models: job.models,
    completeThrough: written.completeThrough?.toISOString() ?? null,
    columns,
    rowCount: written.rowCount,
    bytes: written.bytes,
    checksum: { algorithm: 'SHA-256', value: written.checksum },
    totals: totalsAnswer(written.totals),
    csv: { charset: 'UTF-8', lineEnd: 'CRLF', quoting: 'RFC 4180', formulas: formulaRule },
  };
}
