import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readRows, surveyFile } from '../../scripts/replay/survey.ts';
import { eventColumns } from '../../shared/exports/events.ts';
import { csvLine, textCell } from '../../shared/exports/format.ts';
import { corpusLines, fuzzRuns } from '../support/fuzz.ts';

const corpus: string[] = corpusLines('csv-cells.txt').map((line) => JSON.parse(line));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'own-export-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** What spreadsheets, CSV and our reader give a meaning to, in any order. */
const piece = fc.constantFrom(
  ...['=', '+', '-', '@', '＝', "'", '"', ',', ';', '\t', '\r', '\n', '\r\n', ' ', '\uFEFF', 'a'],
);
const texts = fc.oneof(
  fc.array(piece, { maxLength: 64 }).map((pieces) => pieces.join('')),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
);

/** An event's line as the export writes it. */
function lineOf(client: string, errorCode: string): string {
  const cells: Record<string, string> = {
    occurred_at: '2026-11-20T10:00:00.000Z',
    client_id: textCell(client),
    error_code: textCell(errorCode),
    status: 'error',
    input_tokens: '1',
    output_tokens: '1',
  };
  return csvLine(eventColumns.map((name) => cells[name] ?? ''));
}

test('any texts come back from our own export as they were', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(texts, texts), { minLength: 1, maxLength: 8 }),
      async (rows) => {
        const path = join(folder, 'export.csv');
        const lines = rows.map(([client, errorCode]) => lineOf(client, errorCode));
        await writeFile(path, csvLine(eventColumns) + lines.join(''));
        const { format, plan } = await surveyFile(path, { maps: [], ignores: [], timeZone: 'UTC' });
        const read: unknown[] = [];
        for await (const row of readRows(path, format, plan)) {
          if ('fault' in row) throw new Error(`line ${row.line}: ${row.fault}`);
          const { clientId = '', errorCode = '' } = plan.read(row.names, row.values).fields;
          read.push([clientId, errorCode]);
        }
        expect(read).toEqual(rows);
      },
    ),
    fuzzRuns(
      100,
      corpus.map((text) => [[[text, text]]]),
    ),
  );
});
