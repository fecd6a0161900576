import { expect, test } from 'vitest';
import { attachment } from './attachment.ts';

test.each([
  ['plain', '202506.csv', `attachment; filename="202506.csv"`],
  ['spaces', 'June 2025 (r2).csv', `attachment; filename="June 2025 (r2).csv"`],
  ['quotes', `a".csv`, `attachment; filename="a_.csv"; filename*=UTF-8''a%22.csv`],
  ['percent signs', '50%22.csv', `attachment; filename="50_22.csv"; filename*=UTF-8''50%2522.csv`],
  [
    'other letters',
    'é(1).csv',
    `attachment; filename="_(1).csv"; filename*=UTF-8''%C3%A9%281%29.csv`,
  ],
  [
    'more than two bytes',
    '日🙂.csv',
    `attachment; filename="__.csv"; filename*=UTF-8''%E6%97%A5%F0%9F%99%82.csv`,
  ],
  ['folders', '../a\\b/c.csv', `attachment; filename=".._a_b_c.csv"`],
  ['line ends', 'a\r\nSet-Cookie: b.csv', `attachment; filename="aSet-Cookie: b.csv"`],
  [
    'half a letter',
    'a\ud800.csv',
    `attachment; filename="a_.csv"; filename*=UTF-8''a%EF%BF%BD.csv`,
  ],
])('%s in a name', (_, filename, header) => {
  expect(attachment(filename)).toBe(header);
});
