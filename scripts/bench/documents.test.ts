import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { citusCalls } from './citus-plan.ts';
import type { Figure } from './figure.ts';
import { compare, isMet, measureInTurns, median, quantile } from './figure.ts';
import type { Report } from './report.ts';
import { jsonLine } from './report.ts';
import { documentFile, documentsOf, readReports } from './write.ts';

test('the documents say what the kept runs of the bench say, and nobody edited them', async () => {
  for (const [name, text] of Object.entries(documentsOf(await readReports()))) {
    expect(await readFile(documentFile(name), 'utf8'), name).toBe(text);
  }
});

const figure: Figure = {
  name: 'ingest',
  value: 12_345.6,
  unit: 'events/s',
  ceiling: 50_000,
  ratio: 0.24,
  spread: [0.2, 0.31],
  goal: 0.25,
  higherIsBetter: true,
  peakMb: 140.4,
  what: 'events from a full stream',
};

test('the documents name machine, figures, missed goals, and the tables of Citus', () => {
  const names = ['fold-flat', 'freshness', 'usage-query', 'storage-message', 'storage-event'];
  const others = [...names, 'storage-event-compressed', 'storage-rollups'];
  const report: Report = {
    scale: 'small',
    rounds: 3,
    date: '2026-11-26',
    machine: '2 x processor',
    versions: ['PostgreSQL 15'],
    figures: [figure, ...others.map((name) => ({ ...figure, name, goal: null }))],
  };
  const { 'performance.md': performance, 'scaling.md': scaling } = documentsOf([report]);
  expect(performance).toContain('2 x processor. PostgreSQL 15.');
  expect(performance).toContain('0 of 1 goals met. Missed: `ingest` (0.24, goal 0.25).');
  expect(performance).toMatch(/\| ingest +\| 12,346 events\/s +\| 50,000 +\| 0\.24 .*\| 140 MB/);
  // 3,000 events/s by half of 12,346 for each partition; and 300,000.
  expect(scaling).toMatch(/\| partitions = consumers at most \| 1 \| 5 \| 49 \|/);
  for (const call of citusCalls) expect(scaling).toContain(call);
});

test('a line of --json has the fields that were agreed on', () => {
  expect(Object.keys(JSON.parse(jsonLine(figure)))).toEqual([
    'name',
    'value',
    'unit',
    'ceiling',
    'ratio',
    'goal',
    'higherIsBetter',
  ]);
});

test('sides are measured in turns, after one that does not count', async () => {
  const order: string[] = [];
  let value = 0;
  const side = (name: string) => async () => {
    order.push(name);
    value += 1;
    return value;
  };
  const measured = await measureInTurns(2, { a: side('a'), b: side('b') });
  expect(order.join('')).toBe('baabba');
  expect(measured).toEqual({ a: [3, 6], b: [4, 5] });
  expect(compare([10, 30], [20, 20])).toMatchObject({ value: 20, ratio: 1, spread: [0.5, 1.5] });
});

test.each([
  { ratio: 0.25, goal: 0.25, higherIsBetter: true, met: true },
  { ratio: 0.24, goal: 0.25, higherIsBetter: true, met: false },
  { ratio: 5.1, goal: 5, higherIsBetter: false, met: false },
  { ratio: null, goal: 20_000, higherIsBetter: false, met: true },
  { ratio: 1, goal: null, higherIsBetter: true, met: null },
  { ratio: Number.NaN, goal: 1, higherIsBetter: true, met: false },
])('a ratio of $ratio meets a goal of $goal: $met', ({ met, ...fields }) => {
  expect(isMet({ ...figure, ...fields })).toBe(met);
});

test('median and quantile', () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
  expect([quantile([5, 1, 4, 2, 3], 0.5), quantile([1, 2], 0.99)]).toEqual([3, 2]);
});
