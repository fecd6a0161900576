import { styleText } from 'node:util';
import Table from 'cli-table3';
import { cut } from './printable.ts';

export interface Column<Row> {
  title: string;
  /** Numbers stand under each other to the right. */
  align?: 'left' | 'right';
  /** Shown as `-` where it is null. */
  cell: (row: Row) => string | number | bigint | null;
}

/** What a table is shown on. */
export interface Surface {
  isTerminal: boolean;
  hasColour: boolean;
}

const cellMax = 100;
const numbers = new Intl.NumberFormat('en-US');
const nothing = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Standard output, by the conventions of https://no-color.org and FORCE_COLOR, as Node reads them. */
function standardOutput(): Surface {
  const isTerminal = process.stdout.isTTY === true;
  return { isTerminal, hasColour: isTerminal && process.stdout.hasColors() };
}

/**
 * Rows beneath their titles, a line each, whatever their cells hold. On a terminal a rule parts
 * the titles from the rows; elsewhere it is plain text, columns parted by two spaces.
 */
export function tableText<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { isTerminal, hasColour }: Surface = standardOutput(),
): string {
  // Styled here: the table's own styles ask the process for colour, whatever surface was given.
  const styled = (style: 'bold' | 'gray', text: string) =>
    hasColour ? styleText(style, text, { validateStream: false }) : text;
  const table = new Table({
    head: columns.map(({ title }) => styled('bold', title)),
    chars: isTerminal
      ? { ...nothing, mid: styled('gray', '─'), 'mid-mid': styled('gray', '──') }
      : nothing,
    colAligns: columns.map(({ align = 'left' }) => align),
    style: {
      compact: true,
      'padding-left': 0,
      'padding-right': 0,
      head: [],
      border: [],
    },
  });
  table.push(...rows.map((row) => columns.map(({ cell }) => cellText(cell(row)))));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** What is told of one thing, by names that stand under each other. */
export function factsText(
  facts: Readonly<Record<string, string | number | bigint | null>>,
): string {
  const entries = Object.entries(facts);
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => `${name.padEnd(width)}  ${cellText(value)}`).join('\n');
}

function cellText(value: string | number | bigint | null): string {
  if (value === null) return '-';
  return typeof value === 'string' ? cut(value, cellMax) : numbers.format(value);
}
