import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from '../cli/failure.ts';
import { textOf } from './draft.ts';
import { type FileRecord, formatOf, readRecords } from './records.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'replay-rows-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function recordsOf(name: string, content: string | Buffer): Promise<FileRecord[]> {
  const path = join(folder, name);
  await writeFile(path, content);
  const records: FileRecord[] = [];
  for await (const record of readRecords(path, await formatOf(path))) records.push(record);
  return records;
}

/** The rows beneath the header of a CSV file, as objects. */
async function rowsOf(name: string, content: string | Buffer): Promise<object[]> {
  const [, ...rows] = await recordsOf(name, content);
  return rows.map(objectOf);
}

async function objectsOf(name: string, content: string | Buffer): Promise<object[]> {
  return (await recordsOf(name, content)).map(objectOf);
}

function objectOf(record: FileRecord): object {
  if ('fault' in record) return record;
  const cells = record.names.map((column, index) => [column, record.values[index]]);
  return { line: record.line, ...Object.fromEntries(cells) };
}

const header = 'a,b,c';

describe('CSV', () => {
  test('is read with CRLF and no end of the last line', async () => {
    expect(await rowsOf('a.csv', `${header}\r\nt1,1,2\r\nt2,3,4`)).toEqual([
      { line: 2, a: 't1', b: '1', c: '2' },
      { line: 3, a: 't2', b: '3', c: '4' },
    ]);
  });

  test.each([
    ['a byte order mark', `\uFEFF${header}\nt1,1,2\n`],
    ['semicolons', `${header}\nt1,1,2\n`.replaceAll(',', ';')],
    ['tabs', `${header}\nt1,1,2\n`.replaceAll(',', '\t')],
    ['quotes and spaces', `"a", "b" ,c\n"t1" , 1,"2"\n`],
    ['empty lines', `\n${header}\n\n\nt1,1,2\n\n`],
    ['Excel’s separator line', `sep=;\r\na;b;c\r\nt1;1;2\r\n`],
    ['a separator of no other meaning', `sep=|\na|b|c\nt1|1|2\n`],
    ['gzip', gzipSync(`${header}\nt1,1,2\n`)],
    ['gzip in two members', Buffer.concat([gzipSync(`${header}\n`), gzipSync('t1,1,2\n')])],
    ['UTF-16', Buffer.from(`\uFEFF${header}\r\nt1,1,2\r\n`.replaceAll(',', '\t'), 'utf16le')],
    ['UTF-16 of the other order', Buffer.from(`\uFEFF${header}\nt1,1,2\n`, 'utf16le').swap16()],
  ])('is read with %s', async (_, content) => {
    expect(await rowsOf('b.csv', content)).toMatchObject([{ a: 't1', b: '1', c: '2' }]);
  });

  test('a quoted cell may hold delimiters, quotes and line ends', async () => {
    const rows = await rowsOf('c.csv', `${header}\nt1,1,"a, ""b""\r\nc"\nt2,3,4\n`);
    expect(rows).toEqual([
      { line: 2, a: 't1', b: '1', c: 'a, "b"\nc' },
      { line: 4, a: 't2', b: '3', c: '4' },
    ]);
  });

  test('a row that cannot be read is named and takes no other with it', async () => {
    const content = Buffer.concat([
      Buffer.from(`${header}\nt1,1\n"t2"x,1,2\nt3,1,2\nt4,"1,2\nt5,1,2\n`),
      Buffer.from([0xff, 0xfe, 0x0a]),
      Buffer.from('t6,1,2\nt7,"1,2\nt8,1",2,3\nt9,"1,2\nt10,1,2'),
    ]);
    const [, ...rows] = await recordsOf('d.csv', content);
    const read = rows.map((row) => ('values' in row ? row.values[0] : row.fault));
    expect(rows.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
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
      { line: 2, a: 't1' },
      { line: 3, fault: 'the line has more than 1048576 bytes' },
      { line: 4, a: 't2' },
    ]);
  });
});

describe('JSON', () => {
  const row = '{"a":"t1","b":1,"c":{"d":null}}';
  const read = { a: 't1', b: 1, c: { d: null } };

  test.each(['a.ndjson', 'a.jsonl', 'a.log', 'a.json'])('a line is a row: %s', async (name) => {
    expect(await objectsOf(name, `${row}\n\n${row}`)).toEqual([
      { line: 1, ...read },
      { line: 3, ...read },
    ]);
  });

  const pretty = JSON.stringify(JSON.parse(row), null, 2);

  test.each([
    ['a list', `[${row},${row}]`],
    ['a list over lines', `[\n  ${row},\n  ${row}\n]\n`],
    ['a pretty list', JSON.stringify([JSON.parse(row), JSON.parse(row)], null, 2)],
    ['pretty objects', `${pretty}\n${pretty}`],
    ['a list with a byte order mark', `\uFEFF [${row}\r\n,${row}]`],
    ['a gzipped list', gzipSync(`[${row},${row}]`)],
  ])('%s', async (_, content) => {
    expect(await objectsOf('list.json', content)).toMatchObject([read, read]);
    expect(await objectsOf('list.jsonl', content)).toMatchObject([read, read]);
  });

  test('strings of a list may hold brackets, commas and escaped quotes', async () => {
    const value = { a: '},{"[', b: '\\', c: 'a\u2028b\uFEFF' };
    const rows = await objectsOf('strings.json', JSON.stringify([value, value]));
    expect(rows).toMatchObject([value, value]);
  });

  test('a value of a list that cannot be read is named and takes no other with it', async () => {
    const list = `[\n${row},\n{"a":},\n{"b:1},\n7,\n{"c":[1},\n${row}\n]\n`;
    expect(await objectsOf('broken.json', list)).toEqual([
      { line: 2, ...read },
      { line: 3, fault: expect.stringMatching(/^not JSON: /) },
      { line: 4, fault: expect.stringMatching(/^not JSON: /) },
      { line: 5, fault: 'it is not a JSON object' },
      { line: 6, fault: expect.stringMatching(/^not JSON: /) },
      { line: 7, ...read },
    ]);
  });

  test('a list that is cut off, or has something after it, says so', async () => {
    expect(await objectsOf('cut.json', `[${row},\n{"a":`)).toEqual([
      { line: 1, ...read },
      { line: 2, fault: expect.stringMatching(/^not JSON: /) },
      { line: 2, fault: 'the list is never closed: is the file cut off?' },
    ]);
    expect(await objectsOf('more.json', `[${row}]\n[${row}]`)).toEqual([
      { line: 1, ...read },
      { line: 2, fault: 'there is more after the end of the list' },
    ]);
  });

  test('a value beyond a mebibyte is named', async () => {
    const long = `{"a":"${'x'.repeat(3_000_000)}"}`;
    expect(await objectsOf('long.json', `[${row},${long},\n${row}]`)).toEqual([
      { line: 1, ...read },
      { line: 1, fault: 'the value has more than 1048576 bytes' },
      { line: 2, ...read },
    ]);
  });

  test('a line that is no object is named', async () => {
    expect(await objectsOf('c.ndjson', `${row}\n{"a":\n[1]\n${row}\n`)).toEqual([
      { line: 1, ...read },
      { line: 2, fault: expect.stringMatching(/^not JSON: /) },
      { line: 3, fault: 'it is not a JSON object' },
      { line: 4, ...read },
    ]);
  });

  test('numbers keep every digit, and a string may hold U+2028, which is no line end', async () => {
    const [record] = await recordsOf('d.ndjson', '{"a":0.4875000000000001,"b":"a\u2028b","c":1}');
    expect(record && 'values' in record && record.values.map(textOf)).toEqual([
      '0.4875000000000001',
      'a\u2028b',
      '1',
    ]);
  });
});

test.each([
  ['missing.csv', null, /^FILE cannot be read: ENOENT/],
  ['a.xlsx', Buffer.from('504b030414000600', 'hex'), /is a zip archive, as \.xlsx files are too/],
  ['a.csv.zst', Buffer.from('28b52ffd04000000', 'hex'), /is packed by zstd/],
  ['a.parquet', Buffer.from('PAR1xxxx'), /is a Parquet file/],
  ['cut.csv.gz', gzipSync('a,b,c\n1,2,3\n').subarray(0, -9), /gzip file cannot be unpacked/],
  [
    'cut.txt',
    Buffer.from('\uFEFFa\tb\n', 'utf16le').subarray(0, -1),
    /is cut off, or is not the UTF-16/,
  ],
  ['bare.txt', Buffer.from('a\tb\n', 'utf16le'), /UTF-16 without a byte order mark/],
])('%s is named for what it is', async (name, content, message) => {
  const path = join(folder, name);
  if (content !== null) await writeFile(path, content);
  const read = async () => {
    for await (const _ of readRecords(path, await formatOf(path)));
  };
  await expect(read).rejects.toThrow(message);
  await expect(read).rejects.toThrow(UsageError);
});
