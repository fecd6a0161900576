import uPlot from 'uplot';
import type { Granularity, Range } from '../../../shared/queries/time-window.ts';
import { el } from './dom.ts';
import { bucketText, tickText } from './format.ts';

export interface ChartSeries {
  label: string;
  /** A custom property of the style sheet, without its dashes. */
  color: string;
  values: readonly (number | null)[];
  /** The height is for the eye; what is told on hover is exact. */
  texts: readonly string[];
  isDashed?: boolean;
}

export interface ChartOptions {
  /** What it shows, for those who do not see it. */
  label: string;
  bucketStarts: readonly number[];
  range: Range;
  granularity: Granularity;
  timeZone: string;
  /** Lowest first where they are stacked. */
  series: readonly ChartSeries[];
  isStacked: boolean;
  /** Drawn over the rest, such as the period before. */
  over?: ChartSeries;
  /** Said beneath the values on hover. */
  totals?: readonly string[];
  axisText: (value: number) => string;
  /** The buckets that were dragged over. */
  onZoom: (range: Range) => void;
}

const height = 280;
/** So many and fewer are bars; more would be thinner than a pixel. */
const barsMax = 400;

/** Values over time: stacked bars, or lines. Hover, arrow keys and dragging work on buckets. */
export function chart(options: ChartOptions): HTMLElement {
  const host = el('div', {
    class: 'chart',
    tabindex: 0,
    role: 'img',
    'aria-label': `${options.label}. Arrow keys read its values; the table beneath has them all.`,
  });
  const tip = el('div', { class: 'tip', hidden: true });
  const spoken = el('div', { class: 'sr-only', 'aria-live': 'polite' });
  let plot: uPlot | null = null;
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(plotOptions(options, host, tip), plotData(options), host);
    plot.over.append(tip);
  };
  // The size is known once it is on the page; colours change with the theme.
  const resized = new ResizeObserver(() => {
    if (host.clientWidth === 0) return;
    if (plot === null) draw();
    else plot.setSize({ width: host.clientWidth, height });
  });
  resized.observe(host);
  const onTheme = () => {
    if (host.isConnected) draw();
    else document.removeEventListener('themechange', onTheme);
  };
  document.addEventListener('themechange', onTheme);
  host.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (plot === null || step === undefined) return;
    event.preventDefault();
    const last = options.bucketStarts.length - 1;
    const from = plot.cursor.idx ?? (step > 0 ? -1 : last + 1);
    const index = Math.min(Math.max(from + step, 0), last);
    const middle = middles(options)[index] ?? options.range.startMs;
    plot.setCursor({ left: plot.valToPos(middle, 'x'), top: height / 3 });
    spoken.textContent = readingAt(options, index)
      .map(({ label, text }) => `${label}: ${text}`)
      .join(', ');
  });
  return el('div', { class: 'chart-box' }, host, spoken);
}

/** Where each bucket is drawn: in its middle. The first and last may reach beyond the window. */
function middles({ bucketStarts, range }: ChartOptions): number[] {
  return bucketStarts.map((ms, index) => {
    const endMs = Math.min(bucketStarts[index + 1] ?? range.endMs, range.endMs);
    return (Math.max(ms, range.startMs) + endMs) / 2;
  });
}

function plotData(options: ChartOptions): uPlot.AlignedData {
  const { series, isStacked, over } = options;
  const xs = middles(options);
  const sums = xs.map(() => 0);
  const heights = series.map(({ values }) =>
    values.map((value, index) => {
      if (!isStacked) return value;
      sums[index] = (sums[index] ?? 0) + (value ?? 0);
      return sums[index] ?? 0;
    }),
  );
  // What reaches highest is drawn first, and what is below over it.
  const drawn = isStacked ? heights.toReversed() : heights;
  return [xs, ...drawn, ...(over === undefined ? [] : [[...over.values]])];
}

function plotOptions(options: ChartOptions, host: HTMLElement, tip: HTMLElement): uPlot.Options {
  const { bucketStarts, range, granularity, timeZone, series, isStacked, over } = options;
  const styles = getComputedStyle(host);
  const color = (name: string) => styles.getPropertyValue(`--${name}`).trim();
  const isBars = isStacked && bucketStarts.length <= barsMax;
  const { bars, stepped, linear } = uPlot.paths;
  const stack = isBars ? bars?.({ size: [0.8, 110] }) : stepped?.({ align: 1 });
  const ordered = isStacked ? series.toReversed() : series;
  const axis = {
    stroke: color('muted'),
    font: `12px ${styles.fontFamily}`,
    ticks: { show: false },
  };
  const indexAt = (ms: number) =>
    Math.max(
      bucketStarts.findLastIndex((start) => start <= ms),
      0,
    );
  return {
    width: host.clientWidth,
    height,
    ms: 1,
    legend: { show: false },
    padding: [12, 8, 0, 0],
    scales: {
      x: { time: false, range: () => [range.startMs, range.endMs] },
      y: { range: (_, __, max) => [0, max > 0 ? max * 1.06 : 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 30,
        splits: (plot) => everyFew(middles(options), plot.width),
        values: (_, places) =>
          places.map((ms) => tickText(bucketStarts[indexAt(ms)] ?? ms, granularity, timeZone)),
      },
      {
        ...axis,
        size: 64,
        space: 44,
        grid: { stroke: color('grid'), width: 1 },
        values: (_, places) => places.map(options.axisText),
      },
    ],
    series: [
      {},
      ...ordered.map((one): uPlot.Series => {
        const ink = color(one.color);
        return isStacked
          ? {
              fill: ink,
              width: 0,
              points: { show: false },
              ...(stack === undefined ? {} : { paths: stack }),
            }
          : { ...line(ink, linear), ...(one.isDashed ? { dash: [6, 4] } : {}) };
      }),
      ...(over === undefined
        ? []
        : [
            {
              ...line(color(over.color), linear),
              dash: [5, 4],
              width: 1.5,
              points: { show: false },
            },
          ]),
    ],
    cursor: {
      y: false,
      points: { show: !isStacked },
      drag: { x: true, y: false, setScale: false },
      dataIdx: (_, __, ___, ms) => indexAt(ms),
    },
    hooks: {
      setCursor: [(plot) => showTip(plot, tip, options)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          const first = indexAt(plot.posToVal(left, 'x'));
          const last = indexAt(plot.posToVal(left + width - 1, 'x'));
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          options.onZoom({
            startMs: Math.max(bucketStarts[first] ?? range.startMs, range.startMs),
            endMs: bucketStarts[last + 1] ?? range.endMs,
          });
        },
      ],
    },
  };
}

function line(ink: string, paths: typeof uPlot.paths.linear): uPlot.Series {
  return {
    stroke: ink,
    width: 2,
    points: { size: 5, fill: ink, stroke: ink },
    ...(paths === undefined ? {} : { paths: paths({}) }),
  };
}

/** The buckets under which there is room for a label, evenly apart. */
function everyFew(places: readonly number[], width: number): number[] {
  const room = Math.max(Math.floor((width - 72) / 84), 2);
  const least = Math.ceil(places.length / room);
  const step = [1, 2, 3, 4, 6, 7, 8, 12, 14, 24, 28, 48, 56].find((one) => one >= least) ?? least;
  return places.filter((_, index) => index % step === 0);
}

interface Reading {
  label: string;
  text: string;
  color: string | null;
}

function readingAt(options: ChartOptions, index: number): Reading[] {
  const { bucketStarts, granularity, timeZone, series, over, totals, isStacked } = options;
  const start = bucketStarts[index] ?? 0;
  // As they lie above each other.
  const shown = isStacked ? series.toReversed() : series;
  const reading = ({ label, texts, color }: ChartSeries): Reading => ({
    label,
    text: texts[index] ?? '–',
    color,
  });
  const total = totals?.[index];
  return [
    { label: 'Time', text: bucketText(start, granularity, timeZone), color: null },
    ...shown.map(reading),
    ...(total === undefined || shown.length < 2
      ? []
      : [{ label: 'Total', text: total, color: null }]),
    ...(over === undefined ? [] : [reading(over)]),
  ];
}

function showTip(plot: uPlot, tip: HTMLElement, options: ChartOptions): void {
  const { idx, left = -1 } = plot.cursor;
  tip.hidden = idx === null || idx === undefined || left < 0;
  if (idx === null || idx === undefined || left < 0) return;
  const [time, ...lines] = readingAt(options, idx);
  tip.replaceChildren(
    el('b', {}, time?.text ?? ''),
    ...lines.map(({ label, text, color }) => {
      const swatch = el('i', { class: 'swatch' });
      if (color !== null) swatch.style.color = `var(--${color})`;
      else swatch.hidden = true;
      return el('div', {}, swatch, el('span', {}, label), el('em', {}, text));
    }),
  );
  const isRight = left > plot.over.clientWidth / 2;
  tip.style.left = isRight ? '' : `${left + 14}px`;
  tip.style.right = isRight ? `${plot.over.clientWidth - left + 14}px` : '';
}
