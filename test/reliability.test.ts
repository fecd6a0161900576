import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { faults } from '../scripts/faults/catalog.ts';
import { readRecords, resultsFile } from '../scripts/faults/record.ts';
import { report, reportFile } from '../scripts/faults/report.ts';

const folder = fileURLToPath(new URL('faults', import.meta.url));
const calls = /faultTest\(\s*'([^']+)'/g;

test('every fault of the catalogue is a test of its file, and every such test is in it', () => {
  const tests = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .flatMap((name) => {
      const text = readFileSync(`${folder}/${name}`, 'utf8');
      return [...text.matchAll(calls)].map(([, fault]) => `${fault}: test/faults/${name}`);
    });
  const catalogued = Object.entries(faults).map(([name, { file }]) => `${name}: ${file}`);
  expect(tests.sort()).toEqual(catalogued.sort());
});

test('docs/reliability.md is what npm run faults:report writes', () => {
  expect(readFileSync(reportFile, 'utf8')).toBe(report(readRecords(resultsFile)));
});

test('the records are of faults that there are, and nothing failed in them', () => {
  const records = readRecords(resultsFile);
  expect(records.length).toBeGreaterThan(0);
  for (const { fault, problems } of records) {
    expect(Object.keys(faults)).toContain(fault);
    expect(problems, fault).toEqual([]);
  }
});
