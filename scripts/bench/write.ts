import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import type { Figure } from './figure.ts';
import { performanceDocument } from './performance-document.ts';
import type { Report } from './report.ts';
import { scalingDocument } from './scaling-document.ts';

const keptFile = documentFile('performance.json');

const figure: z.ZodType<Figure> = z.strictObject({
  name: z.string(),
  value: z.number(),
  unit: z.string(),
  ceiling: z.number().nullable(),
  ratio: z.number().nullable(),
  spread: z.tuple([z.number(), z.number()]),
  goal: z.number().nullable(),
  higherIsBetter: z.boolean(),
  peakMb: z.number().nullable(),
  what: z.string(),
});
const kept: z.ZodType<Report[]> = z.array(
  z.strictObject({
    scale: z.enum(['small', 'full']),
    rounds: z.number(),
    date: z.string(),
    machine: z.string(),
    versions: z.array(z.string()),
    figures: z.array(figure),
  }),
);

/**
 * The last whole run of each scale, the smaller first.
 *
 * @throws Error when somebody edited the file into something else.
 */
export async function readReports(): Promise<Report[]> {
  return kept.parse(JSON.parse(await readFile(keptFile, 'utf8')));
}

/** Keeps a run in place of the last of its scale. */
export async function keepReport(report: Report): Promise<void> {
  const others = (await readReports()).filter(({ scale }) => scale !== report.scale);
  const reports = [...others, report].sort((a, b) => b.scale.localeCompare(a.scale));
  await writeFile(keptFile, `${JSON.stringify(reports, null, 2)}\n`);
}

/** What is made of the kept runs: every file of docs that states a figure of the bench. */
export function documentsOf(reports: readonly Report[]): Record<string, string> {
  return {
    'performance.md': performanceDocument(reports),
    'scaling.md': scalingDocument(reports),
  };
}

export async function writeDocuments(): Promise<void> {
  for (const [name, text] of Object.entries(documentsOf(await readReports()))) {
    await writeFile(documentFile(name), text);
  }
}

export function documentFile(name: string): string {
  return fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
}
