import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventsFormat } from '../../shared/exports/events.ts';
import { focusFormat } from '../../shared/exports/focus.ts';
import { csvLine, type ExportFormat, TotalsSum, textCell } from '../../shared/exports/format.ts';
import { unguardedCell } from '../../shared/exports/formula-guard.ts';
import { usageFormat } from '../../shared/exports/usage.ts';
import type { TextRow } from '../../shared/platform/database/db.ts';
import { planWindow } from '../../shared/queries/time-window.ts';
import { corpusLines, fuzzRuns } from '../support/fuzz.ts';

const corpus: string[] = corpusLines('csv-cells.txt').map((line) => JSON.parse(line));

/** By the contract: these, and the full-width forms of the four. */
const marks = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
const runsAsFormula = (text: string) =>
  [...marks, '\t', '\r', '\n'].some((one) => text.startsWith(one));
const isNumber = (text: string) => /^-?\d+(\.\d+)?$/.test(text);

/** What docs/exports.md says of a text cell, read a character at a time. */
function asCell(text: string): string {
  let cell = /^[\t\r\n]/.test(text) ? "'" : '';
  let mayBegin = true;
  for (const character of text) {
    if (mayBegin && (character === "'" || marks.includes(character))) cell += "'";
    cell += character;
    mayBegin = /[,;\t\r\n]/.test(character) || (mayBegin && /[ "]/.test(character));
  }
  return cell;
}

/**
 * The cells that a spreadsheet finds which splits at another separator than ours, or at ours. A quote
 * opens a cell only at its start, and what follows its end belongs to the cell, as Excel, LibreOffice
 * and Python read it.
 */
function cellsSplitAt(separator: string, csv: string): string[] {
  const cells: string[] = [];
  let [cell, isAtStart, isQuoted] = ['', true, false];
  for (let index = 0; index < csv.length; index += 1) {
    const character = csv.charAt(index);
    if (isQuoted && character === '"' && csv.charAt(index + 1) === '"') {
      cell += '"';
      index += 1;
    } else if (character === '"' && (isQuoted || isAtStart)) {
      isQuoted = !isQuoted;
    } else if (!isQuoted && [separator, '\r', '\n'].includes(character)) {
      cells.push(cell);
      cell = '';
      isAtStart = true;
      continue;
    } else {
      cell += character;
    }
    isAtStart = false;
  }
  return [...cells, cell];
}

/** Whatever a reader splits at, whether it knows quotes, and whether it trims. */
function expectNoFormula(csv: string): void {
  for (const separator of [',', ';', '\t']) {
    const naive = csv.split(/[\r\n]/).flatMap((line) => line.split(separator));
    for (const cell of [...cellsSplitAt(separator, csv), ...naive]) {
      const trimmed = cell.replace(/^[ "\t\r\n]*/, '');
      expect(runsAsFormula(trimmed) && !isNumber(trimmed), `${separator}: ${cell}`).toBe(false);
    }
  }
}

/** Texts that PostgreSQL can hold, with what CSV and spreadsheets give a meaning to among them. */
const texts = fc
  .oneof(
    fc.constantFrom(...corpus),
    fc
      .array(
        fc.oneof(
          fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', '"', ',', ';', "'", '＝', '\ufeff'),
          fc.string({ unit: 'binary', maxLength: 3 }),
          fc.string({ unit: 'grapheme', maxLength: 3 }),
        ),
        { maxLength: 6 },
      )
      .map((parts) => parts.join('')),
  )
  .filter((text) => text.isWellFormed() && !text.includes('\u0000'));

/** Reads as strictly as RFC 4180 is written, from bytes as they lie in the file. */
function recordsOf(csv: string): string[][] {
  return parse(Buffer.from(csv, 'utf8'), { record_delimiter: '\r\n' });
}

test('any texts come back from a reader, no two alike, and none is a formula however it is split', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(texts, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 4 }),
      (rows) => {
        const csv = rows.map((row) => csvLine(row.map(textCell))).join('');
        const records = recordsOf(csv);
        expect(records).toEqual(rows.map((row) => row.map(asCell)));
        expect(records.map((record) => record.map(unguardedCell))).toEqual(rows);
        for (const cell of records.flat()) expect(runsAsFormula(cell), cell).toBe(false);
        expectNoFormula(csv);
      },
    ),
    fuzzRuns(
      500,
      corpus.map((text): [string[][]] => [[[text, 'a', text]]]),
    ),
  );
});

const orgId = '00000000-0000-4000-8000-00000000000a';
const modelId = '00000000-0000-4000-8000-0000000000a1';
const range = { startMs: Date.UTC(2026, 5, 1), endMs: Date.UTC(2026, 5, 2) };
const plan = planWindow({ ...range, granularity: 'day', timeZone: 'UTC' });
const scope = {
  request: { orgId: null, format: 'csv', granularity: 'day', timezone: 'UTC', models: null, range },
  plan,
  pending: { ids: [], fromMs: 0, throughMs: 0 },
} as const;

/** Somebody else's three texts in a row. */
type Texts = readonly [first: string, second: string, client: string];

/** A row as each format's query returns it, and the columns that hold the texts, in their order. */
const formats: [
  name: string,
  format: ExportFormat,
  rowOf: (texts: Texts) => TextRow,
  columns: readonly [string, string, string],
][] = [
  [
    'csv',
    usageFormat(scope),
    ([org, model, client]) => [
      '1',
      orgId,
      org,
      modelId,
      model,
      client,
      '3',
      '1',
      '10',
      '20',
      '30',
      '1.5',
      '513',
    ],
    ['org_name', 'model_name', 'client_id'],
  ],
  [
    'focus',
    focusFormat(scope, {
      BILLING_CURRENCY: 'USD',
      FOCUS_PROVIDER_NAME: '=provider',
      SERVICE_NAME: 'analytics-service',
    }),
    ([org, model, client]) => [
      ...['1', orgId, org, modelId, model, client, '3', '1', '10', '20', '1.5'],
      ...['5', '6', '0.1', '0.2', '1', '5', '14', '0.3', '0.4', '0.000005', '0.000006'],
    ],
    ['BillingAccountName', 'ResourceName', 'SubAccountId'],
  ],
  [
    'events',
    eventsFormat(scope),
    ([, code, client]) => [
      ...['2026-06-01T00:00:00.000Z', modelId, orgId, modelId, null, client, '1', 'error', code],
      ...['10', '20', '1.5', '0.5', '1', '7'],
    ],
    ['error_code', 'error_code', 'client_id'],
  ],
];

test.each(formats)('a row of %s has its columns whatever the names', (_, format, rowOf, named) => {
  const totals = new TotalsSum();
  const header = csvLine(format.columns);
  fc.assert(
    fc.property(fc.tuple(texts, texts, texts), (given) => {
      const csv = header + format.toLines(rowOf(given), totals).join('');
      expectNoFormula(csv);
      const [columns, ...records] = recordsOf(csv);
      expect(columns).toEqual(format.columns);
      expect(records.length).toBeGreaterThan(0);
      for (const record of records) {
        expect(record).toHaveLength(format.columns.length);
        for (const cell of record) expect(runsAsFormula(cell) && !isNumber(cell), cell).toBe(false);
        const cellOf = (name: string) => record[format.columns.indexOf(name)];
        const [, second, client] = given;
        expect(cellOf(named[1])).toBe(asCell(second));
        expect(cellOf(named[2])).toBe(asCell(client));
        // A billing account without a name is called by its id.
        const first = named[0] === 'BillingAccountName' ? given[0] || orgId : given[0];
        if (named[0] !== named[1]) expect(cellOf(named[0])).toBe(asCell(first));
      }
    }),
    fuzzRuns(
      200,
      corpus.map((text): [Texts] => [[text, text, text]]),
    ),
  );
});
