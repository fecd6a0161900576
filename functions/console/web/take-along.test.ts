import { expect, test } from 'vitest';
import { csvText } from './csv.ts';
import { curlText } from './curl.ts';

test('CSV quotes what must be quoted, and disarms formulas', () => {
  const rows = [
    ['plain', 1, null],
    ['a "b", c', 0.25, 'two\nlines'],
    ['=1+1', -5, '@x'],
  ];
  expect(csvText(['name', 'count', 'note'], rows)).toBe(
    'name,count,note\r\nplain,1,\r\n"a ""b"", c",0.25,"two\nlines"\r\n\'=1+1,-5,\'@x\r\n',
  );
});

test('the texts of a table are guarded as those of an export', () => {
  const names = ['＝1+1', '\n=1+1', "'=1+1", 'x;=cmd', 'plain'];
  expect(
    csvText(
      ['client'],
      names.map((name) => [name]),
    ),
  ).toBe("client\r\n'＝1+1\r\n\"'\n'=1+1\"\r\n''=1+1\r\nx;'=cmd\r\nplain\r\n");
});

test('curl is quoted for a shell, whatever a client is called', () => {
  const url = `https://example.com/usage?clientId=it's $(here)`;
  expect(curlText({ url, headers: { 'X-Actor-Subject': 'me' } })).toBe(
    `curl -sS 'https://example.com/usage?clientId=it'\\''s $(here)' \\\n  -H 'X-Actor-Subject: me'`,
  );
});

test('curl posts its body, and a token is left to the reader’s shell', () => {
  const headers = { Authorization: 'Bearer secret' };
  expect(curlText({ url: 'https://example.com/exports', headers, body: '{"a":1}' })).toBe(
    [
      `curl -sS 'https://example.com/exports'`,
      `-H "Authorization: Bearer $TOKEN"`,
      `-H 'Content-Type: application/json'`,
      `-d '{"a":1}'`,
    ].join(' \\\n  '),
  );
});
