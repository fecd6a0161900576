import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { exported } from '../support/export-file.ts';
import { hostileNames } from '../support/hostile-names.ts';
import { type System, startSystem } from '../support/system.ts';
import { usageEvent } from '../support/usage-events.ts';
import { batchStore } from '../support/window-property.ts';

const run = promisify(execFile);
const isThere = await run('soffice', ['--version']).then(
  () => true,
  () => false,
);
const nowMs = Date.now();

let system: System;
let database: Database;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'libreoffice-'));
  system = await startSystem({ stream: false });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
});
afterAll(async () => {
  await database.close();
  await system.close();
  await rm(folder, { recursive: true });
});

async function convert(file: string, to: string, filter: string): Promise<string> {
  await run(
    'soffice',
    [
      `-env:UserInstallation=file://${folder}/profile`,
      '--headless',
      // Comma, double quote, UTF-8, from the first line.
      ...(file.endsWith('.csv') ? ['--infilter=CSV:44,34,76,1'] : []),
      '--convert-to',
      `${to}:${filter}`,
      '--outdir',
      folder,
      join(folder, file),
    ],
    { timeout: 60_000 },
  );
  return readFile(join(folder, file.replace(/\.\w+$/, `.${to.split(':')[0]}`)), 'utf8');
}

test.skipIf(!isThere)(
  'LibreOffice reads the same cells, and no formula among them',
  {
    timeout: 180_000,
  },
  async () => {
    const orgId = randomUUID();
    const occurredAtMs = nowMs - 60_000;
    await batchStore(database)(
      hostileNames.map((clientId) => usageEvent({ orgId, clientId, occurredAtMs })),
    );
    const { text, rows } = await exported(system, database, {
      orgId,
      format: 'csv',
      granularity: 'day',
      timezone: 'UTC',
      models: null,
      range: { startMs: nowMs - 86_400_000, endMs: nowMs },
    });
    await writeFile(join(folder, 'export.csv'), text);
    const sheet = await convert('export.csv', 'fods', 'OpenDocument Spreadsheet Flat XML');
    expect(sheet).toContain('cost_estimate_cents');
    expect(sheet.match(/.{0,80}table:formula.{0,120}/)).toBeNull();

    // And out again as CSV by LibreOffice, as it understood them.
    await writeFile(join(folder, 'again.fods'), sheet);
    const again = await convert('again.fods', 'csv', 'Text - txt - csv (StarCalc):44,34,76,1');
    const [header = [], ...cells]: string[][] = parse(again);
    const client = header.indexOf('client_id');
    // The sheet has each tab and line break; LibreOffice's own CSV leaves tabs out and writes LF.
    const unix = (cell: string) => cell.replace(/\r\n?/g, '\n').replaceAll('\t', '');
    expect(cells.map((row) => unix(row[client] ?? '')).sort()).toEqual(
      rows.map((row) => unix(row.client_id ?? '')).sort(),
    );
  },
);
