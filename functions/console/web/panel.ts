import { type ApiRequest, curlOf } from './api.ts';
import { type ChartOptions, chart } from './chart.ts';
import { csvText } from './csv.ts';
import { button, copy, el } from './dom.ts';
import { dataTable, type TableOptions } from './table.ts';

export interface Csv {
  headings: readonly string[];
  rows: readonly (readonly (string | number | null)[])[];
}

export interface PanelOptions<Row> {
  title: string;
  /** What can be chosen about it. */
  controls?: readonly HTMLElement[];
  chart?: ChartOptions;
  table: TableOptions<Row>;
  /** Said between chart and table. */
  note?: string;
  csv: () => Csv;
  /** What was asked for it. */
  request: ApiRequest;
}

/** A chart with its legend, the same as a table beneath it, and ways to take it along. */
export function panel<Row>(options: PanelOptions<Row>): HTMLElement {
  const { title, controls = [], csv, request, table, note } = options;
  const actions = [
    button(
      'Copy CSV',
      () => {
        const { headings, rows } = csv();
        copy(csvText(headings, rows), `${rows.length} rows of CSV`);
      },
      { class: 'quiet', 'aria-label': `Copy CSV of ${title}` },
    ),
    button('Copy curl', () => copy(curlOf(request), 'curl command'), {
      class: 'quiet',
      'aria-label': `Copy curl of ${title}`,
    }),
  ];
  const count = `${table.rows.length} ${table.rows.length === 1 ? 'row' : 'rows'}`;
  return el(
    'section',
    { class: 'panel' },
    el(
      'div',
      { class: 'panel-head' },
      el('h2', {}, title),
      ...controls,
      el('div', { class: 'actions' }, ...actions),
    ),
    ...(options.chart === undefined
      ? [dataTable(table)]
      : [
          legend(options.chart),
          chart(options.chart),
          el('details', { class: 'data' }, el('summary', {}, `Table (${count})`), dataTable(table)),
        ]),
    note !== undefined && el('p', { class: 'muted' }, note),
  );
}

function legend({ series, over }: ChartOptions): HTMLElement {
  const all = [...series, ...(over === undefined ? [] : [over])];
  return el(
    'ul',
    { class: 'legend' },
    ...all.map(({ label, color, isDashed }) => {
      const swatch = el('i', { class: isDashed ? 'swatch dashed' : 'swatch' });
      swatch.style.color = `var(--${color})`;
      return el('li', {}, swatch, label);
    }),
  );
}

export interface Tile {
  label: string;
  value: string;
  /** Every digit, where the value is rounded. */
  exact?: string;
  change?: { text: string; isBad: boolean | null } | null;
  /** Shows it in the chart. */
  choose?: { isChosen: boolean; onChoose: () => void };
}

/** The window's totals in a row. */
export function tiles(all: readonly Tile[]): HTMLElement {
  return el('div', { class: 'tiles' }, ...all.map(tile));
}

function tile({ label, value, exact, change, choose }: Tile): HTMLElement {
  const content = [
    el('span', { class: 'label' }, label),
    el('span', { class: 'value', title: exact }, value),
    change !== undefined &&
      el(
        'span',
        {
          class: `change ${change === null || change.isBad === null ? '' : change.isBad ? 'bad' : 'good'}`,
        },
        change === null ? 'nothing to compare with' : `${change.text} vs previous period`,
      ),
  ];
  if (choose === undefined) return el('div', { class: 'tile' }, ...content);
  const element = button('', choose.onChoose, {
    class: 'tile',
    'aria-pressed': String(choose.isChosen),
  });
  element.append(...content.filter((part) => part !== false));
  return element;
}
