import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { literalOf } from '../../shared/decimal-json.ts';
import { UsageError } from '../cli/failure.ts';
import { type Row, readRows } from './rows.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'replay-rows-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function rowsOf(name: string, content: string | Buffer): Promise<Row[]> {
  const path = join(folder, name);
  await writeFile(path, content);
  const rows: Row[] = [];
  for await (const row of readRows(path)) rows.push(row);
  return rows;
}

const header = 'TIMESTAMP,ContextTokens,GeneratedTokens';
const fields = (occurredAt: string, inputTokens: string, outputTokens: string) => ({
  occurredAt,
  inputTokens,
  outputTokens,
});

describe('CSV', () => {
  test('is read with CRLF and no end of the last line', async () => {
    expect(await rowsOf('a.csv', `${header}\r\nt1,1,2\r\nt2,3,4`)).toEqual([
      { line: 2, number: 1, fields: fields('t1', '1', '2') },
      { line: 3, number: 2, fields: fields('t2', '3', '4') },
    ]);
  });

  test.each([
    ['a byte order mark', `\uFEFF${header}\nt1,1,2\n`],
    ['semicolons', `${header}\nt1,1,2\n`.replaceAll(',', ';')],
    ['tabs', `${header}\nt1,1,2\n`.replaceAll(',', '\t')],
    ['quotes and spaces', `"TIMESTAMP", "ContextTokens" ,GeneratedTokens\n"t1" , 1,"2"\n`],
    ['other columns', `id,${header}\n7,t1,1,2\n`],
    ['empty lines', `\n${header}\n\n\nt1,1,2\n\n`],
  ])('is read with %s', async (_, content) => {
    const rows = await rowsOf('b.csv', content);
    expect(rows).toMatchObject([{ number: 1, fields: fields('t1', '1', '2') }]);
  });

  test('a quoted cell may hold delimiters, quotes and line ends', async () => {
    const rows = await rowsOf('c.csv', `${header},errorCode\nt1,1,2,"a, ""b""\r\nc"\nt2,3,4,\n`);
    expect(rows).toEqual([
      { line: 2, number: 1, fields: { ...fields('t1', '1', '2'), errorCode: 'a, "b"\nc' } },
      { line: 4, number: 2, fields: fields('t2', '3', '4') },
    ]);
  });

  test('a row that cannot be read is named and takes no other with it', async () => {
    const content = Buffer.concat([
      Buffer.from(`${header}\nt1,1\n"t2"x,1,2\nt3,1,2\nt4,"1,2\nt5,1,2\n`),
      Buffer.from([0xff, 0xfe, 0x0a]),
      Buffer.from('t6,1,2\nt7,"1,2\nt8,1",2,3\nt9,"1,2\nt10,1,2'),
    ]);
    const rows = await rowsOf('d.csv', content);
    const read = rows.map((row) => ('fields' in row ? row.fields.occurredAt : row.fault));
    expect(rows.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(rows.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(read).toEqual([
      'the row has 2 cells, the header 3',
      expect.stringContaining('Invalid Closing Quote'),
      't3',
      'a quote is not closed before an unreadable line',
      't5',
      'the line is not UTF-8',
      't6',
      expect.stringContaining('quote'),
      expect.stringContaining('Quote'),
      'a quote is never closed',
      't10',
    ]);
  });

  test('a line beyond a mebibyte is named', async () => {
    const rows = await rowsOf('e.csv', `${header}\nt1,1,2\n${'x'.repeat(3_000_000)}\nt2,1,2\n`);
    expect(rows).toMatchObject([
      { line: 2, fields: {} },
      { line: 3, fault: 'the line has more than 1048576 bytes' },
      { line: 4, fields: {} },
    ]);
  });

  test('without a needed column is refused as a whole', async () => {
    await expect(rowsOf('f.csv', 'TIMESTAMP,ContextTokens\nt1,1\n')).rejects.toThrow(
      new UsageError(
        `${join(folder, 'f.csv')} has no column outputTokens (or GeneratedTokens); ` +
          'it has: TIMESTAMP, ContextTokens',
      ),
    );
  });
});

describe('NDJSON', () => {
  const line = '{"occurred_at":"t1","input_tokens":1,"output_tokens":2,"clientId":null}';

  test.each(['a.ndjson', 'a.jsonl', 'a.log'])(
    'is known by extension or content: %s',
    async (name) => {
      expect(await rowsOf(name, `${line}\n\n${line}`)).toEqual([
        { line: 1, number: 1, fields: { occurredAt: 't1', inputTokens: 1, outputTokens: 2 } },
        { line: 3, number: 2, fields: { occurredAt: 't1', inputTokens: 1, outputTokens: 2 } },
      ]);
    },
  );

  test.each(['cost_estimate_cents', 'costEstimateCents', 'Cost_Estimate_Cents'])(
    'keeps every digit of %s',
    async (key) => {
      const [row] = await rowsOf('b.ndjson', `{"${key}":12345678901234.5678}`);
      const cost = row !== undefined && 'fields' in row ? row.fields.costEstimateCents : null;
      expect(literalOf(cost)).toBe('12345678901234.5678');
    },
  );

  test('a line that is no object is named, and the next one is read by its own keys', async () => {
    const rows = await rowsOf(
      'c.ndjson',
      `${line}\n{"a":\n[1]\n{"eventId":1,"event_id":2}\n{"inputTokens":5}\n${line}\n`,
    );
    expect(rows).toMatchObject([
      { line: 1, fields: { inputTokens: 1 } },
      { line: 2, fault: expect.stringMatching(/^not JSON: /) },
      { line: 3, fault: expect.any(String) },
      { line: 4, fault: 'the columns eventId and event_id are both eventId' },
      { line: 5, fields: { inputTokens: 5 } },
      { line: 6, fields: { inputTokens: 1 } },
    ]);
  });

  test('a string may hold U+2028, which is no line end', async () => {
    const rows = await rowsOf('d.ndjson', '{"clientId":"a\u2028b"}');
    expect(rows).toMatchObject([{ fields: { clientId: 'a\u2028b' } }]);
  });
});

test('a file that is not there is wrong usage', async () => {
  const rows = readRows(join(folder, 'missing.csv'));
  await expect(rows.next()).rejects.toThrow(UsageError);
});
