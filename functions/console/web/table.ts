import { button, el } from './dom.ts';

export interface Column<Row> {
  label: string;
  /** Numbers stand at the right. */
  isNumber?: boolean;
  cell: (row: Row) => Node | string;
  /** What it is ordered by; a column without cannot be. */
  order?: (row: Row) => number | string | null;
}

export interface TableOptions<Row> {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  /** How many are drawn at once: a page of it, so that thousands of rows cost nothing. */
  pageSize?: number;
}

/** A table that can be ordered by its headings and is read page by page. */
export function dataTable<Row>(options: TableOptions<Row>): HTMLElement {
  const { caption, columns, rows, pageSize = 25 } = options;
  let ordered = rows;
  let sortedBy: { column: Column<Row>; isDown: boolean } | null = null;
  let first = 0;
  const head = el('tr');
  const body = el('tbody');
  const pager = el('div', { class: 'pager' });

  const sortBy = (column: Column<Row>) => {
    const isDown = sortedBy?.column === column ? !sortedBy.isDown : column.isNumber === true;
    sortedBy = { column, isDown };
    const { order } = column;
    if (order !== undefined) ordered = rows.toSorted((a, b) => compare(order(a), order(b), isDown));
    first = 0;
    draw();
  };
  const draw = () => {
    head.replaceChildren(
      ...columns.map((column) => {
        const isSorted = sortedBy?.column === column;
        const direction = sortedBy?.isDown ? 'descending' : 'ascending';
        const mark = isSorted ? (sortedBy?.isDown ? ' ↓' : ' ↑') : '';
        return el(
          'th',
          {
            scope: 'col',
            class: column.isNumber ? 'number' : null,
            'aria-sort': isSorted ? direction : null,
          },
          column.order === undefined
            ? column.label
            : button(`${column.label}${mark}`, () => sortBy(column)),
        );
      }),
    );
    body.replaceChildren(
      ...ordered
        .slice(first, first + pageSize)
        .map((row) =>
          el(
            'tr',
            {},
            ...columns.map((column, index) =>
              index === 0
                ? el('th', { scope: 'row' }, column.cell(row))
                : el('td', { class: column.isNumber ? 'number' : null }, column.cell(row)),
            ),
          ),
        ),
    );
    pager.hidden = rows.length <= pageSize;
    const last = Math.min(first + pageSize, rows.length);
    pager.replaceChildren(
      button('Previous', () => turn(-pageSize), { disabled: first === 0 }),
      el('span', {}, `${first + 1}–${last} of ${rows.length}`),
      button('Next', () => turn(pageSize), { disabled: last === rows.length }),
    );
  };
  const turn = (by: number) => {
    first = Math.max(first + by, 0);
    draw();
  };
  draw();
  return el(
    'div',
    { class: 'table' },
    // A wide table is scrolled by keyboard too.
    el(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption },
      el('table', {}, el('caption', { class: 'sr-only' }, caption), el('thead', {}, head), body),
    ),
    pager,
  );
}

/** What is unknown comes last either way. */
function compare(a: number | string | null, b: number | string | null, isDown: boolean): number {
  if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
  const order =
    typeof a === 'number' && typeof b === 'number'
      ? a - b
      : String(a).localeCompare(String(b), 'en', { numeric: true });
  return isDown ? -order : order;
}
